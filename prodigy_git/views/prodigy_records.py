"""Events as Prodigy's own records, with every field that its ``EventRecord`` asks for.

Its reader takes nothing that lacks a field, or has one of another type. So what an event of ours does
not say stands there as the least that can be said: no text, 0, the first attempt. What Prodigy does not
ask for is written, too, and is read back. Types that it does not know are no records.
"""

import uuid
from collections.abc import Callable
from typing import Any

from prodigy_git import encoding
from prodigy_git.model import jsontext
from prodigy_git.model.event import Event
from prodigy_git.record import jsonline

_LOG = "json_log_location"
_LONG_AGO = "1970-01-01T00:00:00Z"
_OUTSIDE = ("id", "timestamp", "correlation_id", "metadata", "type", "event_type")
_Read = Callable[[Any, Event], Any]
"""Makes of a field's value, None where there is none, one that Prodigy takes."""


def _count(most: int, least: int = 0) -> _Read:
    def read(value: Any, _: Event) -> int:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return min(value, most) if is_number and value >= 0 else least

    return read


_SMALL = _count((1 << 32) - 1)
_FIRST = _count((1 << 32) - 1, 1)
_LARGE = _count((1 << 64) - 1)


def _text(value: Any, _: Event) -> str:
    return value if isinstance(value, str) else ""


def _perhaps(value: Any, _: Event) -> str | None:
    return value if isinstance(value, str) else None


def _agent(value: Any, event: Event) -> str:
    """Who works in a worktree; a session without an agent is its own."""
    return value if isinstance(value, str) else event.session_id or ""


def _worktree(value: Any, event: Event) -> str:
    return value if isinstance(value, str) else event.session_id or ""


def _yes(value: Any, _: Event) -> bool:
    return value is True


def _number(value: Any, _: Event) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < 1e38 else 0


def _texts(value: Any, _: Event) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _anything(value: Any, _: Event) -> Any:
    return value


def _duration(value: Any, _: Event) -> list[int]:
    """Prodigy's durations are pairs, ours (the seeds') objects: seconds, and nanoseconds more."""
    pair = [value.get("secs"), value.get("nanos", 0)] if isinstance(value, dict) else value
    if isinstance(pair, list) and len(pair) == 2 and all(type(one) is int for one in pair):
        secs, nanos = pair
        if abs(secs) < 1 << 53 and 0 <= nanos < 1_000_000_000:
            return pair
    return [0, 0]


def _moment(_: Any, event: Event) -> str:
    return event.timestamp if event.moment is not None and event.timestamp else _LONG_AGO


_CONFIG: dict[str, type] = {
    "input": str, "json_path": str, "max_parallel": int, "agent_timeout_secs": int,
    "continue_on_failure": bool, "batch_size": int, "enable_checkpoints": bool, "max_items": int,
    "offset": int,
}  # fmt: skip


def _config(value: Any, _: Event) -> dict[str, Any]:
    """What a job was set up with: of ours, that it goes on where items fail, and has checkpoints."""
    known = {"continue_on_failure": True, "enable_checkpoints": True}
    given = value if isinstance(value, dict) else {}
    return known | {name: one for name, one in given.items() if _is_config(name, one)}


def _is_config(name: str, value: Any) -> bool:
    if type(value) is not _CONFIG.get(name, type(value)):
        return False
    return name not in _CONFIG or not isinstance(value, int) or 0 <= value < 1 << 64


