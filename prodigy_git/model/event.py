"""One event of a job's log, whichever of the four dialects its line is written in."""

from functools import lru_cache
from typing import Any

import msgspec

from prodigy_git.record import clock, jsonline


class Event(msgspec.Struct, gc=False):
    """An event: the envelope's fields by name; the type's own fields and unknown ones on demand.

    ``written`` is where those come from: the line itself where it is in the form that we write, which
    spares decoding what nobody asks for; for any other line its fields, brought into that form.
    """

    type: str = ""
    event_type: str = ""
    id: str | None = None
    timestamp: str | None = None
    correlation_id: str | None = None
    job_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    item_id: str | None = None
    # A line may have a field of this name, too: `parse_line` puts its own value in its place.
    written: bytes | dict[str, Any] = b""

    @property
    def moment(self) -> int | None:
        """The timestamp in microseconds since 1970; None where it is missing or no RFC 3339 time."""
        text = self.timestamp
        if text is None:
            return None
        # As we write it: what neighbours share is worked out once.
        if len(text) == 27 and text[19] == "." and text[26] == "Z" and text.isascii():
            micros = text[20:26]
            if micros.isdigit():
                second = _second(text[:19])
                return None if second is None else second + int(micros)
        return clock.parse(text)

    def fields(self) -> dict[str, Any]:
        """Return every field that the line has, with ``type`` and ``event_type`` alike."""
        if not isinstance(self.written, bytes):
            return dict(self.written)
        try:
            fields: dict[str, Any] = _decode_any(self.written)
        except msgspec.MsgspecError:  # numbers beyond a double's range, which it passes over above
            return jsonline.decode_object(self.written)
        return fields

    def own(self) -> dict[str, Any]:
        """Return the fields that are not the envelope's."""
        return {name: value for name, value in self.fields().items() if name not in _ENVELOPE}


_ENVELOPE = frozenset(Event.__struct_fields__) - {"written"}
_decode = msgspec.json.Decoder(Event).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode
_SHORT, _LONG, _NESTED = 800, 4000, 200


@lru_cache(maxsize=256)
def _second(text: str) -> int | None:
    return clock.parse(text)


def parse_line(line: bytes) -> Event:
    """Return the event that a log's line holds. Raises `ValueError` for a line that holds none."""
    # The quick decoder looks at what it passes over less closely than the other: it takes bytes that
    # are not UTF-8, and integers of more digits than Python reads. It gets no line that could hold
    # one; nor one nested so deeply that only some callers would have the stack to read it again.
    if line.isascii() and (len(line) < _SHORT or (len(line) < _LONG and _is_flat(line))):
        try:
            event = _decode(line)
        except (msgspec.MsgspecError, RecursionError):
            pass  # another dialect, NaN, half a surrogate pair, or no event
        else:
            if event.type and event.type == event.event_type == pascal_case(event.type):
                event.written = line
                return event
    fields = _one_dialect(jsonline.decode_object(line))
    for name in _ENVELOPE:
        if not isinstance(fields.get(name), str | None):
            raise ValueError(f"{name}: not a string")
    return Event(written=fields, **{n: v for n, v in fields.items() if n in _ENVELOPE})


def parse_lines(lines: list[bytes]) -> list[Event] | None:
    """Return the events of lines that are all in the form that we write; None where one is not.

    As `parse_line` for each, at two thirds of its time.
    """
    if not all(map(bytes.isascii, lines)) or max(map(len, lines), default=0) >= _SHORT:
        return None
    try:
        events = list(map(_decode, lines))
    except (msgspec.MsgspecError, RecursionError):
        return None
    for event, line in zip(events, lines, strict=True):
        if (
            not event.type
            or event.type != event.event_type
            or event.type != pascal_case(event.type)
        ):
            return None
        event.written = line
    return events


def _is_flat(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") < _NESTED


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
    whole = {**fields, "type": name, "event_type": name}
    lasted = whole.get("duration")
    if isinstance(lasted, list) and len(lasted) == 2:
        # Prodigy's records have chrono's durations, which serde writes as a pair.
        whole["duration"] = {"secs": lasted[0], "nanos": lasted[1]}
    return whole


def _untagged(fields: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"AgentCompleted": {…}}`` as the inner fields with their type, others as they are."""
    if len(fields) == 1:
        ((kind, body),) = fields.items()
        if isinstance(body, dict) and kind not in ("type", "event_type", "event"):
            return {**body, "type": kind}
    return fields


@lru_cache(maxsize=1024)
def pascal_case(kind: str) -> str:
    """Return an event type's name as DESIGN writes it: ``dlq_item_added`` is ``DLQItemAdded``."""
    if "_" not in kind and not kind.islower():
        return kind
    words = kind.split("_")
    return "".join("DLQ" if word == "dlq" else word[:1].upper() + word[1:] for word in words)
