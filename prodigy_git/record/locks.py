"""Locks: flock(2) with a deadline, on a file that is there for that alone, or on what is guarded."""

from __future__ import annotations

import fcntl
import os
import time

from prodigy_git.record import files

PATIENCE = 5.0
"""How many seconds a lock is waited for, where the caller does not say."""
LONGEST_WAIT = float("inf")
"""How many seconds any lock is waited for in this process, at most, whatever the caller says."""


class Busy(OSError):
    """A lock was not to be had before the deadline."""


def take(path: str, patience: float = PATIENCE) -> int:
    """Take the exclusive lock ``path`` and return its descriptor; `os.close` gives it back.

    Waits at most ``patience`` seconds, then raises `Busy`. The file is created where it is missing
    and never removed: whoever unlinked it would let two holders in (see flock(2)). The descriptor is
    not inherited by child processes, which would hold the lock on after the holder's death.
    """
    return _held(_open_lock(path), path, patience)


def take_folder(path: str, patience: float = PATIENCE) -> int:
    """Take the lock of the folder ``path`` itself, as `take` does; nothing is written there.

    On a network filesystem that locks only what is open for writing, nobody is kept out. Raises
    `Busy`, and `OSError` where the folder cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _held(descriptor, path, patience)
    except Busy:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def _held(descriptor: int, path: str, patience: float) -> int:
    """Lock what ``descriptor`` is open on, and return it; close it where that fails."""
    try:
        if hold(descriptor, patience):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise Busy(11, f"busy for {min(patience, LONGEST_WAIT):g} seconds", path)


def hold(descriptor: int, patience: float) -> bool:
    """Lock an open file exclusively; False where that was not to be had in ``patience`` seconds.

    Raises `OSError` where the filesystem has no locks.
    """
    patience = min(patience, LONGEST_WAIT)
    deadline = time.monotonic() + patience
    pause, longest = 0.0002, min(patience / 12, 0.01)
    while True:
        try:
            # Polling, because the one way to bound a blocking flock is a signal, and the caller may
            # be a thread. Locks here are held for about a tenth of a millisecond.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 1.5, longest)
        else:
            return True


def is_held(path: str) -> bool:
    """Whether another process holds the lock ``path`` now, whichever way it was taken."""
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return False
    try:
        # Shared, and for a moment: whoever wants the lock meanwhile tries again in 10 ms.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _open_lock(path: str) -> int:
    try:
        return files.create(path, os.O_RDWR)
    except FileNotFoundError:
        files.make_private(os.path.dirname(path))
        return files.create(path, os.O_RDWR)