_JOB: dict[str, _Read] = {"job_id": _text}
_AGENT: dict[str, _Read] = {**_JOB, "agent_id": _agent}
_KNOWN: dict[str, dict[str, _Read]] = {
    "JobStarted": {**_JOB, "config": _config, "total_items": _LARGE, "timestamp": _moment},
    "JobCompleted": {
        **_JOB, "duration": _duration, "success_count": _LARGE, "failure_count": _LARGE,
    },
    "JobFailed": {**_JOB, "error": _text, "partial_results": _LARGE},
    "JobPaused": {**_JOB, "checkpoint_version": _FIRST},
    "JobResumed": {**_JOB, "checkpoint_version": _FIRST, "pending_items": _LARGE},
    "AgentStarted": {**_AGENT, "item_id": _text, "worktree": _worktree, "attempt": _FIRST},
    "AgentProgress": {**_AGENT, "step": _text, "progress_pct": _number},
    "AgentCompleted": {
        **_AGENT, "duration": _duration, "commits": _texts, "json_log_location": _perhaps,
    },
    "AgentFailed": {**_AGENT, "error": _text, "retry_eligible": _yes},
    "AgentRetrying": {**_AGENT, "attempt": _FIRST, "backoff_ms": _LARGE},
    "CheckpointCreated": {**_JOB, "version": _SMALL, "agents_completed": _LARGE},
    "CheckpointLoaded": {**_JOB, "version": _SMALL},
    "CheckpointFailed": {**_JOB, "error": _text},
    "WorktreeCreated": {**_AGENT, "worktree_name": _worktree, "branch": _text},
    "WorktreeMerged": {**_AGENT, "target_branch": _text},
    "WorktreeCleaned": {**_AGENT, "worktree_name": _worktree},
    "QueueDepthChanged": {**_JOB, "pending": _LARGE, "active": _LARGE, "completed": _LARGE},
    "MemoryPressure": {**_JOB, "used_mb": _LARGE, "limit_mb": _LARGE},
    "DLQItemAdded": {
        **_JOB, "item_id": _text, "error_signature": _text, "failure_count": _SMALL,
    },
    "DLQItemRemoved": {**_JOB, "item_id": _text},
    "DLQItemsReprocessed": {**_JOB, "count": _LARGE},
    "DLQItemsEvicted": {**_JOB, "count": _LARGE},
    "DLQAnalysisGenerated": {**_JOB, "patterns": _LARGE},
    "ClaudeToolInvoked": {
        "agent_id": _agent, "tool_name": _text, "tool_id": _text, "parameters": _anything,
        "timestamp": _moment,
    },
    "ClaudeTokenUsage": {
        "agent_id": _agent, "input_tokens": _LARGE, "output_tokens": _LARGE, "cache_tokens": _LARGE,
    },
    "ClaudeSessionStarted": {
        "agent_id": _agent, "session_id": _text, "model": _text, "tools": _texts,
    },
    "ClaudeMessage": {
        "agent_id": _agent, "content": _text, "message_type": _text, "json_log_location": _perhaps,
    },
}  # fmt: skip
"""Each type that Prodigy 0.4.4 knows, with the fields that it asks for."""
TYPES = frozenset(_KNOWN)


def name_of(kind: str) -> str:
    """Return what Prodigy calls a type: each capital begins a word, so DLQItemAdded is d_l_q_…"""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in kind).removeprefix("_")


def record(event: Event) -> str | None:
    """Return an event as a line of JSON without its newline; None for what Prodigy has no type for."""
    asked = _KNOWN.get(event.type)
    if asked is None:
        return None
    fields = event.fields()
    if event.type == "JobFailed":
        fields.setdefault("partial_results", fields.get("success_count"))
    metadata = fields.get("metadata", {})
    own = {name: make(fields.get(name), event) for name, make in asked.items()}
    if own.get(_LOG, "") is None:
        del own[_LOG]  # the one that may be absent
    own |= {name: value for name, value in fields.items() if name not in (*_OUTSIDE, *asked)}
    made = {
        "id": _id(event),
        "timestamp": _moment(None, event),
        "correlation_id": event.correlation_id or event.job_id or "",
        "event": {"event_type": name_of(event.type), **own},
        "metadata": metadata if isinstance(metadata, dict) else {"metadata": metadata},
    }
    text = jsontext.text(made)
    # Half of a UTF-16 pair, which JSON's text may have, and no reader in Rust takes.
    return text if "\\ud" not in text else jsontext.text(_whole(made))


def _id(event: Event) -> str:
    try:
        return str(uuid.UUID(event.id or ""))
    except ValueError:
        known = event.id or jsonline.encode(event.fields())
        return str(uuid.uuid5(uuid.NAMESPACE_OID, encoding.valid(known)))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return encoding.valid(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {encoding.valid(name): _whole(one) for name, one in value.items()}
    return value
