"""A place in a job's log, and how a document of ours names it.

Apart from `log`: who reads a cursor, as a prompt does, has nothing to write.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Position:
    """A place in a job's log: ``file`` (its name within the log's folder) and ``offset`` in bytes."""

    __slots__ = ("file", "offset")

    def __init__(self, file: str, offset: int) -> None:
        """Name the place; ``file`` is empty for a log that has no file yet."""
        self.file = file
        self.offset = offset


def as_json(position: Position) -> list[str | int]:
    """Return a position as a document names it."""
    return [position.file, position.offset]


def from_json(value: Any) -> Position | None:
    """Return the position that a document names; None where it names none.

    Raises `ValueError` for what is no position.
    """
    if value is None:
        return None
    match value:
        case [str(file), int(offset)] if offset >= 0:
            return Position(file, offset)
    raise ValueError("no position in a log")
