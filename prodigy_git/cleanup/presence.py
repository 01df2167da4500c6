"""Who is in a worktree: live processes, and git commands that hold a lock."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psutil

from prodigy_git.model.session import Session
from prodigy_git.record.gitdir import Place

YOUNG = 60
"""Seconds for which a lock file of git's is taken for one in use."""

_SAME_START = 10  # seconds; a clock that was set meanwhile moves what psutil computes from it


@dataclass(frozen=True)
class Process:
    """A live process: its id, name, and what it has to do with the worktree."""

    pid: int
    name: str
    why: str


@dataclass(frozen=True)
class Running:
    """A live process and its working directory."""

    pid: int
    name: str
    cwd: str


def scan() -> list[Running]:
    """Return the live processes whose working directory can be seen: one's own, or all as root.

    Without those that this command descends from: a shell that stands in a worktree and asks for it
    to be cleaned is not in the way of that.
    """
    found = []
    asking = _ancestors()
    for process in psutil.process_iter():
        if process.pid in asking:
            continue
        try:
            # A zombie has none, another user's is not told.
            cwd = process.cwd()
            if cwd:
                found.append(Running(process.pid, process.name(), cwd))
        except (psutil.Error, OSError):
            continue
    return found


def inside(place: Place, running: Iterable[Running]) -> list[Process]:
    """Return those that stand in a worktree or in its private git directory."""
    # The kernel tells the path without symlinks.
    roots = [os.path.realpath(path) for path in (place.top, place.private) if path != place.common]
    return [
        Process(one.pid, one.name, "stands in it")
        for one in running
        if any(one.cwd == root or one.cwd.startswith(f"{root}/") for root in roots)
    ]


def recorded(found: Session) -> Process | None:
    """Return the process that a session was started by, where it lives and the session has not ended.

    None on another host, for a process id that is used again, and for a process that this very command
    descends from: that is who asks for the removal.
    """
    pid, started = found.metadata.get("pid"), found.metadata.get("pid_started")
    if found.ended or found.text("host") != os.uname().nodename:
        return None
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > _SAME_START:
            return None
        if process.status() == psutil.STATUS_ZOMBIE or pid in _ancestors():
            return None
        return Process(pid, process.name(), "started its session")
    except (psutil.Error, OSError, ValueError, OverflowError):
        return None


def _ancestors() -> set[int]:
    return {os.getpid()} | {one.pid for one in psutil.Process().parents()}


def git_locks(place: Place, branch: str | None) -> tuple[list[str], list[str]]:
    """Return git's lock files in a private directory, and its branch's: young ones, old ones.

    A young one belongs to a command that is running, an old one most likely to one that was killed.
    """
    young: list[str] = []
    old: list[str] = []
    for path in _locks(place, branch):
        try:
            # A time in the future is a clock that was wrong: not young for ever.
            age = time.time() - os.lstat(path).st_mtime
        except OSError:
            continue  # gone meanwhile
        (young if abs(age) < YOUNG else old).append(os.path.basename(path))
    return young, old


def _locks(place: Place, branch: str | None) -> Iterator[str]:
    try:
        for name in sorted(os.listdir(place.private)):
            if name.endswith(".lock"):
                yield f"{place.private}/{name}"
    except OSError:
        return
    if branch is not None:
        path = f"{place.common}/refs/heads/{branch}.lock"
        if os.path.lexists(path):
            yield path
