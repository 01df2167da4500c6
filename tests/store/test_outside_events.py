"""What is taken into a job's log from outside, and what is not."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_cli import ok, refused

from prodigy_git.errors import ProdigyError
from prodigy_git.model import known_events
from prodigy_git.model.event import parse_line
from prodigy_git.store import outside_events


def lines(store):
    (path,) = (store / "events/r/j").iterdir()
    return path.read_bytes().splitlines()


def record(store, *given):
    return outside_events.record(str(store), "r", "j", list(given))


VALID = {
    "AgentStarted": {"agent_id": "a", "item_id": "i"},
    "AgentCompleted": {"agent_id": "a", "duration": {"secs": 1, "nanos": 2}, "commits": ["abc1234"]},
    "AgentFailed": {"agent_id": "a", "error": "x"},
    "AgentRetrying": {"agent_id": "a", "attempt": 2, "backoff_ms": 5},
    "ClaimReleased": {"agent_id": "a", "item_id": "i", "attempt": 1, "reason": "interrupted"},
    "ClaimRenewed": {"agent_id": "a", "item_id": "i", "lease_until": "2025-01-11T12:00:00Z"},
    "WorkItemProcessed": {"item_id": "i", "status": "completed", "result": {"x": 1}},
    "CheckpointSaved": {"phase": "map", "checkpoint_path": "/p", "version": 1},
    "ClaudeMessage": {"content": "c", "message_type": "assistant", "json_log_location": "/l"},
    "JobStarted": {"total_items": 3},
    "JobPhaseChanged": {"from": "setup", "to": "map"},
    "PhaseOutputsAdded": {"phase": "setup", "outputs": {"base": "x", "files": [1]}},
    "JobCompleted": {"duration": {"secs": 1}, "success_count": 1, "failure_count": 0},
    "JobFailed": {"error": "x"},
    "JobPaused": {}, "JobResumed": {}, "JobCancelled": {"reason": "x"},
    "JobReopened": {"to": "map", "items": {"i": 2}},
    "WorkItemsAdded": {"part": 1, "items_sha256": "0" * 64, "count": 2},
    "SessionResumed": {"session_id": "s", "resumed": 1},
    "SessionStarted": {"session_id": "s", "created_by": "x", "base": "b"},
    "SessionFinished": {"session_id": "s", "status": "Completed"},
    "CommitCreated": {"commit": "abc1234", "parent": "abc1235", "action": "commit", "branch": "b"},
    "CommitsRewritten": {"command": "amend", "rewrites": [{"old": "abc1234", "new": "abc1235"}]},
    "WorktreeCreated": {"worktree_name": "w", "branch": "b"},
    "WorktreeCleaned": {"worktree_name": "w", "trash_path": "/t", "salvage_ref": "r"},
    "WorktreeRestored": {"worktree_name": "w"},
    "WorktreeMerged": {"target_branch": "main"},
    "WorktreeMergeUndone": {"target_branch": "main", "commit": "abc1234"},
    "MergeConflict": {"target_branch": "main", "files": ["f"], "with": [{"item_id": "i"}]},
    "MergeCheckFailed": {"target_branch": "main", "error": "exit status 1"},
    "BranchPushed": {
        "session_id": "s", "remote": "origin", "ref": "refs/heads/b.s", "head": "abc1234",
    },
    "BranchNotPushed": {
        "session_id": "s", "remote": "origin", "ref": "refs/heads/b.s", "head": "abc1234",
        "error": "exit status 128",
    },
    "DLQItemAdded": {"item_id": "i", "error_signature": "s", "failure_count": 1},
    "DLQItemRemoved": {"item_id": "i"},
    "DLQItemsReprocessed": {"count": 1},
    **{
        kind: {"agent_program": "claude", "program_session": "1f", **own}
        for kind, own in (
            ("AgentProgramStarted", {"source": "startup", "model": "m", "json_log_location": "/l"}),
            ("AgentProgramEnded", {"reason": "logout"}),
            ("ToolsUsed", {"tools": {"Bash": 2}, "failed": 1, "files": ["/a"]}),
            ("AgentWaiting", {"reason": "permission", "message": "May I?"}),
            ("SubagentStarted", {"subagent_id": "7", "subagent_type": "Explore"}),
            ("SubagentEnded", {"subagent_id": "7", "parent_session": "s"}),
        )
    },
}  # fmt: skip


def test_every_known_type_is_taken_as_it_is(store):
    assert set(VALID) == set(known_events.KNOWN)
    record(store, *({"type": kind, **fields} for kind, fields in VALID.items()))
    for line, (kind, fields) in zip(lines(store), VALID.items(), strict=True):
        event = parse_line(line)
        assert event.type == kind
        assert fields.items() <= event.fields().items()
        assert event.job_id == "j"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "type: missing"),
        ({"type": 7}, "type: missing"),
        ({"type": "no such\n"}, "no name of a type"),
        ({"type": "AgentFailed", "agent_id": "a"}, "AgentFailed.*error"),
        ({"type": "AgentFailed", "agent_id": "a", "error": 1}, r"AgentFailed.error"),
        ({"type": "AgentCompleted", "agent_id": "a", "duration": {"secs": "1"}},
         r"AgentCompleted.duration.secs"),
        ({"type": "AgentCompleted", "agent_id": "a", "commits": ["zzz"]}, r"AgentCompleted.commits"),
        ({"type": "Mine", "agent_id": "../a"}, "agent_id"),
        ({"type": "Mine", "job_id": "other"}, "job_id"),
        ({"type": "Mine", "id": "7"}, "id: expected a UUID"),
        ({"type": "Mine", "x": {"y": [float("nan")]}}, r"x.y\[0\]"),
        ({"type": "Mine", "x": 1 << 70}, "x: too large"),
        ({"type": "Mine", "x": object()}, "x: JSON has no form"),
        ({"type": "Mine", "x": "y" * 1_000_001}, "larger than"),
        ({"type": "WorkItemProcessed", "item_id": "i", "status": "?"}, "WorkItemProcessed.status"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused_with_the_fields_name(store, fields, said):
    with pytest.raises(ProdigyError, match=said):
        record(store, {"type": "Mine"}, fields)
    assert not (store / "events").exists()  # nothing of the batch


def test_an_event_with_an_id_is_recorded_once(store):
    one = {"type": "Mine", "id": "0b9b7dd2-0000-4000-8000-000000000001"}
    assert record(store, one) == record(store, one, {"type": "Other"})[:1]
    assert len(lines(store)) == 2


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda n: n not in ("written", "event")),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=5,
    )
)
def test_whatever_is_taken_is_read_back(scratch, fields):
    envelope = ("id", "type", "event_type", "timestamp", "correlation_id", "job_id", "session_id",
                "agent_id", "item_id")  # fmt: skip
    own = {name: value for name, value in fields.items() if name not in envelope}
    store = Path(tempfile.mkdtemp(dir=scratch))
    record(store, {**own, "type": "Mine", "timestamp": "then"})
    (line,) = lines(store)
    wanted = {name: value for name, value in own.items() if value is not None}
    assert parse_line(line).own() == {**wanted, "occurred_at": "then"}


def test_event_add(repo, events, monkeypatch, tmp_path):
    made = ok("new-worktree", "--job", "j", "--agent", "a1", "--item", "i", "--json", cwd=repo).json
    here = made["worktree"]
    identity = ok(
        "event", "add", "--type", "claude_message", "--content", "hi\n", "--field", "n=1",
        "--field", "s=x=y", cwd=here,
    ).out.strip()  # fmt: skip
    event = events("j")[-1]
    assert event["id"] == identity
    assert (event["type"], event["content"]) == ("ClaudeMessage", "hi\n")
    assert (event["n"], event["s"]) == (1, "x=y")
    assert (event["session_id"], event["agent_id"], event["item_id"]) == (
        made["session_id"], "a1", "i",
    )  # fmt: skip
    batch = tmp_path / "batch"
    for text, code in ((b'{"type":"A1"}\n\n{"type":"B2","agent_id":"other"}\n', 0), (b"{}{}\n", 1)):
        batch.write_bytes(text)
        with batch.open() as stream:
            monkeypatch.setattr("sys.stdin", stream)
            if code:
                assert "line 1" in refused("event", "add", "-", cwd=here)
            else:
                assert len(ok("event", "add", "-", "--json", cwd=here).json["event_ids"]) == 2
    assert [one["type"] for one in events("j")[-2:]] == ["A1", "B2"]
    assert events("j")[-1]["agent_id"] == "other"
    refused("event", "add", cwd=here, code=2)
    refused("event", "add", "--type", "X", "--field", "nothing", cwd=here, code=2)
    assert "content" in refused("event", "add", "--type", "ClaudeMessage", cwd=here)
    text = ok("event", "add", "--type", "X", "--job", "repo/j", "--json", cwd=tmp_path).out
    assert json.loads(text)["job_id"] == "j"
