"""hub status and doctor: how this host stands with the hub, told also when it is away."""

import json
import os
import re
import uuid

import pytest
from support_cli import call
from support_hub import rows
from support_json_documented import COMMANDS, SHAPES, wrong
from support_proxy import Proxy

from prodigy_git import layout
from prodigy_git.hub import host


@pytest.fixture
def joined(repo, hub_url, store, tmp_path):
    """Have a repository take part, with a session and a commit, and a job with items of its own."""
    assert call("hub", "init", hub_url, cwd=repo).code == 0
    assert call("new-worktree", "w", "--job", "review", cwd=repo).code == 0
    (tmp_path / "items").write_text('{"id": "a"}\n')
    done = call("job", "start", "own", "--items", tmp_path / "items", cwd=repo)
    assert done.code == 0, done.err
    return repo


def status(repo, *words):
    done = call("hub", "status", "--json", *words, cwd=repo)
    found = json.loads(done.out)
    assert wrong(found, COMMANDS["hub status"], "hub status", set()) == []
    return done, found


def doctor(repo):
    found = json.loads(call("doctor", "--json", cwd=repo).out)
    return [(one["level"], one["words"]) for one in found if one["what"] in ("hub", "clock")]


def test_what_it_prints_is_documented(joined):
    seen = set()
    _, found = status(joined)
    assert wrong(found, COMMANDS["hub status"], "", seen) == []
    for shape in ("standing", "hub-host", "unshipped"):
        assert {key for name, key in seen if name == shape} == set(SHAPES[shape])


def test_a_hub_that_is_reached(joined, store, hub_url):
    done, found = status(joined)
    assert (done.code, done.err) == (0, "")
    assert (found["reached"], found["error"], found["schema"]) == (True, None, 1)
    assert (found["address"], found["configured_by"]) == (hub_url, "git config prodigy.hub")
    assert found["host_id"] == str(host.known(str(store)).id)
    assert [one["here"] for one in found["hosts"]] == [True]
    assert found["local_jobs"] == ["own"]
    (waits,) = found["unshipped"]
    log = list((store / "events").glob("*/review/*.jsonl"))
    assert (waits["job_id"], waits["bytes"]) == ("review", sum(one.stat().st_size for one in log))
    assert waits["events"] == sum(one.read_bytes().count(b"\n") for one in log)
    text = call("hub", "status", cwd=joined).out
    assert re.search(
        r"it is reached: tables of version 1, its clock agrees \(known within [1-9]\d* ms\)", text
    )
    assert "opened without --hub, and so only here: own" in text
    assert f"not shipped yet: review, {waits['events']} events" in text
    assert doctor(joined) == [
        ("ok", f"{hub_url} is reached; {waits['events']} events not shipped yet")
    ]


def test_what_was_shipped_is_not_waiting(joined, store):
    from prodigy_git.hub import address, connection, shipping
    from prodigy_git.hub.where import Where
    from prodigy_git.record import repokey

    where = address.configured(str(joined / ".git"), os.environ)
    repo = repokey.known(str(store), str(joined / ".git"))
    conn = connection.connected(where, patience=60)
    with connection.transaction(conn, within=60) as tx:
        number = tx.execute("INSERT INTO prodigy_hub.repository (label) VALUES ('r') RETURNING id")
        number = number.fetchone()[0]
    told = []
    place = Where(str(store), repo, "review", host.own(str(store)), told.append)
    assert shipping.ship(conn, place, number) > 0
    assert status(joined)[1]["unshipped"] == []
    assert call("event", "add", "--type", "note", "--job", "review", cwd=joined).code == 0
    (waits,) = status(joined)[1]["unshipped"]
    assert waits["events"] == 1
    # Another hub has none of it.
    rows(where.text, "UPDATE prodigy_hub.hub SET id = gen_random_uuid()")
    (waits,) = status(joined)[1]["unshipped"]
    assert waits["events"] > 1
    conn.close()


def test_a_hub_that_is_away(joined, store, hub_url, postgres):
    before = status(joined)[1]
    postgres.stop("immediate")
    done, found = status(joined)
    assert done.code == 6
    assert "is not reached" in found["error"]
    assert found["reached"] is False
    assert (found["hub_id"], found["schema"], found["clock_apart_seconds"]) == (None, None, None)
    assert found["unshipped"] == before["unshipped"]
    assert [one["host_id"] for one in found["hosts"]] == [found["host_id"]]
    assert found["hosts_at"] < before["hosts_at"]
    done = call("hub", "status", cwd=joined)
    assert (done.code, "is not reached" in done.err, "hosts, as of" in done.out) == (6, True, True)
    ((level, text),) = doctor(joined)
    assert (level, "is not reached" in text, "not shipped yet" in text) == ("warning", True, True)


