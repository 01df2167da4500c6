"""clean, the one maintenance command: which kinds, of which repository, and what it asks and says."""

import json
import os
import pty
import re
import select
from pathlib import Path

import pytest
from support_cli import (
    call,
    foreign_session,
    new,
    ok,
    refused,
    rewrite_session,
    session_file,
    snapshot,
    start,
    write_log,
)

OLD, NEW = "2025-01-11T12:00:00Z", "2999-01-11T12:00:00Z"
KINDS = ("checkpoints", "dlq", "events", "sessions", "trash", "worktrees")


def line(timestamp=OLD, **more):
    return {"type": "X", "timestamp": timestamp, **more}


def checkpoint(store, job, name, repo="repo", **fields):
    path = store / "state" / repo / "mapreduce" / "jobs" / job / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))
    return path


def queue(store, job, *items, repo="repo"):
    path = store / "dlq" / repo / job / "dlq-items.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"items": list(items)}))
    return path


def everything(store, job="old", when=OLD, repo="repo"):
    """Write a job's records of every kind; return their paths."""
    foreign_session(
        store, f"s-{job}", completed_at=when, metadata={"repo": repo, "job_id": job}
    )  # fmt: skip
    return {
        "sessions": store / "sessions" / f"s-{job}.json",
        "events": write_log(store, repo, job, "events-20250111.jsonl", line(when)),
        "setup": checkpoint(store, job, "setup-checkpoint", repo, timestamp=when),
        "map": checkpoint(store, job, "map-checkpoint-1", repo, timestamp=when),
        "state": checkpoint(store, job, "job-state", repo, updated_at=when, phase="map"),
        "dlq": queue(store, job, {"item_id": "i", "last_attempt": when}, repo=repo),
    }


def left(paths):
    return {kind for kind, path in paths.items() if path.exists()}


@pytest.fixture
def known(repo, store):
    """Make the store know the repository."""
    new(repo, "w0")
    return repo


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ((), ["sessions", "events"]),
        (("--sessions",), ["sessions"]),
        (("--events",), ["events"]),
        (("--checkpoints",), ["setup", "map", "state"]),
        (("--dlq",), ["dlq"]),
        (("--events", "--dlq"), ["events", "dlq"]),
        (("--all",), ["sessions", "events", "setup", "map", "state", "dlq"]),
        (("--trash",), []),
        (("--all", "--older-than", "99999d"), []),
    ],
    ids=" ".join,
)
def test_each_kind_of_this_repository_and_nothing_else(known, store, options, gone):
    gone = set(gone)
    old, young, other = (
        everything(store), everything(store, "young", NEW), everything(store, "o", repo="other"),
    )  # fmt: skip
    texts = {kind: path.read_bytes() for kind, path in old.items()}
    before = snapshot(store)
    would = ok("clean", *options, "--dry-run", "--json", cwd=known).json
    assert snapshot(store) == before
    said = ok("clean", *options, "--yes", "--json", cwd=known).json
    assert left(old) == set(old) - gone
    assert left(young) == left(other) == set(old)
    # The dry run told what was then done, the repairs' own words aside.
    for report in (would, said):
        report.pop("drift", None)
        for one in report.values():
            for item in one["items"]:
                item.pop("last_at", None)
                # How long ago something was, and how many processes there are, is another number then.
                item["reasons"] = [re.sub("[0-9]+", "", one) for one in item.get("reasons", ())]
                item.pop("unseen", None)
                item["result"] = item.get("result", "").replace("would-", "")
    assert would == said
    items = [item for kind, one in said.items() if kind != "worktrees" for item in one["items"]]
    assert {Path(item["trash_path"]).read_bytes() for item in items} == {texts[k] for k in gone}
    assert sum(one["bytes"] for one in said.values()) == sum(len(texts[k]) for k in gone)
    assert sum(one["count"] for one in said.values()) == len(gone)


def test_all_repositories_and_those_of_none(known, store):
    mine, other = everything(store), everything(store, "o", repo="other")
    foreign_session(store, "nobody's")
    ok("clean", "--all", "--all-repos", "--yes", cwd=store)
    assert left(mine) == left(other) == set()
    assert {path.stem for path in (store / "sessions").glob("*.json")} == {"nobody's", "w0"}
    foreign_session(store, "nobodys")
    ok("clean", "--sessions", "--yes", cwd=known)
    assert (store / "sessions" / "nobodys.json").exists()
    ok("clean", "--sessions", "--all-repos", "--yes", cwd=known)
    assert not (store / "sessions" / "nobodys.json").exists()


def test_a_repository_the_store_does_not_know_has_nothing_to_clean(repo, store):
    other = everything(store, repo="other")
    before = snapshot(store)
    assert ok("clean", "--all", "--yes", cwd=repo).out == "nothing to clean\n"
    assert snapshot(store) == before
    assert left(other) == set(other)


