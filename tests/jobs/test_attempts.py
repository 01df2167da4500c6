"""Attempts: what the log tells of each agent's work on each item, in any dialect, also in part."""

import json

import pytest

from prodigy_git.jobs import attempts
from prodigy_git.model.event import parse_line


def told(*events):
    lines = []
    for number, (kind, fields) in enumerate(events):
        stamp = f"2025-01-11T12:00:{number:02}.000000Z"
        line = {"timestamp": stamp, "type": kind, "job_id": "j", **fields}
        lines.append(parse_line(json.dumps(line).encode()))
    return attempts.of_events(lines)


def started(agent, item, attempt=1, **more):
    who = {"agent_id": agent, "item_id": item}
    return "AgentStarted", {**who, "attempt": attempt, "session_id": agent, **more}


def test_an_item_that_failed_once_and_was_done_by_another_agent():
    one, two = told(
        started("a", "i"),
        ("CommitCreated", {"session_id": "a", "agent_id": "a", "commit": "1" * 40, "subject": "s"}),
        ("AgentFailed", {"agent_id": "a", "item_id": "i", "attempt": 1, "error": "exit 7"}),
        started("b", "i", 2),
        ("CommitCreated", {"session_id": "b", "agent_id": "b", "commit": "2" * 40}),
        ("CommitsRewritten", {"session_id": "b", "rewrites": [{"old": "2" * 40, "new": "3" * 40}]}),
        ("CommitCreated", {"session_id": "b", "agent_id": "b", "commit": "3" * 40}),
        ("AgentCompleted", {"agent_id": "b", "attempt": 2, "item_id": "i", "commits": ["3" * 40]}),
        ("ClaudeMessage", {"agent_id": "b", "content": "bye"}),
    )
    assert (one.outcome, one.error, one.signature, one.lasted) == (
        "failed",
        "exit 7",
        "exit 7",
        2e6,
    )
    assert [commit.subject for commit in one.commits] == ["s"]
    assert (two.outcome, two.number, two.lasted) == ("completed", 2, 4e6)
    assert [(c.sha[0], c.replaced and c.replaced[0]) for c in two.commits] == [
        ("2", "3"),
        ("3", None),
    ]
    assert two.last == two.began + 5e6


def test_a_claim_and_its_worktree_are_one_attempt():
    (found,) = told(
        ("AgentStarted", {"agent_id": "a", "item_id": "i", "attempt": 1}),
        started("a", "i", session_id="agent-x", worktree="agent-x"),
        ("AgentCompleted", {"agent_id": "a", "item_id": "i", "attempt": 1}),
    )
    assert (found.session_id, found.outcome) == ("agent-x", "completed")


def ended(kind, agent, attempt=1, **more):
    return kind, {
        "agent_id": agent,
        "item_id": "i",
        "attempt": attempt,
        "session_id": agent,
        **more,
    }


GONE = ended("AgentFailed", "a", error="its process is gone", failure_reason="Unknown")
"""What others say of an agent that is believed dead."""


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("before", [GONE, ended("ClaimReleased", "a", reason="Interrupted")])
def test_who_was_believed_dead_and_comes_back_made_one_attempt(before, late):
    back = {"late": True} if late else {}
    other = [started("b", "i", 2)] if late else []
    one, *others = told(
        started("a", "i"), before, *other,
        ended("AgentCompleted", "a", commits=["1" * 40], json_log_location="/log", **back),
    )  # fmt: skip
    assert (one.outcome, one.late, one.lasted) == ("completed", late, (2 + late) * 1e6)
    assert (one.error, one.reason, one.signature) == (None, None, None)
    assert ([commit.sha for commit in one.commits], one.log) == (["1" * 40], "/log")
    assert [(two.who, two.outcome) for two in others] == [("b", "running")] * late


@pytest.mark.parametrize(
    "after", [GONE, ended("ClaimReleased", "a"), ended("AgentCompleted", "a", late=True)]
)
def test_what_is_done_stays_done_whatever_others_say_later(after):
    done = ended("AgentCompleted", "a", json_log_location="/log", commits=["1" * 40])
    (one,) = told(started("a", "i"), done, after)
    assert (one.outcome, one.late, one.lasted, one.error) == ("completed", False, 1e6, None)
    assert (one.log, len(one.commits)) == ("/log", 1)
    assert (one.last - one.began) == 2e6


def test_an_end_without_a_start_and_a_start_without_an_end():
    end, start = told(
        ("AgentCompleted", {"agent_id": "a", "duration": {"secs": 30, "nanos": 0}}),
        started("a", "i"),
        ("AgentFailed", {"agent_id": "a", "item_id": "other", "error": "x"}),
    )[:2]
    assert (end.lasted, end.item_id) == (30e6, None)
    assert (start.outcome, start.ended) == ("running", None)


def test_a_session_without_an_agent_has_a_stretch_of_its_own():
    (found,) = told(
        ("SessionStarted", {"session_id": "s"}),
        ("CommitCreated", {"session_id": "s", "commit": "1" * 40}),
        ("SessionFinished", {"session_id": "s", "status": "Failed"}),
        ("WorktreeCleaned", {"session_id": "s", "worktree_name": "s"}),
    )
    assert (found.who, found.outcome, found.lasted, len(found.commits)) == ("s", "failed", 2e6, 1)


def test_fields_of_the_wrong_kind_are_no_reason_to_stop():
    told(
        ("AgentStarted", {"attempt": [], "owner": 7, "worktree": {}}),
        ("AgentCompleted", {"commits": [None, 3], "duration": {"secs": "x"}}),
        ("AgentFailed", {"agent_id": "a", "error": ["x"]}),
        ("CommitsRewritten", {"session_id": "s", "rewrites": [None, {"new": 1}]}),
        ("SessionStarted", {"session_id": "s"}),
        ("CommitCreated", {"session_id": "s", "commit": 5}),
        ("SessionFinished", {"session_id": "s", "status": 5}),
        ("SessionFinished", {"session_id": "s", "status": "Completed"}),
    )
