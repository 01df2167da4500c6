"""sessions clean, events clean, clean: by the ages in the data, into the trash, nothing running."""

import json
import os
from pathlib import Path

import pytest
from support_cli import (
    call,
    foreign_session,
    new,
    ok,
    refused,
    rewrite_session,
    snapshot,
    write_log,
)

OLD, NEW = "2025-01-11T12:00:00Z", "2999-01-11T12:00:00Z"


def stems(store):
    return sorted(path.stem for path in (store / "sessions").glob("*.json"))


def logs(store):
    return sorted(str(p.relative_to(store / "events")) for p in (store / "events").rglob("*.*"))


def line(timestamp=OLD):
    return {"type": "X", "timestamp": timestamp}


def test_sessions_by_the_age_in_the_data(store):
    foreign_session(store, "old")
    foreign_session(store, "old-by-its-last-change", completed_at=None)
    foreign_session(store, "recent", completed_at=NEW)
    for status in ("Initializing", "Running", "Paused"):
        foreign_session(store, status.lower(), status=status)
    os.utime(store / "sessions" / "recent.json", (1, 1))
    removed = ok("sessions", "clean", "--json").json
    assert [one["name"] for one in removed] == ["old", "old-by-its-last-change"]
    assert stems(store) == ["initializing", "paused", "recent", "running"]
    for one in removed:
        assert json.loads(Path(one["trash_path"]).read_text())["id"] == one["name"]


def test_a_finished_session_keeps_its_file_while_it_has_its_worktree(repo, store):
    new(repo, "w1")
    ok("finish", "w1")
    assert ok("sessions", "clean", "--older-than", "0s", "--json").json == []
    assert stems(store) == ["w1"]


def test_a_corrupt_session_file_is_named_and_left(store):
    foreign_session(store, "old")
    (store / "sessions" / "bad.json").write_text("{")
    done = ok("sessions", "clean")
    assert "bad.json" in done.err
    assert stems(store) == ["bad"]


def test_events_by_the_age_in_the_data(store):
    write_log(store, "r", "j", "events-20250111.jsonl", line(), line())
    write_log(store, "r", "j", "events-20250112.jsonl", line(), line(NEW))
    write_log(store, "r", "j", "events-20250113.jsonl", line(), {"type": "Undated"})
    write_log(store, "r", "j", "events-20250114.jsonl", line(), "{broken")
    touched = write_log(store, "r", "k", "events-20250115.jsonl", line(NEW))
    os.utime(touched, (1, 1))
    (one,) = ok("events", "clean", "--json").json
    assert one["name"] == "r/j/events-20250111.jsonl"
    assert Path(one["trash_path"]).read_text().count("\n") == 2
    assert logs(store) == [
        "r/j/events-20250112.jsonl", "r/j/events-20250113.jsonl", "r/j/events-20250114.jsonl",
        "r/k/events-20250115.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("whose", ["ours", "prodigy's"])
@pytest.mark.parametrize("status", ["Initializing", "Running", "Paused"])
def test_the_log_of_a_job_that_has_a_running_session_is_never_touched(store, whose, status):
    write_log(store, "r", "j", "events-20250111.jsonl", line())
    foreign_session(
        store, "s", status=status, completed_at=None, session_type="MapReduce",
        mapreduce_data={"job_id": "j"}, metadata={"repo": "r"} if whose == "ours" else {},
    )  # fmt: skip
    foreign_session(store, "ended", mapreduce_data={"job_id": "j"}, metadata={"repo": "r"})
    assert ok("events", "clean", "--older-than", "0s", "--json").json == []
    assert logs(store) == ["r/j/events-20250111.jsonl"]


def test_one_of_the_same_name_in_the_trash_is_not_overwritten(store):
    for number in (1, 2):
        write_log(store, "r", "j", "events-20250111.jsonl", *[line()] * number)
        ok("events", "clean")
    kept = [p.read_text().count("\n") for p in (store / "trash").rglob("events-*") if p.is_file()]
    assert sorted(kept) == [1, 2]


def test_a_corrupt_session_keeps_all_logs_since_its_job_may_be_running(store):
    write_log(store, "r", "j", "events-20250111.jsonl", line())
    foreign_session(store, "bad")
    (store / "sessions" / "bad.json").write_text("{")
    done = ok("events", "clean")
    assert "bad.json" in done.err
    assert logs(store) == ["r/j/events-20250111.jsonl"]


def test_clean_runs_all_three(repo, store):
    made = new(repo, "w1", "--job", "j")
    running = new(repo, "w2")
    ok("finish", "w1", cwd=repo)
    write_log(store, "repo", "old", "events-20250111.jsonl", line())
    foreign_session(store, "old")
    said = ok("clean", "--json", cwd=repo).json
    assert [(o["name"], o["result"]) for o in said["worktrees"]] == [("w1", "cleaned")]
    assert {(o["kind"], o["name"]) for o in said["removed"]} == {
        ("session", "old"), ("events", "repo/old/events-20250111.jsonl"),
    }  # fmt: skip
    assert not Path(made["worktree"]).exists()
    assert Path(running["worktree"]).is_dir()
    assert stems(store) == ["w1", "w2"]


def test_clean_outside_of_a_repository_says_what_it_leaves_out(store, tmp_path):
    foreign_session(store, "old")
    done = ok("clean", cwd=tmp_path)
    assert "not in a repository" in done.err
    assert stems(store) == []


@pytest.mark.parametrize(
    "command", [("sessions", "clean"), ("events", "clean"), ("clean",)], ids=" ".join
)
def test_dry_run_says_what_would_go_and_changes_nothing(repo, store, command):
    write_log(store, "r", "j", "events-20250111.jsonl", line())
    foreign_session(store, "old", metadata={"repo": "r"})
    before = snapshot(store, repo)
    would = ok(*command, "--dry-run", cwd=repo)
    assert "would go" in would.out
    assert snapshot(store, repo) == before
    done = ok(*command, cwd=repo)
    assert done.out.replace("gone", "would go") == would.out


@pytest.mark.parametrize("command", ["sessions", "events"])
def test_an_empty_store(command, store):
    assert ok(command, "clean", "--json").json == []
    refused(command, "clean", "--older-than", "soon", code=2)


def test_a_session_with_an_unsafe_repository_goes_nowhere(store, tmp_path):
    foreign_session(store, "s")
    rewrite_session(store, "s", metadata={"repo": "../../../escaped"})
    call("sessions", "clean")
    assert not list(tmp_path.glob("**/escaped*"))
