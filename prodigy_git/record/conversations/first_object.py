"""The one JSON object that a program writes to a hook's standard input, read as far as it goes.

Some programs keep the stream open: the object's own end is looked for, not the stream's. A tool's
output of megabytes may be in it, so that nothing here walks over its characters one by one: pieces are
cut at the quotes and counted by what the interpreter does in C.
"""

from __future__ import annotations

import os
import time

from prodigy_git.record import jsonline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 16 << 20
"""How many bytes of an object are read; of a longer one the fields that came before are used."""
STALL = 2.0
"""Seconds without a byte after which nobody waits for the rest."""
PATIENCE = 4.0
"""Seconds for which an object is waited for, however it trickles in."""
_DRAIN = 1.0
"""Seconds in which the rest of one is taken in that is too long: who writes it would get EPIPE."""
_PIECE = 1 << 20
_DEEPEST = 200
_SPACE = b" \t\r\n\0"
_BOM = b"\xef\xbb\xbf"
_OPENING, _CLOSING = b"[{", b"]}"
_NOT_BRACKETS = bytes(sorted(set(range(256)).difference(_OPENING + _CLOSING)))
_ALIKE = bytes.maketrans(b"{}", b"[]")


class Unreadable(ValueError):
    """What came is no JSON object, or not a whole one; the text says which."""


class End:
    """Where the first object of a stream ends: asked of each piece as it comes, in linear time."""

    __slots__ = ("_depth", "_quoted", "_rest")

    def __init__(self) -> None:
        """Begin behind the object's first brace."""
        self._depth = 1
        self._quoted = False
        self._rest = b""

    def is_in(self, piece: bytes) -> bool:
        """Whether the object ends within the next ``piece``. Raises `Unreadable`: it is too deep."""
        piece = self._rest + piece
        # An odd backslash at the end belongs to what comes next; pairs of them stand for themselves.
        odd = (len(piece) - len(piece.rstrip(b"\\"))) % 2
        self._rest = b"\\" * odd
        if odd:
            piece = piece[:-1]
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[1 if self._quoted else 0 :: 2])
        if len(parts) % 2 == 0:
            self._quoted = not self._quoted
        brackets = outside.translate(_ALIKE, _NOT_BRACKETS)
        if brackets.count(b"]") >= self._depth:
            # What opens and closes again within the piece changes nothing: `]]][[` is left.
            for _ in range(_DEEPEST):
                shorter = brackets.replace(b"[]", b"")
                if len(shorter) == len(brackets):
                    break
                brackets = shorter
            else:
                raise Unreadable("it is nested too deeply")
        closing = brackets.count(b"]")
        if closing >= self._depth:
            return True
        self._depth += len(brackets) - 2 * closing
        return False


def read(descriptor: int) -> tuple[dict[str, Any], str]:
    """Return the first JSON object that ``descriptor`` gives, and what is wrong with it, if anything.

    Of one that is longer than `LARGEST` the fields are returned that came before, and that it is so.
    Raises `Unreadable` for anything but an object, and for one that is not whole: the stream ended, or
    nothing came any more. Nothing is taken in behind what was read with the object's end.
    """
    waiting = _Waiting(descriptor)
    data = b""
    while not data or _BOM.startswith(data):
        piece = waiting.piece()
        if not piece:
            raise Unreadable("nothing came")
        data = (data + piece).removeprefix(_BOM).lstrip(_SPACE)
    if data[:1] != b"{":
        raise Unreadable("it is no JSON object")
    try:
        return _object(data), ""  # nearly always it came in one piece
    except Unreadable:
        pass
    end = End()
    pieces, size, piece = [data], len(data), data[1:]
    while not end.is_in(piece):
        piece = waiting.piece()
        if not piece:
            raise Unreadable(f"it ends after {size} bytes, in its midst")
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            waiting.drain(end)
            return _beginning(b"".join(pieces)), f"it is longer than {LARGEST} bytes"
    return _object(b"".join(pieces)), ""


class _Waiting:
    """A stream that is waited for, but not for ever."""

    __slots__ = ("_deadline", "_descriptor", "_poll")

    def __init__(self, descriptor: int) -> None:
        import select

        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._deadline = time.monotonic() + PATIENCE

    def piece(self) -> bytes:
        """Return what there is to read; nothing at the stream's end. `Unreadable`: it stalls."""
        left = min(STALL, self._deadline - time.monotonic())
        if left <= 0 or not self._poll.poll(left * 1000):
            raise Unreadable("the rest of it did not come")
        return os.read(self._descriptor, _PIECE)

    def drain(self, end: End) -> None:
        """Take in what remains of an object, for a while."""
        self._deadline = time.monotonic() + _DRAIN
        try:
            while piece := self.piece():
                if end.is_in(piece):
                    return
        except (Unreadable, OSError):
            pass


def _object(data: bytes) -> dict[str, Any]:
    try:
        # Not strict: a line break in a string, of a program that writes its JSON by hand, harms nobody.
        value, _ = jsonline.first(data.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError as error:
        raise Unreadable(f"it is no JSON object: {error}") from None
    assert isinstance(value, dict)  # it begins with a brace
    return value


def _beginning(data: bytes) -> dict[str, Any]:
    """Return the fields of an object that are whole in its first bytes."""
    text = data.decode("utf-8", "surrogateescape")
    fields: dict[str, Any] = {}
    at = 1
    try:
        while True:
            name, at = jsonline.first(text, at, strict=False)
            at = _behind(text, at, ":")
            value, at = jsonline.first(text, at, strict=False)
            at = _behind(text, at, ",")
            fields[name] = value
    except (ValueError, TypeError):
        return fields


def _behind(text: str, at: int, mark: str) -> int:
    while at < len(text) and text[at] in jsonline.SPACE:
        at += 1
    if text[at : at + 1] != mark:
        raise Unreadable("it is no JSON object")
    return at + 1
