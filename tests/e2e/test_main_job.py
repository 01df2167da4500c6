"""The main job as a user runs it, and then: everything that the seeds promise, under the store."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support_cli import PACKAGE_PARENT, new, ok
from support_sealed import GIT_CONFIG
from support_user import environment

# The first commit's time is long ago: see the fixture `repo`.
BEFORE = """\
git init -q repo && cd repo && echo "a repository" >README && git add README
GIT_COMMITTER_DATE=2025-01-11T12:00:00Z git commit -q -m Start
"""
TRANSCRIPT = """\
set -e
prodigy_git() { "$PYTHON" -m prodigy_git "$@"; }
prodigy_git install >/dev/null
cd "$(prodigy_git new-worktree --job mapreduce-123 --agent agent-1 --item item-1)"
pwd
echo hi > a.txt && git add a.txt && git commit -q -m "first"
git commit -q --amend -m "first, better"
prodigy_git events ls --job mapreduce-123
echo ---
prodigy_git sessions list
echo ---
prodigy_git worktree ls
echo ---
prodigy_git finish
prodigy_git worktree clean --all
"""


class Done(NamedTuple):
    """What the transcript left: what it printed, in sections, the worktree's path, and the store."""

    said: list[str]
    path: Path
    store: Path


@pytest.fixture(scope="module")
def done(scratch):
    """Run the transcript, once: the tests look at what it left, and change nothing."""
    home = scratch / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(GIT_CONFIG)
    # Another user's interpreter has its libraries elsewhere.
    libraries = os.pathsep.join(filter(None, [PACKAGE_PARENT, os.environ.get("PYTHONPATH")]))
    env = environment(scratch, PYTHON=sys.executable, PYTHONPATH=libraries)
    run = subprocess.run(
        ["sh", "-c", BEFORE + TRANSCRIPT], cwd=scratch, env=env,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    path, _, rest = run.stdout.partition("\n")
    return Done(rest.split("---\n"), Path(path), scratch / "store")


def test_what_the_user_sees(done):
    (events, sessions, worktrees, last), path, _ = done
    assert path.name.startswith("agent-")
    for word in ("SessionStarted", "WorktreeCreated", "AgentStarted", "CommitsRewritten"):
        assert word in events
    assert events.count("CommitCreated") == 2
    assert "first, better" in events
    assert "Running" in sessions
    assert "mapreduce-123" in sessions
    assert str(path) in worktrees
    assert "Completed, 1 commit" in last
    assert "cleaned" in last


def test_the_stores_files_by_name(done):
    _, path, store = done
    jobs = store / "state" / "repo" / "mapreduce" / "jobs" / "mapreduce-123"
    expected = [
        store / "sessions" / f"{path.name}.json",
        store / "state" / "repo" / "repository.json",
        store / "state" / "repo" / "mappings" / "session-to-job.json",
        store / "state" / "repo" / "mappings" / "job-to-session.json",
        jobs / "setup-checkpoint.json",
        jobs / "job-state.json",
    ]
    assert [str(p) for p in expected if not p.is_file()] == []
    (log,) = (store / "events" / "repo" / "mapreduce-123").iterdir()
    assert re.fullmatch(r"events-\d{8}\.jsonl", log.name)
    assert list(jobs.glob("map-checkpoint-*.json"))
    assert (store / "worktrees" / "repo").is_dir()
    assert not path.exists()
    assert list((store / "trash" / "repo" / path.name).glob("*/worktree/a.txt"))


def test_nobody_else_can_read_it(done):
    trash = done.store / "trash"
    for path in [done.store, *done.store.rglob("*")]:
        # What git made itself (the worktree, whole, in the trash) has the modes that git gives.
        if trash in path.parents and ("worktree" in path.parts or "git" in path.parts):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"


def test_every_event_has_its_envelope_and_fields(done):
    _, path, store = done
    (file,) = store.glob("events/*/mapreduce-123/*.jsonl")
    log = [json.loads(line) for line in file.read_text().splitlines()]
    own = {
        "SessionStarted": {"created_by", "base"},
        "WorktreeCreated": {"worktree_name", "branch", "base"},
        "AgentStarted": {"item_id", "worktree", "attempt"},
        "CommitCreated": {"commit", "parent", "action", "branch", "subject", "worktree"},
        "CommitsRewritten": {"command", "rewrites"},
        "AgentCompleted": {"item_id", "duration", "commits"},
        "WorkItemProcessed": {"item_id", "status"},
        "SessionFinished": {"status"},
        "CheckpointSaved": {"phase", "checkpoint_path", "version"},
        "WorktreeCleaned": {"worktree_name", "trash_path", "salvage_ref"},
    }
    assert {event["type"] for event in log} == set(own)
    assert len({event["id"] for event in log}) == len(log)
    for event in log:
        assert event["event_type"] == event["type"]
        assert list(event)[:4] == ["id", "timestamp", "type", "event_type"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])
        assert event["job_id"] == "mapreduce-123"
        if event["type"] == "CheckpointSaved":  # of the job, not of one session
            assert event["correlation_id"] == "mapreduce-123"
        else:
            assert (event["session_id"], event["agent_id"]) == (path.name, "agent-1")
            assert event["correlation_id"] == path.name
        assert own[event["type"]] <= set(event), event
        assert None not in event.values()
    stamps = [event["timestamp"] for event in log]
    assert stamps == sorted(stamps)
    first, second = (e for e in log if e["type"] == "CommitCreated")
    assert (first["action"], second["action"]) == ("commit", "amend")
    (rewritten,) = (e for e in log if e["type"] == "CommitsRewritten")
    assert rewritten["rewrites"] == [{"old": first["commit"], "new": second["commit"]}]
    (completed,) = (e for e in log if e["type"] == "AgentCompleted")
    assert completed["commits"] == [second["commit"]]
    assert set(completed["duration"]) == {"secs", "nanos"}


