"""What comes from the hub is foreign: looked at here before it goes into a log, and before it is sent.

The hub's other members may have written anything into their rows. A row that is no event of its job is
set aside (`set_aside`), and the rest goes on; what would be set aside elsewhere is not shipped either.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

import msgspec

from prodigy_git.model.blocks import decoded
from prodigy_git.model.event import parse_line
from prodigy_git.record import clock, files

LONGEST = 1 << 22
"""Bytes that an event's line has at most. What other programs tell has a megabyte; written in ASCII, as
it is, that may come to more."""
QUICK = 800
"""Bytes, from which on a line is looked at alone: it could hide something from the quick decoder, as
`model.event` says."""
_ALLOWED = b"\t\r"  # between the parts of JSON, in lines that other programs wrote
_CONTROLS = bytes(code for code in (*range(32), 127) if code != 0x0A)
_HEX = str.maketrans("123456789abcdef", "0" * 15)
_UUID = "00000000-0000-0000-0000-000000000000"
_LATEST = clock.parse("9999-12-31T00:00:00Z") or 0


class _Line(msgspec.Struct, gc=False):
    type: str
    event_type: str
    id: str
    timestamp: str | None = None
    job_id: str | None = None


_decode_lines = msgspec.json.Decoder(_Line).decode_lines


@dataclass(frozen=True)
class Known:
    """What the hub is told of a line: ``id`` is a UUID, ``at`` a timestamp or None."""

    id: str
    at: str | None


def ours(lines: list[bytes], job: str) -> tuple[list[str], list[str]] | None:
    """Return ids and timestamps of lines that all are events of ``job`` in the form that we write.

    None where one is not, or may not be: `known` then says of each.
    """
    if not lines:
        return [], []
    block = b"\n".join(lines) + b"\n"
    if len(block.translate(None, _CONTROLS)) != len(block):
        return None
    found = decoded(block, _decode_lines, QUICK)
    if found is None or len(found) != len(lines):
        return None
    ids = [line.id for line in found]
    if "".join(ids).translate(_HEX) != _UUID * len(ids):
        return None
    # An object may have a name twice, and readers of a log look for the first at this place.
    heads = "".join([f'{{"id":"{one}",' for one in ids])
    if b"".join([line[:45] for line in lines]) != heads.encode():
        return None
    if {line.job_id for line in found} - {job, None}:
        return None
    stamps = [line.timestamp or "" for line in found]
    try:
        for tens in {stamp[:18] for stamp in stamps}:  # few; such as the 99th hour is no time
            datetime.fromisoformat(f"{tens}0")
    except ValueError:
        return None
    return ids, stamps


def known(line: bytes, job: str) -> Known:
    """Return what the hub is told of an event's line, whichever of the dialects it is in.

    Raises `ValueError`, which says what is wrong, for what is no event of ``job``.
    """
    if len(line) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    if b"\n" in line or len(line.translate(None, _CONTROLS)) != len(line.translate(None, _ALLOWED)):
        raise ValueError("it has control characters in it")
    try:
        event = parse_line(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not an event ({error})") from None
    if event.job_id not in (None, job):
        raise ValueError("it names another job")
    moment = event.moment
    at = clock.stamp(moment) if moment is not None and 0 <= moment < _LATEST else None
    return Known(_uuid_of(event.id) or _derived(line), at)


def fault(line: bytes | None, identity: bytes, job: str) -> str | None:
    """Return what is wrong with a row of the hub's; None where it is an event of the job.

    ``identity`` is the id that the row has, in 16 bytes; ``line`` None is one that was too long.
    """
    if line is None:
        return f"it has more than {LONGEST} bytes"
    try:
        found = known(line, job)
    except ValueError as error:
        return str(error)
    return None if uuid.UUID(found.id).bytes == identity else "its id is not the one in its line"


def id_of(line: bytes, job: str) -> bytes | None:
    """Return the id of a log's line, as the hub has it, in 16 bytes; None where it is no event."""
    if line[:7] == b'{"id":"' and line[43:44] == b'"' and line[30:31] == b"-":
        try:
            return bytes.fromhex(line[7:43].replace(b"-", b"").decode("ascii"))
        except ValueError:
            pass
    try:
        return uuid.UUID(known(line, job).id).bytes if line else None
    except ValueError:
        return None


def _uuid_of(text: str | None) -> str | None:
    if text is None or text.lower().translate(_HEX) != _UUID:
        return None
    return text.lower()


def _derived(line: bytes) -> str:
    """Return the id of an event that has none, or none of our form: the line's, whenever asked."""
    digest = bytearray.fromhex(files.sha1_hex(line)[:32])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8: of our own making
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))
