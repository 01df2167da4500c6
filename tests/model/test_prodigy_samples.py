"""Files in the shapes that Prodigy writes, made by hand: read by our commands, and left as they are."""

import json
import shutil
from pathlib import Path

import pytest
from support_cli import call, ok

from prodigy_git.store import mappings

SAMPLES = Path(__file__).parents[1] / "samples" / "prodigy"
JOB = "mapreduce-7"


@pytest.fixture
def theirs(repo, store):
    """A store as Prodigy leaves it, of the repository `repo`."""
    places = {
        "session-workflow.json": "sessions/session-11111111.json",
        "session-mapreduce.json": "sessions/session-22222222.json",
        "events.jsonl": f"events/repo/{JOB}/events-20250111_120000.jsonl",
        "dlq-item.json": f"dlq/repo/{JOB}/items/item_1.json",
        "mapping-session.json": "state/repo/mappings/session-22222222.json",
        "dlq-seed.json": "dlq/repo/seed/dlq-items.json",
    }
    for name, place in places.items():
        (store / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / name, store / place)
    (store / "events/repo/seed").mkdir(parents=True)
    return [store / place for place in places.values()]


def test_every_command_reads_them_and_changes_nothing(repo, store, theirs):
    before = [path.read_bytes() for path in theirs]
    sessions = ok("sessions", "list", "--json", cwd=repo).json
    assert [one["session_id"] for one in sessions] == ["session-11111111", "session-22222222"]
    shown = ok("sessions", "show", "session-11111111", "--json", cwd=repo).json
    assert shown["future_field"] == {"kept": True}
    assert shown["timings"]["total"] == {"secs": 12, "nanos": 500000000}
    ok("worktree", "ls", "--json", cwd=repo)
    call("doctor", "--json", cwd=repo)
    call("clean", "--dry-run", "--json", cwd=repo)
    types = [one["type"] for one in ok("events", "ls", "--json", "--job", JOB, cwd=repo).lines]
    assert types == [
        "JobStarted", "AgentStarted", "AgentCompleted", "AgentStarted", "AgentFailed",
        "WorkItemProcessed",
    ]  # fmt: skip
    state = ok("job", "show", JOB, "--json", cwd=repo).json
    # item_0's AgentCompleted names its agent only; item_1 is in Prodigy's queue.
    assert (state["completed"], state["dead"], state["in_progress"]) == (1, 1, 0)
    (item,) = ok("dlq", "list", "--job", JOB, "--json", cwd=repo).json
    assert (item["item_id"], item["priority"]) == ("item_1", 9)
    text = ok("dlq", "show", "item_1", "--job", JOB, cwd=repo).out
    assert "Timeout after 300 seconds" in text
    assert "uncommitted changes: diff" in text
    stats = ok("dlq", "stats", "--job", JOB, "--json", cwd=repo).json
    assert stats["reasons"] == {"CommandFailed": 1}
    (seed,) = ok("dlq", "list", "--job", "seed", "--json", cwd=repo).json
    assert seed["failure_history"][0]["error"] == "Agent failed"
    assert mappings.sessions_of(str(store), JOB, pytest.fail) == ["session-22222222"]
    assert [path.read_bytes() for path in theirs] == before


def test_an_item_of_theirs_is_not_handed_out_before_it_was_taken_over(repo, store, theirs):
    before = [path.read_bytes() for path in theirs]
    for command in (["dlq", "retry", "item_1", "--job", JOB], ["job", "next", JOB]):
        refused = call(*command, cwd=repo)
        assert (refused.code, refused.out) == (1, "")
        assert f"'prodigy-git import {JOB}' takes it over" in refused.err
    # Nothing here says that the run was this repository's: no worktree, no branch.
    assert "none of this repository's that can be proven" in call("import", JOB, cwd=repo).err
    assert [path.read_bytes() for path in theirs] == before


def test_what_is_not_known_survives_a_rewrite(repo, store):
    made = ok("new-worktree", "w", "--job", "j", "--json", cwd=repo).json
    path = store / "sessions" / "w.json"
    fields = json.loads(path.read_text())
    fields["future"] = [1]
    fields["mapreduce_data"]["unknown"] = "kept"
    path.write_text(json.dumps(fields))
    ok("finish", cwd=made["worktree"])
    after = json.loads(path.read_text())
    assert after["status"] == "Completed"
    assert (after["future"], after["mapreduce_data"]["unknown"]) == ([1], "kept")


def test_one_damaged_file_of_theirs_is_told_and_the_others_are_read(repo, store, theirs):
    (theirs[3].parent / "item_2.json").write_text("{")
    done = call("dlq", "list", "--job", JOB, "--json", cwd=repo)
    assert (done.code, len(done.json)) == (0, 1)
    assert "item_2.json cannot be read" in done.err