def test_a_hub_that_stalls_is_given_up(joined, hub_url, postgres, git, monkeypatch):
    with Proxy(postgres.port) as wire:
        wire.stall()
        monkeypatch.setenv("PRODIGY_HUB", hub_url.replace(f":{postgres.port}", f":{wire.port}"))
        monkeypatch.setattr("prodigy_git.cli.hub_status._PATIENCE", 0.5)
        done, found = status(joined)
    assert (done.code, found["configured_by"]) == (6, "$PRODIGY_HUB")


def test_a_hub_that_does_not_let_us_in_or_is_of_another_version(joined, hub_url, git):
    rows(hub_url, "UPDATE prodigy_hub.hub SET version = 99")
    done, found = status(joined)
    assert (done.code, "install a newer" in found["error"]) == (1, True)
    assert [level for level, _ in doctor(joined)] == ["error"]
    rows(hub_url, "DROP SCHEMA prodigy_hub CASCADE")
    done, found = status(joined)
    assert (done.code, "run 'prodigy-git hub init'" in found["error"]) == (1, True)
    git("config", "prodigy.hub", "postgresql://a:geheim@b/c", cwd=joined)
    done = call("hub", "status", cwd=joined)
    assert (done.code, "take it out" in done.err, "geheim" in done.err) == (1, True, False)
    ((level, text),) = doctor(joined)
    assert (level, "take it out" in text, "geheim" in text) == ("error", True, False)


def test_without_a_hub_nothing_is_asked(repo, store):
    done = call("hub", "status", cwd=repo)
    assert (done.code, "no hub is configured" in done.err) == (1, True)
    assert doctor(repo) == []
    assert not (store / "hub").exists()


def test_one_who_has_not_taken_part_or_left_is_told(repo, hub_url, git, store):
    assert call("hub", "init", hub_url, cwd=repo).code == 0
    rows(hub_url, "UPDATE prodigy_hub.host SET left_at = now()")
    assert [one["left_at"] is None for one in status(repo)[1]["hosts"]] == [False]
    assert doctor(repo)[0][0] == "warning"
    os.unlink(layout.hub_host(str(store)))
    _, found = status(repo)
    assert found["host_id"] is None
    assert not os.path.exists(layout.hub_host(str(store)))
    assert "has not taken part yet" in call("hub", "status", cwd=repo).out
    assert "takes no part" in doctor(repo)[0][1]
    with open(layout.hub_host(str(store)), "w") as file:
        file.write("{")
    done = call("hub", "status", cwd=repo)
    assert (done.code, "is damaged: restore it" in done.err) == (1, True)
    assert doctor(repo)[0][0] == "error"


def test_what_others_wrote_of_themselves_does_no_harm(joined, hub_url):
    rows(
        hub_url,
        "INSERT INTO prodigy_hub.host (id, name, seen_at, left_at, clock_apart_us) VALUES"
        f" ('{uuid.UUID(int=1)}', E'a\\x1b[2Jb\\n', 'infinity', '-infinity', 9e18),"
        f" ('{uuid.UUID(int=2)}', repeat('x', 1000000), '20000-01-01', NULL, -9e18)",
    )
    _, found = status(joined)
    others = {one["host_id"]: one for one in found["hosts"] if not one["here"]}
    assert others[str(uuid.UUID(int=1))]["seen_at"] is None
    assert len(others[str(uuid.UUID(int=2))]["host"]) == 200
    done = call("hub", "status", cwd=joined)
    assert (done.code, "\x1b" in done.out) == (0, False)


def test_a_clock_that_is_wrong_is_a_warning(joined, monkeypatch):
    real = host.clock
    monkeypatch.setattr(host, "clock", lambda tx: host.Clock(real(tx).apart + 3_630_000_000, 1))
    assert doctor(joined)[1] == ("warning", "this host's clock is 1h 00m behind the hub's")
    assert "its clock 1h 00m ahead" in call("hub", "status", cwd=joined).out


def test_without_the_extra_it_says_so(joined, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("prodigy_git.hub.connection._kept.connection", None, raising=False)
    done, found = status(joined)
    assert (done.code, "'.[hub]'" in found["error"]) == (1, True)
    ((level, text),) = doctor(joined)
    assert (level, "psycopg" in text) == ("error", True)
