"""Events of each type that Prodigy knows, too: whole ones, and those that lack what it asks for."""

import json
from collections.abc import Iterator
from typing import Any

from prodigy_git.model.event import Event, parse_line
from prodigy_git.views import prodigy_records

WHOLE: dict[str, dict[str, Any]] = {
    "JobStarted": {"total_items": 3, "max_attempts": 2},
    "JobCompleted": {
        "duration": {"secs": 3, "nanos": 5}, "success_count": 1, "failure_count": 2, "sequence": 4,
    },
    "JobFailed": {"error": "no budget", "success_count": 1, "failure_count": 2},
    "JobPaused": {"reason": "lunch", "sequence": 2},
    "JobResumed": {"pending_items": 7, "sequence": 3},
    "AgentStarted": {"item_id": "i", "worktree": "w", "attempt": 2, "owner": {"pid": 1}},
    "AgentCompleted": {
        "duration": {"secs": 30, "nanos": 0}, "commits": ["abc1234"], "json_log_location": "/l",
    },
    "AgentFailed": {"item_id": "i", "error": "boom", "retry_eligible": True, "attempt": 1},
    "AgentRetrying": {"item_id": "i", "attempt": 2, "backoff_ms": 1000},
    "WorktreeCreated": {"worktree_name": "w", "branch": "b", "base": "abc1234"},
    "WorktreeMerged": {"worktree_name": "w", "target_branch": "main"},
    "WorktreeCleaned": {"worktree_name": "w", "trash_path": "/t"},
    "DLQItemAdded": {"item_id": "i", "error_signature": "boom", "failure_count": 3},
    "DLQItemRemoved": {"item_id": "i", "reason": "cleared"},
    "DLQItemsReprocessed": {"count": 2, "items": {"i": 1, "j": 1}},
    "ClaudeMessage": {"content": "Hello", "message_type": "assistant", "json_log_location": "/l"},
}  # fmt: skip
"""An event of each type that both programs know, as we write it."""


def event_of(kind: str, **fields: Any) -> Event:
    head = {
        "id": "0d1f36f2-6cd7-4be5-a37b-7ad1b6a4dd2b", "timestamp": "2025-01-11T12:00:00.123456Z",
        "type": kind, "event_type": kind, "correlation_id": "c", "job_id": "j",
        "session_id": "s", "agent_id": "a",
    }  # fmt: skip
    return parse_line(json.dumps({**head, **fields}).encode())


def all_kinds() -> Iterator[Event]:
    """Yield events of every type that Prodigy knows: whole, empty, and with fields of other types."""
    yield from (event_of(kind, **fields) for kind, fields in WHOLE.items())
    for kind in sorted(prodigy_records.TYPES):
        asked = prodigy_records._KNOWN[kind]
        for value in (
            None,
            {"of": ["another type"]},
            2**70,
            -1,
            "text",
            [1, "x", None],
            True,
            1e300,
        ):
            fields = {} if value is None else dict.fromkeys(asked, value)
            yield Event(type=kind, written={"type": kind, "event_type": kind, **fields})
    yield event_of("AgentFailed", id="seven", error="\ud800", more=2**80, also=1e300)
    yield event_of("JobStarted", config={"input": 3, "max_parallel": -1, "offset": None, "of": [1]})
