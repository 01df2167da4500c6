"""sessions clean, events clean: by the ages in the data, into the trash, nothing running."""

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

from prodigy_git.cleanup.records import by_age, job_ages
from prodigy_git.record import clock

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


@pytest.mark.parametrize("archive", [[], ["--archive"]])
def test_the_output_of_a_jobs_commands_goes_with_the_last_of_its_log(repo, store, archive):
    from support_run import done, started

    cwd = started(repo, repo.parent, "x")
    done(cwd, "--", "sh", "-c", "echo said; echo 1 > $PRODIGY_RESULT")
    ok("job", "finish", "j", cwd=cwd)
    folder = store / "logs/repo/j"
    (log,) = folder.glob("*.log")
    for name in ("process.json", "stop"):  # as of one whose worker was killed
        log.with_suffix(f".{name}").write_text("{}")
    output = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert [name.partition(".")[2] for name in sorted(output)] == [
        "item.json",
        "log",
        "process.json",
        "result.json",
        "stop",
    ]
    young = write_log(store, "repo", "j", "events-29990111.jsonl", line(NEW))
    command = ("clean", "--events", "--older-than", "0s", "--yes", "--json", *archive)
    assert ok(*command, cwd=cwd).json["output"]["items"] == []
    young.unlink()
    found = ok(*command, cwd=cwd).json["output"]
    assert found["count"] == 5
    assert not folder.exists()
    trash = store / "trash/repo/j/output"
    assert {path.name: path.read_bytes() for path in trash.iterdir()} == output
    assert "nothing that prodigy-git knows" not in ok("clean", "--dry-run", "-v", cwd=cwd).out


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


@pytest.mark.parametrize("command", [("sessions", "clean"), ("events", "clean")], ids=" ".join)
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


@pytest.mark.parametrize("names_it", [True, False])
def test_a_session_that_begins_between_looking_and_doing_keeps_its_jobs_log(store, names_it):
    write_log(store, "r", "j", "events-20250111.jsonl", line())
    write_log(store, "r", "k", "events-20250111.jsonl", line())
    found = by_age.find(str(store), {"events": clock.now()}, pytest.fail)
    assert len(found) == 2
    metadata = {"repo": "r", "job_id": "j"} if names_it else {"job_id": "j"}
    foreign_session(store, "s", status="Running", completed_at=None, metadata=metadata)
    said = []
    (went,) = by_age.carry_out(str(store), found, said.append)
    assert went.name == "r/k/events-20250111.jsonl"
    assert "runs again" in said[0]
    assert logs(store) == ["r/j/events-20250111.jsonl"]


def test_whether_one_has_begun_since_is_seen_from_its_own_file_alone(store):
    foreign_session(store, "ended", metadata={"repo": "r", "job_id": "j"})
    known = job_ages.jobs_of(str(store), pytest.fail)
    assert not job_ages.begun_since(str(store), "r", "j", known)
    foreign_session(store, "other", status="Running", metadata={"repo": "r", "job_id": "k"})
    assert not job_ages.begun_since(str(store), "r", "j", known)
    rewrite_session(store, "ended", status="Running")  # restored
    assert job_ages.begun_since(str(store), "r", "j", known)
    (store / "sessions" / "ended.json").unlink()
    assert not job_ages.begun_since(str(store), "r", "j", known)
    (store / "sessions" / "damaged.json").write_text("{")
    assert job_ages.begun_since(str(store), "r", "j", known)


def test_what_is_younger_or_gone_by_then_is_left_out(store):
    path = write_log(store, "r", "j", "events-20250111.jsonl", line())
    gone = write_log(store, "r", "k", "events-20250111.jsonl", line())
    foreign_session(store, "s")
    limits = {"events": clock.now(), "sessions": clock.now()}
    found = by_age.find(str(store), limits, pytest.fail)
    path.write_text(path.read_text() + json.dumps(line(NEW)) + "\n")
    gone.unlink()
    rewrite_session(store, "s", status="Running")
    assert by_age.carry_out(str(store), found[1:], lambda _: None) == []  # a job with a session
    assert by_age.carry_out(str(store), found[:1], pytest.fail) == []
    rewrite_session(store, "s", status="Completed")
    assert by_age.carry_out(str(store), found[1:], pytest.fail) == []
    assert path.exists()
