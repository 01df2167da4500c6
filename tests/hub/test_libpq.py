"""A step's way to the hub: PostgreSQL's own library, or psycopg, which say the same."""

import os
import subprocess
import sys

import pytest

from prodigy_git.errors import Away, Refused
from prodigy_git.hub import address, libpq, socket_waits, ways


@pytest.fixture(params=["libpq", "psycopg"])
def way(request, hub_url, monkeypatch):
    if request.param == "psycopg":
        monkeypatch.setattr(libpq, "library", lambda: None)
    made = ways.Way(address.parsed(hub_url, "the test"))
    made.ready(60)
    assert (type(made.raw).__module__ == "prodigy_git.hub.libpq") == (request.param == "libpq")
    yield made
    made.raw.close()


def asked(way, text, seconds=60.0):
    return way.ask(text, socket_waits.now() + seconds)


def test_several_statements_are_one_message_and_each_has_its_rows(way):
    found = asked(way, "BEGIN; SELECT 1, NULL; SELECT 'ü\\n'; COMMIT; SELECT 2 WHERE false")
    assert [[tuple(map(str, row)) for row in rows] for rows in found] == [
        [("1", "None")], [("ü\\n",)], [],
    ]  # fmt: skip


def test_an_answer_of_many_megabytes(way):
    assert len(asked(way, "SELECT repeat('x', 20000000)")[0][0][0]) == 20_000_000
    text = "y" * 20_000_000
    assert asked(way, f"SELECT length('{text}')")[0][0][0] in (20_000_000, "20000000")


@pytest.mark.parametrize(
    ("text", "kind", "state"),
    [
        ("SELECT * FROM prodigy_hub.event", Refused, "42P01"),
        ("BEGIN; SET LOCAL statement_timeout = 1; SELECT pg_sleep(60)", Away, "57014"),
    ],
)
def test_what_the_server_refuses_is_told_alike_and_undone(way, text, kind, state):
    with pytest.raises(Exception) as wrong:
        asked(way, text)
    assert wrong.value.sqlstate == state
    assert isinstance(way.told(wrong.value), kind)
    way.undo()
    assert way.ready(60)
    assert asked(way, "SELECT 1") is not None


def test_who_is_not_answered_in_time_goes(way):
    with pytest.raises(Exception) as wrong:
        asked(way, "SELECT pg_sleep(600)", 0.2)
    assert isinstance(wrong.value, socket_waits.Late)
    assert isinstance(way.told(wrong.value), Away)
    assert way.lost
    assert not way.ready(60)  # another one is made
    assert asked(way, "SELECT 1") is not None


def test_a_connection_that_the_server_has_ended_is_made_anew(way, postgres):
    (((number,),),) = asked(way, "SELECT pg_backend_pid()")
    postgres.sql(f"SELECT pg_terminate_backend({number})")
    while not way.lost and way.raw.is_quiet():
        pass
    assert not way.ready(60)
    assert asked(way, "SELECT pg_backend_pid()") != [[(number,)]]


def test_a_child_process_takes_a_way_of_its_own_and_ends_none(way):
    (((number,),),) = asked(way, "SELECT pg_backend_pid()")
    child = os.fork()
    if child == 0:
        try:
            own = way.ready(60) is False and asked(way, "SELECT pg_backend_pid()")[0][0][0]
            way.raw.close()
            os._exit(0 if own not in (False, number) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert asked(way, "SELECT pg_backend_pid()")[0][0][0] == number


def test_nobody_there_is_away_and_a_wrong_name_is_refused(hub_url, postgres, monkeypatch):
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "30")
    nobody = ways.Way(address.parsed("postgresql://u@127.0.0.1:1/x", "the test"))
    with pytest.raises(Away):
        nobody.ready(30)
    wrong = ways.Way(address.parsed(hub_url + "_not", "the test"))
    with pytest.raises(Refused):
        wrong.ready(30)


def test_with_several_hosts_the_second_is_tried(hub_url, postgres):
    url = hub_url.replace("@127.0.0.1", "@127.0.0.1:1,127.0.0.1")
    way = ways.Way(address.parsed(url, "the test"))
    way.ready(60)
    assert asked(way, "SELECT 1")[0] == [(1,)]


def test_without_psycopg_it_is_said_also_where_the_library_is(hub_url, monkeypatch):
    monkeypatch.setattr(ways.connection, "installed", lambda: False)
    with pytest.raises(Refused, match="psycopg"):
        ways.Way(address.parsed(hub_url, "the test")).ready(30)


def test_a_step_of_a_command_loads_no_psycopg(hub_url):
    script = (
        "import sys; from prodigy_git.hub import address, shared_step, socket_waits, ways;"
        "way = ways.Way(address.parsed(sys.argv[1], 'x')); way.ready(60);"
        "way.ask('SELECT 1', socket_waits.now() + 60);"
        "print([name for name in sys.modules if name.startswith('psycopg')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, hub_url], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
