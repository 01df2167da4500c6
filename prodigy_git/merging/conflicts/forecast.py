"""What is said of merging some commits into a target: data only, `foresee` makes it."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Files = tuple[tuple[str, str], ...]
"""Paths in conflict, each with the kinds of conflict that it has."""
State = Literal["clean", "conflict", "merged", "empty", "unrelated", "unknown", "gone"]
"""How a commit stands to the target. ``clean``: it merges. ``merged``: the target has all of it, also
squashed or picked. ``empty``: it changes nothing of what it began at. ``unrelated``: it has no history
in common with the target. ``unknown``: git cannot tell. ``gone``: there is no such commit any more."""


class Candidate(NamedTuple):
    """What may be merged: a name that no other has, its commit, and the one that it began at, if known.

    ``commit`` is a whole SHA; None where nothing names it any more.
    """

    name: str
    commit: str | None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one candidate stands to the target; ``how`` says by which sign, or why it is not known."""

    name: str
    commit: str | None
    state: State
    how: str | None = None
    files: Files = ()


@dataclass(frozen=True, slots=True)
class Clash:
    """Two candidates that conflict with each other; ``trouble``: why that is not known."""

    one: str
    other: str
    files: Files = ()
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A candidate that the order leaves out, and in which ``files`` it conflicts when its turn comes.

    ``against`` are those of the order that it conflicts with, each alone; ``with_target``: whether it
    does so with the target. With neither, it is what several of the order have made together.
    """

    name: str
    files: Files
    against: tuple[str, ...] = ()
    with_target: bool = False
    trouble: str | None = None
    """Why git could not merge it."""


@dataclass(slots=True)
class Forecast:
    """What would come of it. ``order`` merges cleanly, one after the other: that was tried."""

    target: str
    standings: list[Standing] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    tried: int = 0
    """How many merges git was asked for: the others were known."""
