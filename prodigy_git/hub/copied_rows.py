"""Rows of a job's stream as COPY sends them, a block at a time and column by column."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodigy_git.errors import Refused
from prodigy_git.hub import border

if TYPE_CHECKING:
    from psycopg import Copy

    from prodigy_git.hub.driver import Raw

_BLOCK = 1 << 22
"""Bytes that are handed on at once, about."""
_PIECE = 1 << 16
_ROW = struct.Struct(">6xq4xq4x16s4xB4x16si")
"""A row in binary: each field behind its length, the line the last of them."""
_HEAD = struct.Struct(">hi8xi8xi16xi1xi16x4x")
"""What is the same in all rows: how many fields, and the lengths of those before the line."""
_LENGTHS = (6, 8, 8, 16, 1, 16)
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_FOREIGN = "the hub's server sends rows in another form than PostgreSQL's"

_Row = tuple[int, int, bytes, int, bytes, bytes | None]


@dataclass
class Rows:
    """Rows of a stream in the order of their numbers; a line is None where it is too long to be one."""

    seqs: list[int]
    marks: list[int]
    hosts: list[bytes]
    steps: list[int]
    ids: list[bytes]
    lines: list[bytes | None]

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
        found: list[_Row] = []
        size = 0
        rest = b""
        begun = False
        for data in _pieces(tx, copy):
            rest += data
            if not begun:
                if rest[: len(_SIGNATURE)] != _SIGNATURE:
                    raise Refused(_FOREIGN)
                rest, begun = rest[len(_SIGNATURE) :], True
            end = _parsed(rest, found)
            size += end
            rest = rest[end:]
            if size >= _BLOCK:
                yield _columns(found)
                found, size = [], 0
        if found:
            yield _columns(found)


def _columns(found: list[_Row]) -> Rows:
    seqs, marks, hosts, steps, ids, lines = zip(*found, strict=True)
    return Rows(list(seqs), list(marks), list(hosts), list(steps), list(ids), list(lines))


def _pieces(tx: "Raw", copy: "Copy") -> Iterator[bytes]:
    """Yield what is sent in larger pieces: a row comes alone, and to wait for each would take long."""
    more = tx.pgconn.get_copy_data
    while data := copy.read():
        pieces = [data]
        size = len(data)
        count = size
        # What has come already. What is shorter than a row is the end; `read` must see what is behind.
        while size < _PIECE and count >= _HEAD.size:
            count, data = more(1)
            if count > 0:
                pieces.append(data)
                size += count
        yield b"".join(pieces)


def _parsed(data: bytes, found: list[_Row]) -> int:
    """Add the rows that ``data`` begins with; return where the first one begins that is not whole."""
    at, last, size, unpack = 0, len(data) - _HEAD.size, _HEAD.size, _ROW.unpack_from
    if last >= 0 and _HEAD.unpack_from(data) != _LENGTHS:
        raise Refused(_FOREIGN)
    while at <= last:
        seq, mark, host, step, identity, length = unpack(data, at)
        begin = at + size
        end = begin + length if length > 0 else begin
        if end > len(data):
            break
        line = None if length < 0 else data[begin:end]
        found.append((seq, mark, host, step, identity, line))
        at = end
    return at