def test_wrong_usage(repo, store, tmp_path):
    everything(store)
    assert "--yes" in refused("clean", cwd=repo, code=2)
    assert "--all-repos" in refused("clean", "--yes", cwd=tmp_path)
    assert "--events" in refused("clean", "--sessions", "--archive", "--yes", cwd=repo, code=2)
    refused("clean", "--older-than", "soon", cwd=repo, code=2)


def in_terminal(*arguments, cwd, answer):
    """Run the command line on a terminal and answer its question; return exit code and all output."""
    master, slave = pty.openpty()
    child = start(*arguments, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, text=False)
    os.close(slave)
    said, answered = b"", False
    while select.select([master], [], [], 60)[0]:
        try:
            said += os.read(master, 4096)
        except OSError:
            break  # the other end is closed
        if b"[y/N]" in said and not answered:
            os.write(master, answer)
            answered = True
    os.close(master)
    return child.wait(60), said.decode()


@pytest.mark.parametrize("archiving", [False, True])
def test_on_a_terminal_it_asks(known, store, archiving):
    paths = everything(store)
    options = ["--sessions", "--events", *(["--archive"] if archiving else [])]
    before = snapshot(store)
    code, said = in_terminal("clean", *options, cwd=known, answer=b"n\n")
    assert (code, "nothing was changed" in said) == (1, True)
    size = paths["events"].stat().st_size
    expected = f"1 log file ({size} B)" + (" to be compressed" if archiving else "")
    assert "1 session (" in said
    assert expected in said
    after = snapshot(store)
    assert {path: after[path] for path in before} == before
    assert {p for p in after if p not in before and "/locks" not in p} == set()
    code, said = in_terminal("clean", *options, cwd=known, answer=b"y\n")
    assert code == 0
    assert not left(paths) & {"sessions", "events"}
    assert "KIND" in said
    code, said = in_terminal("clean", *options, cwd=known, answer=b"")
    assert (code, "nothing to clean" in said, "[y/N]" in said) == (0, True, False)


def test_a_summary_by_kind_and_with_v_each_thing(known, store):
    paths = everything(store)
    text = ok("clean", "--all", "--dry-run", cwd=known).out
    assert "would go to the trash" in text
    assert f"events repo/old/{paths['events'].name}: would go to the trash, " in text
    done = ok("clean", "--all", "--archive", "--yes", cwd=known)
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in done.out.splitlines()}
    assert {kind: row[0] for kind, row in rows.items()} == {
        "sessions": "1", "events": "1", "checkpoints": "3", "dlq": "1",
    }  # fmt: skip
    assert rows["events"][2].startswith("archived, ")
    assert rows["dlq"][2] == "gone to the trash"


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        ({"sessions": {"gone": "Running"}}, True),
        ({"sessions": {"gone": "Completed"}}, False),
        ({"sessions": {"s-old": "Running"}}, False),  # its file knows better
        ({"sessions": {"logged": "Running"}}, False),  # so does the log
        ({"sessions": {"gone": ["odd"]}}, True),
        ({"in_progress_items": {"i": {}}}, True),
        ({"in_progress_items": {"i": {}}, "phase": "complete"}, False),
        ({"is_complete": False}, True),
        ({"is_complete": True}, False),
        ({"status": "running"}, True),
        ({}, False),
    ],
)
def test_a_job_whose_state_says_that_it_runs_keeps_everything(known, store, state, runs):
    paths = everything(store)
    write_log(
        store, "repo", "old", "events-20250110.jsonl",
        line(event_type="SessionStarted", type="SessionStarted", session_id="logged"),
        line(type="SessionFinished", session_id="logged", status="Completed"),
    )  # fmt: skip
    checkpoint(store, "old", "job-state", updated_at=OLD, **state)
    ok("clean", "--all", "--older-than", "0s", "--yes", cwd=known)
    kept = set(paths) - {"sessions"}
    assert left(paths) == (kept if runs else set())


@pytest.mark.parametrize("status", ["Initializing", "Running", "Paused"])
def test_a_session_that_has_not_ended_keeps_its_jobs_records(known, store, status):
    paths = everything(store)
    foreign_session(store, "runs", status=status, completed_at=None, metadata={"job_id": "old"})
    ok("clean", "--all", "--older-than", "0s", "--yes", cwd=known)
    assert left(paths) == set(paths) - {"sessions"}


@pytest.mark.parametrize(
    "damage",
    [b"{", b"", b"[]", b'{"items": {}}', b'{"items": [{"item_id": "i"}], "x": 1}', b"\xff\xfe",
     b'{"timestamp": 5}', b"[" * 9999],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["sessions", "events", "setup", "map", "state", "dlq"])
