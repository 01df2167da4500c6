"""What was merged into a branch, and what was about to be: a line a step, in a file for each branch.

A move of the branch has a line before it (``begun``), and one when all that belongs to it is done.
Whoever finds a move that was begun and not ended asks git whether it happened. The caller holds the
merge lock: nobody else writes here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from prodigy_git.record import clock, files, jsonline

Kind = Literal["merge", "undo"]


@dataclass
class Move:
    """A branch moved from one commit to another, and what of whom came, or went, with it."""

    id: str
    kind: Kind
    run: str
    """Which call of ``merge`` it belongs to."""
    old: str
    new: str
    at: str
    items: list[dict[str, Any]] = field(default_factory=list)
    """Of each result that it brings: its ids, ``branch``, ``head``, and its ``commit`` there."""
    undoes: list[str] = field(default_factory=list)
    """The ids of the moves that an undo takes back."""
    state: Literal["begun", "done", "dropped", "undone"] = "begun"


def read(path: str, broken: Callable[[str], None]) -> list[Move]:
    """Return the moves of a branch, in order; a line that cannot be read is reported, and left out."""
    try:
        lines = files.read(path, most=1 << 30).split(b"\n")
    except FileNotFoundError:
        return []
    found: dict[str, Move] = {}
    for number, line in enumerate(lines[:-1], 1):  # the last one is empty, or was cut off
        try:
            _take(found, jsonline.decode_object(line))
        except (ValueError, TypeError, KeyError):
            broken(f"{path}:{number}: not a step of a merge, passed over")
    return list(found.values())


def _take(found: dict[str, Move], line: dict[str, Any]) -> None:
    step = line.pop("step")
    if step == "begun":
        move = Move(**line)
        found[move.id] = move
        return
    move = found[line["id"]]
    move.state = step
    if step == "done" and move.kind == "undo":
        for name in move.undoes:
            if name in found:
                found[name].state = "undone"


def begin(path: str, move: Move) -> None:
    """Write, durably, that a move is about to be made. Raises `OSError`: then nothing is written."""
    _append(
        path,
        {
            "step": "begun", "id": move.id, "kind": move.kind, "run": move.run, "old": move.old,
            "new": move.new, "at": move.at, "items": move.items, "undoes": move.undoes,
        },
    )  # fmt: skip


def end(path: str, move: Move, state: Literal["done", "dropped"]) -> None:
    """Write that a move is done with all that belongs to it, or did not happen. Raises `OSError`."""
    move.state = state
    _append(path, {"step": state, "id": move.id, "ended_at": clock.stamp(clock.now())})


def _append(path: str, line: dict[str, Any]) -> None:
    files.make_private(os.path.dirname(path))
    descriptor = files.create(path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # Somebody was killed in the middle of a line: what it says had not begun yet.
            size = os.pread(descriptor, size, 0).rfind(b"\n") + 1
            os.ftruncate(descriptor, size)
        try:
            files.write_all(descriptor, f"{jsonline.encode(line)}\n".encode("ascii"))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    files.sync_folder(os.path.dirname(path))
