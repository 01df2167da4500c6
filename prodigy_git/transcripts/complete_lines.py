"""The lines of a file that others go on writing, with bounded memory."""

import os
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 32 << 20
"""Bytes of a line that are taken in; a picture in a message has a few millions."""
_BLOCK = 1 << 20


class Line(NamedTuple):
    """A line without its newline, and where it begins and ends, newline included.

    ``data`` is None for one that is too long. ``whole`` is False for the last one, where it has no
    newline yet: somebody may be writing it.
    """

    begin: int
    end: int
    data: bytes | None
    whole: bool


def lines(descriptor: int, begin: int = 0, until: int | None = None) -> Iterator[Line]:
    """Yield the lines from an offset on, up to where the file ends now, or to ``until``.

    What is written meanwhile is for the next who asks: whoever writes faster than is read here does
    not keep anybody for ever. Raises `OSError`.
    """
    end = os.fstat(descriptor).st_size if until is None else until
    at = begin
    kept: list[bytes] = []
    size = 0
    while at < end and (block := os.pread(descriptor, min(_BLOCK, end - at), at)):
        at += len(block)
        pieces = block.split(b"\n")
        last = pieces.pop()
        for piece in pieces:
            size += len(piece)
            long = size > LONGEST
            data = None if long else b"".join((*kept, piece)) if kept else piece
            yield Line(begin, begin + size + 1, data, True)
            begin += size + 1
            kept, size = [], 0
        size += len(last)
        if size <= LONGEST:
            kept.append(last)
        else:
            kept.clear()
    if size:
        yield Line(begin, begin + size, None if size > LONGEST else b"".join(kept), False)


def last_lines(descriptor: int, size: int) -> Iterator[list[Line]]:
    """Yield the last lines of the ``size`` bytes of a file, then twice as many bytes of it, and so on.

    Each time the lines in their order; the last time all there are. Raises `OSError`.
    """
    window = _BLOCK
    while True:
        begin = max(0, size - window)
        found = list(lines(descriptor, begin, size))
        yield found if begin == 0 else found[1:]  # the first one is the end of a line
        if begin == 0:
            return
        window *= 4