def test_the_sessions_file_has_every_field(done):
    _, path, store = done
    fields = json.loads((store / "sessions" / f"{path.name}.json").read_text())
    assert set(fields) == {
        "id", "session_type", "status", "started_at", "updated_at", "completed_at", "metadata",
        "checkpoints", "timings", "error", "workflow_data", "mapreduce_data",
    }  # fmt: skip
    assert (fields["session_type"], fields["status"]) == ("MapReduce", "Completed")
    assert set(fields["mapreduce_data"]) == {
        "job_id", "total_items", "processed_items", "failed_items", "agent_count", "phase",
        "reduce_results",
    }  # fmt: skip
    assert {
        "repo", "repo_path", "worktree_path", "branch", "base_branch", "base_commit", "job_id",
        "agent_id", "item_id", "host", "pid", "created_by", "last_commit", "commits",
    } <= set(fields["metadata"])  # fmt: skip
    assert fields["metadata"]["commits"] == 2
    for checkpoint in fields["checkpoints"]:
        assert set(checkpoint) == {"id", "created_at", "state", "metadata"}


def test_the_jobs_documents_have_every_field(done):
    jobs = done.store / "state" / "repo" / "mapreduce" / "jobs" / "mapreduce-123"
    common = {"phase", "timestamp", "version", "job_id"}
    setup = json.loads((jobs / "setup-checkpoint.json").read_text())
    assert common | {"completed"} <= set(setup)
    assert (setup["version"], setup["completed"]) == (1, True)
    newest = sorted(jobs.glob("map-checkpoint-*.json"))[-1]
    assert common | {
        "completed_items", "in_progress_items", "pending_items", "failed_items", "agent_results",
    } <= set(json.loads(newest.read_text()))  # fmt: skip


def test_a_failed_item_goes_to_the_dead_letter_queue(repo, store, events):
    made = new(repo, "w1", "--job", "j", "--agent", "agent-1", "--item", "item-1")
    ok("finish", "--failed", "--error", "Agent failed", "--log", "/l.json", cwd=made["worktree"])
    path = store / "dlq" / "repo" / "j" / "dlq-items.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (item,) = json.loads(path.read_text())["items"]
    assert item["item_id"] == "item-1"
    assert {"work_item", "failure_count", "error_signature", "reprocess_eligible"} <= set(item)
    (failure,) = item["failure_history"]
    assert (failure["error"], failure["agent_id"]) == ("Agent failed", "agent-1")
    assert failure["json_log_location"] == "/l.json"
    assert {"timestamp", "attempt_number", "error_type", "duration_ms"} <= set(failure)
    types = [event["type"] for event in events("j")]
    assert types.index("AgentFailed") < types.index("SessionFinished")
    assert types.count("DLQItemAdded") == 1
