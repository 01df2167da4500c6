"""The way to the hub: kept, made anew, ended in time; its errors in one line, without a password."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from support_hub import PATIENCE, rows, way
from support_proxy import Proxy

from prodigy_git.errors import Away, Refused, Unsure
from prodigy_git.hub import address, connection, driver, socket_waits

SHORT = 0.5
"""How long is waited for what does not come."""


def open_files():
    found = set()
    for one in range(256):
        with contextlib.suppress(OSError):
            found.add(os.fstat(one).st_ino)
    return found


def parsed(url):
    return address.parsed(url, "URL")


def test_a_connection_is_kept_and_made_anew_where_the_server_was(hub_url, postgres):
    where = parsed(hub_url)
    first = connection.connected(where, patience=PATIENCE)
    raw = first.raw
    assert connection.connected(where, patience=PATIENCE) is first
    assert first.raw is raw
    postgres.kill()
    with pytest.raises(Away, match="not reached"):
        connection.connected(where, patience=PATIENCE)
    postgres.start()
    with connection.transaction(first, within=PATIENCE) as tx:
        assert tx.execute("SELECT 1").fetchone() == (1,)
    first.close()


def test_a_connection_that_died_unheard_is_made_anew_at_the_first_word(hub_url, postgres):
    with (
        Proxy(postgres.port) as wire,
        way(hub_url.replace(f":{postgres.port}", f":{wire.port}")) as there,
    ):
        wire.reset()
        for _ in range(2):
            with connection.transaction(there, within=PATIENCE) as tx:
                assert tx.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_to_which_nobody_listens_any_more_is_made_anew(hub_url, postgres, monkeypatch):
    """As where a router has forgotten it: no answer, and no word that there is none."""
    with (
        Proxy(postgres.port) as wire,
        way(hub_url.replace(f":{postgres.port}", f":{wire.port}")) as there,
    ):
        made = connection._made

        def heard_again(*arguments):
            wire.reset()
            wire.pass_on()
            return made(*arguments)

        monkeypatch.setattr(connection, "_made", heard_again)
        wire.stall()
        with connection.transaction(there, within=6) as tx:
            assert tx.execute("SELECT 1").fetchone() == (1,)


def test_a_child_process_has_a_connection_of_its_own(hub_url):
    where = parsed(hub_url)
    kept = connection.connected(where, patience=PATIENCE)
    ask = "SELECT pg_backend_pid()"
    with connection.transaction(kept, within=PATIENCE) as tx:
        mine = tx.execute(ask).fetchone()
    socket = os.fstat(kept.raw.fileno()).st_ino
    assert socket in open_files()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            own = connection.connected(where, patience=PATIENCE)
            with connection.transaction(own, within=PATIENCE) as tx:
                theirs = tx.execute(ask).fetchone()
            with connection.transaction(
                kept, within=PATIENCE
            ) as tx:  # the parent's, called by its name
                also = tx.execute(ask).fetchone()
            assert socket not in open_files()
            os.write(writing, b"own" if mine not in (theirs, also) else b"shared")
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"own"
    os.close(reading)
    with connection.transaction(kept, within=PATIENCE) as tx:
        assert tx.execute(ask).fetchone() == mine
    kept.close()


def test_threads_have_connections_of_their_own(hub_url):
    found = []
    mine = connection.connected(parsed(hub_url), patience=PATIENCE)
    other = threading.Thread(
        target=lambda: found.append(connection.connected(parsed(hub_url), patience=PATIENCE))
    )
    other.start()
    other.join()
    assert found[0] is not mine
    mine.close()


def test_a_server_that_only_listens_is_given_up(hub_url, postgres):
    with Proxy(postgres.port) as wire:
        wire.stall()
        with (
            pytest.raises(Away, match="not reached"),
            way(f"postgresql://hub@127.0.0.1:{wire.port}/x", SHORT),
        ):
            pass


def test_a_name_that_nobody_looks_up_in_time_is_given_up(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: over.wait(PATIENCE) and [])
    try:
        with (
            pytest.raises(Away, match="not reached"),
            way("postgresql://hub@host.invalid/x", SHORT),
        ):
            pass
    finally:
        over.set()


def test_a_network_that_stalls_within_a_transaction_ends_it(hub_url, postgres):
    with (
        Proxy(postgres.port) as wire,
        way(hub_url.replace(f":{postgres.port}", f":{wire.port}")) as there,
    ):

        def stalled():
            with connection.transaction(there, within=SHORT) as tx:
                wire.stall()
                tx.execute("SELECT 1")

        with pytest.raises(Away, match="does not answer in time") as caught:
            stalled()
        assert not isinstance(caught.value, Unsure)
        wire.reset()
        wire.pass_on()
        with connection.transaction(there, within=PATIENCE) as tx:
            assert tx.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("how", ["stall", "drop"])
def test_a_commit_that_is_not_answered_is_told_apart(hub_url, postgres, how):
    rows(hub_url, "CREATE TABLE t (n int)")
    with (
        Proxy(postgres.port) as wire,
        way(hub_url.replace(f":{postgres.port}", f":{wire.port}")) as there,
    ):

        def lost():
            with connection.transaction(there, within=SHORT if how == "stall" else PATIENCE) as tx:
                tx.execute("INSERT INTO t VALUES (1)")
                getattr(wire, how)()

        with pytest.raises(Unsure):
            lost()


def test_a_constraint_that_is_looked_at_by_commit_leaves_no_doubt(hub_url):
    rows(hub_url, "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with way(hub_url) as there:

        def twice():
            with connection.transaction(there, within=PATIENCE) as tx:
                tx.execute("INSERT INTO t VALUES (1), (1)")

        with pytest.raises(Refused, match="duplicate key"):
            twice()
    assert rows(hub_url, "SELECT count(*) FROM t") == [(0,)]


def test_an_error_takes_all_back_and_leaves_the_connection_usable(hub_url):
    rows(hub_url, "CREATE TABLE t (n int)")
    with way(hub_url) as there:
        raw = there.raw

        def fails(what):
            with connection.transaction(there, within=PATIENCE) as tx:
                tx.execute("INSERT INTO t VALUES (1)")
                what(tx)

        def swallows(tx):
            with contextlib.suppress(psycopg.Error):
                tx.execute("SELECT 1/0")

        with pytest.raises(Refused, match="division by zero"):
            fails(lambda tx: tx.execute("SELECT 1/0"))
        with pytest.raises(KeyError):
            fails(lambda _: {}["none"])
        with pytest.raises(AssertionError, match="not let through"):
            fails(swallows)
        assert there.raw is raw
    assert rows(hub_url, "SELECT count(*) FROM t") == [(0,)]


def test_an_interruption_ends_a_question_at_once(hub_url):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        with way(hub_url) as there:

            def asks():
                with connection.transaction(there, within=PATIENCE) as tx:
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
                    tx.execute("SELECT pg_sleep(600)")

            with pytest.raises(KeyboardInterrupt):
                asks()
            with connection.transaction(there, within=PATIENCE) as tx:
                assert tx.execute("SELECT 1").fetchone() == (1,)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_lock_that_is_held_is_waited_for_so_long_and_no_longer(hub_url):
    rows(hub_url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
    with (
        way(hub_url) as one,
        way(hub_url) as two,
        connection.transaction(one, within=PATIENCE) as tx,
    ):
        tx.execute("SELECT * FROM t FOR UPDATE")

        def waits():
            with connection.transaction(two, within=SHORT) as other:
                other.execute("SELECT * FROM t FOR UPDATE")

        with pytest.raises(Away, match=r"is busy|in time"):
            waits()


def test_timeouts_are_the_transactions_own(hub_url):
    with way(hub_url) as there:
        with connection.transaction(there, within=7) as tx:
            assert tx.execute("SHOW statement_timeout").fetchone() == ("7s",)
            assert tx.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("10s",)
            assert tx.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert there.ready(PATIENCE).execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_wrong_password_is_refused_and_never_said(hub_url, postgres):
    postgres.role("ada", password="correct horse")
    name = hub_url.rpartition("/")[2]
    for password, why in (("geheim-7", "look at user and password"), (None, "asks for a password")):
        with (
            pytest.raises(Refused, match=why) as caught,
            way(postgres.url(name, user="ada", password=password)),
        ):
            pass
        assert "geheim-7" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
    with way(postgres.url(name, user="ada", password="correct horse")):
        pass


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: url + "_none", "does not exist"),
        (lambda url: url.replace("hub@", "nobody@"), "does not exist"),
        (lambda _: "service=none", "service"),
        (lambda url: url + "?nonsense=geheim", "invalid.*: look at its address"),
        (lambda url: url + "?sslmode=geheim", "invalid"),
        (lambda url: url + "?sslmode=require", "SSL"),
    ],
)
def test_what_can_never_work_is_refused(hub_url, change, why):
    with pytest.raises(Refused, match=why) as caught, way(change(hub_url)):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("host=127.0.0.1 port=1 dbname=x", "Connection refused"),
        ("host=127.0.0.1,127.0.0.1 port=1,1 dbname=x", "Connection refused"),
        ("host=/none dbname=x", "No such file or directory"),
    ],
)
def test_a_server_that_is_not_there_is_said_in_few_words(text, why):
    with pytest.raises(Away) as caught, way(text):
        pass
    assert str(caught.value) == f"the hub at {text} is not reached ({why})"


def test_where_a_wrong_password_was_found_is_said(hub_url, postgres, tmp_path, monkeypatch):
    postgres.role("bo", password="correct horse")
    (tmp_path / "pgpass").write_text("*:*:*:bo:geheim-7\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    with (
        pytest.raises(Refused, match=r'"bo"; password retrieved from file') as caught,
        way(postgres.url(hub_url.rpartition("/")[2], user="bo", password=None)),
    ):
        pass
    assert "geheim" not in str(caught.value)


def test_a_server_that_is_full_is_away(hub_url, postgres):
    name = hub_url.rpartition("/")[2]
    postgres.sql(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    with pytest.raises(Away, match="too many connections"), way(hub_url):
        pass


def test_a_host_that_does_not_answer_leaves_the_next_one_its_turn(hub_url, postgres):
    with way(hub_url.replace("@127.0.0.1", "@127.0.0.1:1,127.0.0.1")) as there:
        assert there.raw is not None


def test_a_place_is_tried_for_a_part_of_the_time():
    tried = [("host=a,b,c", 12, "4"), ("host=a", 12, "6"), ("service=hub", 1, "2")]
    for text, patience, part in tried:
        assert parsed(text).for_libpq(patience)["connect_timeout"] == part


def test_a_host_that_says_nothing_leaves_time_for_the_next_one(hub_url, postgres, monkeypatch):
    whole = address.Address.for_libpq
    monkeypatch.setattr(address.Address, "for_libpq", lambda self, _: whole(self, 1))
    with Proxy(postgres.port) as wire:
        wire.stall()
        url = hub_url.replace("@127.0.0.1", f"@127.0.0.1:{wire.port},127.0.0.1")
        with way(url) as there:
            assert there.raw is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "raise ImportError('no pq wrapper available.\\nAttempts made: x')",
            "no pq wrapper available",
        ),
        (
            "__version__ = '3.1.9'\nclass _Any:\n    __getitem__ = None\nConnection = dict\nsql = None",
            "3.2 is needed",
        ),
    ],
)
def test_a_driver_that_is_of_no_use_is_named(tmp_path, text, why):
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").write_text(text)
    (tmp_path / "psycopg" / "waiting.py").write_text("Ready = Wait = None")
    script = (
        "from prodigy_git.hub import address, connection\n"
        "try: connection.connected(address.parsed('service=x', 'URL'), patience=1)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    )  # fmt: skip
    assert done.stdout.startswith("Refused psycopg cannot be used (")
    assert (why in done.stdout, "'.[hub]'" in done.stdout, done.stdout.count("\n")) == (
        True,
        True,
        1,
    )


@pytest.mark.parametrize("way_of_it", ["in", "out"])
def test_a_network_that_stalls_within_a_copy_ends_it(hub_url, postgres, way_of_it):
    rows(
        hub_url,
        "CREATE TABLE t (line text)",
        "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 9999)",
    )
    with (
        Proxy(postgres.port) as wire,
        way(hub_url.replace(f":{postgres.port}", f":{wire.port}")) as there,
    ):

        def copies():
            with connection.transaction(there, within=2) as tx:
                if way_of_it == "in":
                    with tx.cursor().copy("COPY t FROM STDIN") as copy:
                        wire.stall()
                        while True:
                            copy.write(b"x" * 1000 + b"\n")
                with tx.cursor().copy("COPY t TO STDOUT") as copy:
                    wire.stall()
                    for _ in copy:
                        pass

        with pytest.raises(Away):
            copies()
        wire.reset()
        wire.pass_on()
        with connection.transaction(there, within=PATIENCE) as tx:
            assert tx.execute("SELECT count(*) FROM t").fetchone() == (9999,)


def test_a_standby_is_away(hub_url, postgres):
    """It may be the primary in a moment."""
    copy = postgres.backup()
    postgres.stop()
    mark = postgres.data / "standby.signal"
    mark.touch()
    shutil.chown(mark, *postgres.data.stat()[4:6])
    try:
        postgres.start()
        with (
            way(hub_url) as there,
            pytest.raises(Away, match="name its primary"),
            connection.transaction(there, within=PATIENCE),
        ):
            pass
    finally:
        postgres.stop()
        postgres.restore(copy)


def test_a_passwords_text_in_a_servers_message_is_hidden():
    where = parsed("postgresql://ada:geheim@db/hub")
    told = driver.in_words(psycopg.OperationalError('FATAL:  "geheim" is\n wrong'), where)
    assert "geheim" not in str(told)
    assert "\n" not in str(told)


def test_no_deadline_is_in_the_past_for_a_clock_that_is_set():
    assert socket_waits.now() <= time.clock_gettime(
        getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    )


def test_transactions_go_through_pgbouncer(pgbouncer):
    with way(pgbouncer) as one, way(pgbouncer) as two:
        seen = set()
        for _ in range(5):
            for there in (one, two):
                with connection.transaction(there, within=PATIENCE) as tx:
                    seen.add(tx.execute("SELECT pg_backend_pid(), %s", ("x",)).fetchone()[0])
                    assert tx.execute("SHOW statement_timeout").fetchone() == ("1min",)
        assert seen
