"""Lines of a log in the form that we write, decoded a block at a time: column by column.

Any other line is for `event.parse_line`, which knows the dialects and says what is wrong.
"""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from prodigy_git.model.event import pascal_case

_ZEROS = str.maketrans("123456789", "000000000")
_SHAPE = "0000-00-00T00:00:00.000000Z"


class _Line(Protocol):
    """What every struct that is decoded into has of an event."""

    type: str
    event_type: str
    timestamp: str | None


_L = TypeVar("_L", bound=_Line)


def decoded(block: bytes, decode: Callable[[bytes], list[_L]], longest: int) -> list[_L] | None:
    """Return the events of a block if all its lines are in the form that we write; else None.

    The block ends with a line. ``decode`` is a decoder's ``decode_lines``; ``longest`` is what no line
    may be as long as, in bytes: `model.event` says what a longer one could hide from the decoder.
    """
    if not block.endswith(b"\n") or not block.isascii() or _has_long_line(block, longest):
        return None
    try:
        lines = decode(block)
        shaped = are_ours([line.timestamp for line in lines])  # type: ignore[misc]  # None: below
    except (msgspec.MsgspecError, RecursionError, TypeError):
        return None
    # msgspec also takes two values on a line, and one on two.
    if not shaped or len(lines) != block.count(b"\n"):
        return None
    kinds = [line.type for line in lines]
    if kinds != [line.event_type for line in lines]:
        return None
    if any(not kind or kind != pascal_case(kind) for kind in set(kinds)):
        return None
    return lines


def are_ours(stamps: Iterable[str]) -> bool:
    """Whether all of several timestamps are in the form that we write: then they sort as text."""
    stamps = list(stamps)
    return "".join(stamps).translate(_ZEROS) == _SHAPE * len(stamps)


def _has_long_line(block: bytes, longest: int) -> bool:
    start = 0
    while start < len(block):  # in strides of several lines, which takes a fifth of splitting them
        start = block.rfind(b"\n", start, start + longest) + 1
        if not start:
            return True
    return False
