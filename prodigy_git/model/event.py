"""One event of a job's log, whichever of the four dialects its line is written in."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from prodigy_git.record import clock, jsonline


class Event(BaseModel):
    """An event: the envelope's fields by name, the type's own fields and unknown ones as extras."""

    model_config = ConfigDict(extra="allow")

    type: str
    event_type: str
    id: str | None = None
    timestamp: str | None = None
    correlation_id: str | None = None
    job_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    item_id: str | None = None

    @property
    def moment(self) -> int | None:
        """The timestamp in microseconds since 1970; None where it is missing or no RFC 3339 time."""
        return None if self.timestamp is None else clock.parse(self.timestamp)

    def own(self) -> dict[str, Any]:
        """Return the fields that are not the envelope's."""
        return dict(self.model_extra or {})


def parse_line(line: bytes) -> Event:
    """Return the event that a log's line holds. Raises `ValueError` for a line that holds none."""
    fields = _one_dialect(jsonline.decode_object(line))
    try:
        return Event.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None


def _one_dialect(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields flat, with ``type`` and ``event_type`` alike.

    The dialects: flat with ``type`` or with ``event_type`` (the two seed documents), Prodigy's record
    with the event inside ``event``, and ``{"AgentCompleted": {…}}``.
    """
    inner = fields.get("event")
    if isinstance(inner, dict) and "type" not in fields and "event_type" not in fields:
        rest = {name: value for name, value in fields.items() if name != "event"}
        fields = {**_untagged(inner), **rest}
    fields = _untagged(fields)
    named = fields.get("type") or fields.get("event_type")
    if not isinstance(named, str):
        raise ValueError("no event type")
    name = pascal_case(named)
    return {**fields, "type": name, "event_type": name}


def _untagged(fields: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"AgentCompleted": {…}}`` as the inner fields with their type, others as they are."""
    if len(fields) == 1:
        ((kind, body),) = fields.items()
        if isinstance(body, dict) and kind not in ("type", "event_type", "event"):
            return {**body, "type": kind}
    return fields


def pascal_case(kind: str) -> str:
    """Return an event type's name as DESIGN writes it: ``dlq_item_added`` is ``DLQItemAdded``."""
    if "_" not in kind and not kind.islower():
        return kind
    words = kind.split("_")
    return "".join("DLQ" if word == "dlq" else word[:1].upper() + word[1:] for word in words)
