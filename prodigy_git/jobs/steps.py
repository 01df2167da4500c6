"""What the fold reads of a log: of each event the fields that it needs, and nothing else.

Lines in the form that we write are decoded a block at a time; any other goes through
`model.event.parse_line`, which knows the dialects. The order is that of the files: the fold does not
depend on it.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec

from prodigy_git import encoding
from prodigy_git.model.blocks import decoded
from prodigy_git.model.event import Event, parse_line
from prodigy_git.record import clock
from prodigy_git.store.stream import Broken, blocks

_Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Step(msgspec.Struct, gc=False):
    """The fields of an event that the fold uses; timestamps in the form that we write."""

    type: str = ""
    event_type: str = ""
    timestamp: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    item_id: str | None = None
    attempt: _Number | None = None
    worktree: str | None = None
    owner: dict[str, _Number | float | str | None] | None = None
    lease_until: str | None = None
    error: str | None = None
    failure_reason: str | None = None
    retry_eligible: bool | None = None
    json_log_location: str | None = None
    commits: list[str] | None = None
    duration: dict[str, _Number] | None = None
    late: bool | None = None
    status: str | None = None
    backoff_ms: _Number | None = None
    error_signature: str | None = None
    reason: str | None = None
    items: dict[str, _Number] | None = None
    item_ids: list[str] | None = None
    to: str | None = None
    phase: str | None = None
    outputs: dict[str, Any] | None = None
    sequence: _Number | None = None
    resumed: _Number | None = None
    total_items: _Number | None = None
    max_attempts: _Number | None = None
    items_sha256: str | None = None
    part: _Number | None = None
    count: _Number | None = None
    occurred_at: str | None = None
    checkpoint_items: _Number | None = None
    checkpoint_seconds: _Number | None = None


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Step)}
_decode_lines = msgspec.json.Decoder(Step).decode_lines
_LONG = 800  # as in `model.event`, which says what longer lines could hide


def read(
    path: str, start: int, broken: Broken, reached: Callable[[int], None]
) -> Iterator[list[Step]]:
    """Yield the events of a log file from offset ``start`` on, a block at a time.

    ``reached`` is called with the offset behind each block. Lines that hold no event are reported and
    skipped; a last line without newline is not read. Raises nothing: what stops the reading is
    reported.
    """
    try:
        for offset, block in blocks(path, start):
            whole = block[: block.rfind(b"\n") + 1]
            if whole:
                steps = decoded(whole, _decode_lines, _LONG)
                yield steps or _one_by_one(path, offset, whole, broken)
                reached(offset + len(whole))
    except (OSError, EOFError, zlib.error) as error:
        broken(f"{path}: cannot be read ({error})")


def _one_by_one(path: str, offset: int, block: bytes, broken: Broken) -> list[Step]:
    steps = []
    for line in block.split(b"\n")[:-1]:
        if line and not line.isspace():
            try:
                steps.append(_step(parse_line(line)))
            except ValueError as error:
                broken(f"{path} at byte {offset}: not an event ({error}), skipped")
        offset += len(line) + 1
    return steps


def _step(event: Event) -> Step:
    """Return what the fold needs of an event; fields of another type than ours are left out."""
    step = Step()
    fields = event.fields()
    for name in fields.keys() & _TYPES.keys():
        given = fields[name]
        try:
            # Half a surrogate pair could not be written to a snapshot.
            value = encoding.valid(given) if isinstance(given, str) else given
            value = msgspec.convert(value, _TYPES[name])
            msgspec.json.encode(value)  # nor within anything else
        except (msgspec.ValidationError, UnicodeEncodeError, RecursionError):
            continue
        setattr(step, name, value)
    moment = event.moment
    step.timestamp = None if moment is None else clock.stamp(moment)
    return step
