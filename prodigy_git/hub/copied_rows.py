"""Rows of a job's stream as COPY sends them, a block at a time and column by column."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prodigy_git.errors import Refused
from prodigy_git.hub import border

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_BLOCK = 1 << 22
"""Bytes that are handed on at once, about."""
_PIECE = 1 << 16
_HEAD = struct.Struct(">hiqiqi16siBi16si")
"""A row in binary: each field behind its length, the line the last of them."""
_LENGTHS = (6, 8, 8, 16, 1, 16)
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_FOREIGN = "the hub's server sends rows in another form than PostgreSQL's"


@dataclass
class Rows:
    """Rows of a stream in the order of their numbers; a line is None where it is too long to be one."""

    seqs: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    hosts: list[bytes] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    lines: list[bytes | None] = field(default_factory=list)
    bytes: int = 0

    def behind(self, seq: int) -> "Rows":
        """Return the rows of higher numbers than ``seq``."""
        at = next((n for n, one in enumerate(self.seqs) if one > seq), len(self.seqs))
        return self if at == 0 else Rows(
            self.seqs[at:], self.marks[at:], self.hosts[at:], self.steps[at:], self.ids[at:],
            self.lines[at:],
        )  # fmt: skip


def blocks(tx: "Raw", job: int, first: int, last: int) -> Iterator[Rows]:
    """Yield a stream's rows from one number to another, in blocks; none is empty.

    What is too long for an event stays on the server. Of a table that it has not looked at for long, a
    server sorts all that is asked for, whatever LIMIT says: so a long stream is asked for in parts.
    """
    question = (
        "COPY (SELECT seq, mark, host, step, id,"
        f" CASE WHEN octet_length(line) <= {border.LONGEST} THEN line END FROM prodigy_hub.event"
        f" WHERE job = {int(job)} AND seq >= {int(first)} AND seq <= {int(last)}"
        " ORDER BY seq) TO STDOUT (FORMAT binary)"
    )
    with tx.cursor().copy(question) as copy:
        rows = Rows()
        rest = b""
        begun = False
        for data in _pieces(copy):
            rest += data
            if not begun:
                if rest[: len(_SIGNATURE)] != _SIGNATURE:
                    raise Refused(_FOREIGN)
                rest, begun = rest[len(_SIGNATURE) :], True
            rest = rest[_parsed(rest, rows) :]
            if rows.bytes >= _BLOCK:
                yield rows
                rows = Rows()
        if rows.seqs:
            yield rows


def _pieces(copy: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """Yield what is sent in larger pieces: a row comes alone."""
    pieces = []
    size = 0
    for data in copy:
        pieces.append(bytes(data))
        size += len(data)
        if size >= _PIECE:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def _parsed(data: bytes, rows: Rows) -> int:
    """Add the rows that ``data`` begins with; return where the first one begins that is not whole."""
    at, last = 0, len(data) - _HEAD.size
    while at <= last:
        count, a, seq, b, mark, c, host, d, step, e, identity, length = _HEAD.unpack_from(data, at)
        if (count, a, b, c, d, e) != _LENGTHS:
            raise Refused(_FOREIGN)
        begin = at + _HEAD.size
        end = begin + max(0, length)
        if end > len(data):
            break
        rows.seqs.append(seq)
        rows.marks.append(mark)
        rows.hosts.append(host)
        rows.steps.append(step)
        rows.ids.append(identity)
        rows.lines.append(None if length < 0 else data[begin:end])
        rows.bytes += end - at
        at = end
    return at
