"""A folder in memory for the files of tests, where syncing costs nothing."""

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
from pathlib import Path

SHARED = Path("/dev/shm")
_PREFIX = "prodigy-tests-"


@functools.cache
def folder() -> Path | None:
    """Return this process's folder; None where there is no room, or where no program may run.

    It is locked while this process lives. What nobody has locked is left of a run that was killed, and
    would take memory for ever: it is removed.
    """
    try:
        about = os.statvfs(SHARED)
    except OSError:
        return None
    room = about.f_bavail * about.f_frsize >= 1 << 30
    if not room or about.f_flag & os.ST_NOEXEC or not os.access(SHARED, os.W_OK):
        return None
    for left in SHARED.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = _locked(left)
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    while True:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=SHARED))
        with contextlib.suppress(OSError):  # another one took it for left
            _locked(made)
            if made.is_dir():
                break
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _locked(path: Path) -> int:
    """Lock a folder, and return the descriptor that holds it. Raises OSError where it is locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