def test_what_is_damaged_or_undated_is_kept_and_reported(known, store, kind, damage):
    paths = everything(store)
    paths[kind].write_bytes(damage + b"\n")
    # An empty line, and a queue without items.
    harmless = (kind, damage) in (("events", b""), ("dlq", b'{"timestamp": 5}'))
    done = ok("clean", "--all", "--older-than", "0s", "--yes", cwd=known)
    assert kind in left(paths)
    assert (paths[kind].name in done.err) is not harmless, done.err
    if kind in ("setup", "map"):  # they go together
        assert {"setup", "map", "state"} <= left(paths)
    elif kind in ("events", "dlq"):
        assert left(paths) == {kind}
    elif kind == "state" and damage not in (b'{"timestamp": 5}',) and b"items" not in damage:
        assert left(paths) == set(paths) - {"sessions"}  # perhaps it runs


def test_checkpoints_and_queues_go_whole_or_not_at_all(known, store):
    old, mixed = everything(store), everything(store, "mixed")
    checkpoint(store, "mixed", "map-checkpoint-2", timestamp=NEW)
    queue(store, "mixed", {"item_id": "a", "last_attempt": OLD}, {"item_id": "b",
          "failure_history": [{"timestamp": NEW, "error": "e"}]})  # fmt: skip
    os.utime(old["dlq"])
    os.utime(mixed["dlq"], (1, 1))
    ok("clean", "--checkpoints", "--dlq", "--yes", cwd=known)
    assert left(old) == {"sessions", "events"}
    assert left(mixed) == set(mixed)
    assert not old["dlq"].parent.exists()  # no empty folders remain


def test_a_failure_stops_nothing_else_and_is_said(known, store):
    paths = everything(store)
    (store / "trash" / "repo" / "old").mkdir(parents=True)
    (store / "trash" / "repo" / "old" / "events").write_text("in the way")
    done = call("clean", "--all", "--yes", cwd=known)
    assert done.code == 1
    assert f"error: repo/old/{paths['events'].name}: kept (" in done.err
    assert left(paths) == {"events"}


def test_worktrees_of_finished_sessions_go_and_running_ones_stay(repo, store, all_seen):
    done, running = new(repo, "w1", "--job", "j"), new(repo, "w2")
    ok("finish", "w1", cwd=repo)
    # Unused and young: left alone for a day.
    for name in ("w1", "w2"):
        rewrite_session(store, name, started_at=OLD)
    rewrite_session(store, "w1", completed_at=OLD)
    would = ok("clean", "--dry-run", "--json", cwd=repo).json["worktrees"]
    said = ok("clean", "--yes", "--json", cwd=repo).json["worktrees"]
    results = {one["name"]: one["result"] for one in said["items"]}
    assert results == {"w1": "cleaned", "w2": "refused"}
    assert (would["count"], said["count"]) == (1, 1)
    assert said["bytes"] > 0
    assert not Path(done["worktree"]).exists()
    assert Path(running["worktree"]).is_dir()
    # Its file waits for the next time, since it had its worktree when this began.
    assert session_file(store, "w1")["status"] == "Completed"
    rewrite_session(store, "w1", completed_at=OLD)
    ok("clean", "--yes", cwd=repo)
    assert not (store / "sessions" / "w1.json").exists()


def test_what_has_drifted_apart_is_shown_and_mended(known, store):
    empty = store / "dlq" / "repo" / "nothing"
    empty.mkdir(parents=True)
    assert (
        str(empty) not in ok("clean", "--dry-run", cwd=known).out
    )  # somebody may just have made it
    os.utime(empty, (1, 1))
    assert str(empty) in ok("clean", "--dry-run", cwd=known).out
    assert empty.exists()
    ok("clean", "--sessions", "--yes", cwd=known)
    assert empty.exists()
    assert "put right" in ok("clean", "--yes", cwd=known).out
    assert not empty.exists()


def test_the_trash_goes_by_its_retention_alone(known, store, git):
    ok("finish", "w0", cwd=known)
    ok("worktree", "clean", "w0", cwd=known)
    ok("clean", "--all", "--older-than", "0s", "--yes", cwd=known)
    (entry,) = (store / "trash" / "repo" / "w0").glob("*/entry.json")
    assert json.loads(entry.read_text())["state"] == "trashed"
    git("config", "prodigy.trashRetention", "0s", cwd=known)
    assert ok("clean", "--dry-run", "--json", "--trash", cwd=known).json["trash"]["count"] == 1
    assert json.loads(entry.read_text())["state"] == "trashed"
    assert ok("clean", "--yes", "--json", "--trash", cwd=known).json["trash"]["count"] == 1
    assert not entry.exists() or json.loads(entry.read_text())["state"] in ("emptying", "emptied")
