"""git's registrations of worktrees, and the folders that they name: which of them are linked.

A worktree has two halves, its folder and git's private directory for it, and each names the other.
Nothing here changes anything, and git is not asked: these are its files (gitrepository-layout(5)).
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prodigy_git.record import enrolment, files, gitdir
from prodigy_git.record.enrolment import Enrolment


@dataclass(frozen=True)
class Linked:
    """A registration of git's: the private directory, and the folder that it names."""

    private: str
    top: str
    enrolled: Enrolment | None


def links(common: str, broken: Callable[[str], None]) -> Iterator[Linked]:
    """Yield git's registrations (gitrepository-layout(5), worktrees/<id>/gitdir)."""
    try:
        names = sorted(os.listdir(f"{common}/worktrees"))
    except OSError:
        return  # there are none
    for name in names:
        private = f"{common}/worktrees/{name}"
        try:
            top = gitdir.worktree_of(private)
        except OSError:
            continue  # git's own business, and no worktree of anybody's
        yield Linked(private, top, enrolment_of(private, broken))


def enrolment_of(private: str, broken: Callable[[str], None]) -> Enrolment | None:
    """Return the enrolment in a private git directory; one that cannot be read is reported."""
    try:
        return enrolment.read(private)
    except (OSError, ValueError) as error:
        broken(f"{error}")
        return None


def linked_from(top: str) -> str | None:
    """Return the private directory that the worktree folder ``top`` names; None where it names none."""
    if not os.path.isfile(f"{top}/.git") or os.path.islink(f"{top}/.git"):
        return None
    place = gitdir.find(top, {})
    return None if place is None or place.top != top else os.path.realpath(place.private)


def named_by(top: str) -> str | None:
    """Return the private directory that a folder's ``.git`` file names, whether it is there or not."""
    if not os.path.isfile(f"{top}/.git"):
        return None
    try:
        line = os.fsdecode(files.read(f"{top}/.git").rstrip(b"\r\n"))
    except OSError:
        return None
    path = line.removeprefix("gitdir: ")
    return os.path.normpath(os.path.join(top, path)) if path != line else None
