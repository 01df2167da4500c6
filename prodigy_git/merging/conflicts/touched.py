"""What two trees differ in, as far as it decides whether changes can meet; many at once."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from prodigy_git.merging.conflicts.three_way import Scratch

_TREES = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}\n")


@dataclass(slots=True)
class Touched:
    """The paths at which two trees differ; a file that was renamed is there with both of its names.

    ``adds`` and ``removes``: whether there are paths that only the later, or the earlier, has.
    ``folders`` are all folders that the paths lie in.
    """

    paths: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    adds: bool = False
    removes: bool = False

    def add(self, status: str, path: str) -> None:
        """Take in one path, with git's letter for how it changed (git-diff-tree(1))."""
        self.paths.add(path)
        self.adds |= status == "A"
        self.removes |= status == "D"
        above = path.rpartition("/")[0]
        while above and above not in self.folders:
            self.folders.add(above)
            above = above.rpartition("/")[0]

    def may_meet(self, other: "Touched") -> bool:
        """Whether merging this change and another one can be in conflict at all; False is certain.

        They have to have a path in common, or one a file where the other has a folder, or one may
        have moved a folder into which the other puts a file (merge.directoryRenames).
        """
        return (
            not self.paths.isdisjoint(other.paths)
            or not self.paths.isdisjoint(other.folders)
            or not self.folders.isdisjoint(other.paths)
            or (self.removes and other.adds)
            or (other.removes and self.adds)
        )


def between(scratch: Scratch, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Touched]:
    """Return what pairs of trees differ in; one that git cannot compare is not in it."""
    wanted = list(dict.fromkeys(pairs))
    found: dict[tuple[str, str], Touched] = {}
    while wanted:
        done, whole = _compared(scratch, wanted)
        found |= dict(zip(wanted, done, strict=False))
        if whole:
            break
        # git ends where an object is missing; what comes after that is asked for once more.
        wanted = wanted[len(done) + 1 :]
    return found


def _compared(scratch: Scratch, pairs: Iterable[tuple[str, str]]) -> tuple[list[Touched], bool]:
    """Return what the first of the pairs differ in, and whether that is all of them."""
    status, out, _ = scratch.ask(
        "diff-tree", "--stdin", "-r", "-z", "--no-renames", "--name-status",
        stdin="".join(f"{one} {other}\n" for one, other in pairs).encode("ascii"),
    )  # fmt: skip
    found: list[Touched] = []
    fields = iter(out.split(b"\0"))
    for letter in fields:
        # Before its first path, and where there is none before the next one's, a pair says its trees.
        while header := _TREES.match(letter):
            found.append(Touched())
            letter = letter[header.end() :]
        if letter:
            found[-1].add(letter.decode("ascii"), os.fsdecode(next(fields, b"")))
    return (found, True) if status == 0 else (found[:-1], False)
