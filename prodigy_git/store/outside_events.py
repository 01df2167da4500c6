"""Events from outside: checked at the border, then appended to a job's log, all of them or none."""

import math
from typing import Any

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.layout import job_log
from prodigy_git.model import known_events
from prodigy_git.model.event import pascal_case
from prodigy_git.record import jsonline, log

LARGEST = 1_000_000
"""Bytes that one event may have; logs are read line by line."""
_DEEPEST = 50
_IDS = ("session_id", "agent_id", "item_id")


def record(store: str, repo: str, job: str, given: list[dict[str, Any]]) -> list[str]:
    """Append events to a job's log with one write, durably, and return their ids.

    Each has ``type`` and that type's fields; unknown fields and types are kept. ``id`` is made where
    it is missing: with one, the same event is recorded once however often it is sent, for which the
    whole log is searched. A ``timestamp`` is kept as ``occurred_at``: the log's own stamps do not go
    backwards. Raises `ProdigyError`, naming event and field, and then nothing was written; `OSError`.
    """
    names.checked(job, "job id")
    events = []
    for number, fields in enumerate(given, 1):
        try:
            events.append(_checked(job, fields))
        except ValueError as error:
            where = f"event {number}: " if len(given) > 1 else ""
            raise ProdigyError(f"{where}{error}") from None
    with_id = {event["id"] for event, fields in zip(events, given, strict=True) if "id" in fields}
    there = log.find(job_log(store, repo, job), with_id, None) if with_id else set()
    fresh = {event["id"]: event for event in events if event["id"] not in there}
    if fresh:
        log.append(store, repo, job, list(fresh.values()))
    return [event["id"] for event in events]


def _checked(job: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an event ready for the log. Raises `ValueError`."""
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    kind = fields.get("type", fields.get("event_type"))
    if not isinstance(kind, str) or not kind:
        raise ValueError("type: missing, name the type of the event, as ClaudeMessage")
    if not names.is_safe(kind):
        raise ValueError(f"type: {kind[:40]!r} is no name of a type")
    kind = pascal_case(kind)
    rest = {name: value for name, value in fields.items() if value is not None}
    for name in ("type", "event_type", "timestamp"):
        rest.pop(name, None)
    _bounded(rest, "", _DEEPEST)
    known_events.check({**rest, "type": kind})
    for name in _IDS:
        if name in rest:
            _safe(name, rest[name])
    if rest.get("job_id", job) != job:
        raise ValueError(f"job_id: {rest['job_id']!r} is not the job it is recorded for, {job}")
    identity = rest.pop("id", None) or log.event_id(names.fresh("event"), job)
    if not isinstance(identity, str) or not _is_uuid(identity):
        raise ValueError("id: expected a UUID, 36 characters")
    head = {
        "id": identity, "timestamp": "", "type": kind, "event_type": kind,
        "correlation_id": rest.pop("correlation_id", None) or rest.get("session_id") or job,
        "job_id": job,
    }  # fmt: skip
    if "timestamp" in fields:
        head["occurred_at"] = fields["timestamp"]
    event = head | rest
    if len(jsonline.encode(event)) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes: put it into a file, and its path here")
    return event


def _safe(name: str, value: Any) -> None:
    if not isinstance(value, str) or not names.is_safe(value):
        raise ValueError(
            f"{name}: {value!r:.60} is not a safe name (letters, digits, '.', '_', '-')"
        )


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        set(part) <= set("0123456789abcdefABCDEF") for part in parts
    )


def _bounded(value: Any, where: str, depth: int) -> None:
    """Refuse what a log cannot hold, or its readers cannot read."""
    if depth == 0:
        raise ValueError(f"{where}: nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: JSON has no form for {value}")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError(f"{where}: too large a number")
    if isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                raise ValueError(f"{where}: the name of a field is not a string")
            _bounded(one, f"{where}.{name}".lstrip("."), depth - 1)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            _bounded(one, f"{where}[{number}]", depth - 1)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{where}: JSON has no form for a {type(value).__name__}")
