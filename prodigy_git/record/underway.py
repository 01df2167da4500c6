"""Recorders under way: which there are, and waiting until they are through.

A hook that wakes a recorder leaves a mark in the store, an empty file ``{session}+{process id}``; the
recorder takes it away when everything is recorded. A mark whose process is no more is left by one that
was killed, or could not do its work: the next hook then waits, does it, and takes the mark away.
"""

from __future__ import annotations

import os
import time

from prodigy_git import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

JOURNAL, LOCK = 3, 8
"""The descriptors by which a recorder holds the journal that it has yet to look at, and its session's
lock, which it has open without having taken it."""


def marks(store: str) -> list[tuple[str, int]]:
    """Return the marks in a store, as (session, process id); those of dead processes too."""
    try:
        found = os.listdir(layout.recorders(store))
    except OSError:
        return []
    parts = (name.rpartition("+") for name in found)
    return [(name, int(pid)) for name, _, pid in parts if name and pid.isdecimal()]


def sweep(store: str, name: str) -> None:
    """Take away the marks that dead recorders of a session have left; never raises."""
    for found, pid in marks(store):
        if found == name and not is_alive(store, name, pid):
            try:
                os.unlink(f"{layout.recorders(store)}/{name}+{pid}")
            except OSError:
                pass


def is_alive(store: str, name: str, pid: int) -> bool:
    """Whether a process is the recorder of a session that its mark says it is.

    Where the system does not tell what a process has open, any process of this user's with the id.
    """
    try:
        lock = os.stat(layout.session_lock(store, name))
        held = os.stat(f"/proc/{pid}/fd/{LOCK}")
    except OSError:
        if os.path.isdir("/proc/self/fd"):
            return False
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    return (lock.st_dev, lock.st_ino) == (held.st_dev, held.st_ino)


def let_pass(store: str, name: str, private: str, patience: float = 10.0) -> None:
    """Wait for the recorders of a session that hold another journal than the worktree has by now.

    What the old one said (``reflog expire`` writes a new one) only they can read, and it comes first.
    """
    deadline = time.monotonic() + patience
    while any(
        found == name and pid != os.getpid() and _holds_another(pid, private)
        for found, pid in marks(store)
    ):
        if time.monotonic() >= deadline:
            return
        time.sleep(0.005)


def _holds_another(pid: int, private: str) -> bool:
    try:
        held = os.stat(f"/proc/{pid}/fd/{JOURNAL}")
        now = os.stat(f"{private}/logs/HEAD")
    except OSError:
        return False
    return (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino)


def wait(store: str, patience: float, only: Container[str] | None = None) -> list[str]:
    """Wait until the recorders of a store, or of the sessions ``only``, are through.

    Waits at most ``patience`` seconds, and returns the sessions whose recorders were not through then:
    somebody has stopped them, or the machine is very busy.
    """
    deadline = time.monotonic() + patience
    pause = 0.001
    while True:
        left = [
            name
            for name, pid in marks(store)
            if (only is None or name in only) and is_alive(store, name, pid)
        ]
        if not left or time.monotonic() >= deadline:
            return sorted(set(left))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
