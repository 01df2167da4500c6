"""A reserve of disk space, for what has to be written before something can be deleted.

A worktree that is deleted for good is first anchored in git, and its removal written down. A megabyte,
in small files so that it holds inodes as well, is kept in the store and, where that is another
filesystem, in the repository's git directory. Whoever needs it gives it up and makes it again.

The end of a claim takes what it needs of the store's, too: work that was done is not done again because
the disk filled up meanwhile.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from prodigy_git.record import files

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_T = TypeVar("_T")
_FILES, _BYTES = 32, 32 * 1024
_NAMES = {f"{number:02}" for number in range(_FILES)}
_ENOUGH = 256 * 1024  # bytes, and
_INODES = 48  # what the removal of a clean worktree takes, and more


def keep(store: str, common: str) -> None:
    """Make what is missing of the reserves, unless that would fill the disk; never raises `OSError`."""
    for folder in _reserves(store, common):
        _make(folder, leaving=3 * _FILES * _BYTES)


def lacking(store: str) -> str | None:
    """Return, in words, that a store has no room for a step; None where it has, or cannot be asked."""
    try:
        about = os.statvfs(store)
    except OSError:
        return None
    left = about.f_bavail * about.f_frsize
    # Some filesystems have no fixed number of inodes, and say 0.
    if left >= _ENOUGH and (not about.f_files or about.f_favail >= _INODES):
        return None
    return f"there is no room in {store}: 'prodigy-git trash empty' makes some"


def _reserves(store: str, common: str) -> list[str]:
    with contextlib.suppress(OSError):
        if os.stat(store).st_dev == os.stat(common).st_dev:
            return [f"{store}/reserve"]
    inside = f"{common}/prodigy-reserve"
    return [f"{store}/reserve", *([] if os.path.islink(inside) else [inside])]


def _make(folder: str, *, leaving: int) -> None:
    """Make the missing files of a reserve, as many as leave so many bytes to others."""
    path = ""
    try:
        files.make_private(folder)
        there = {
            one.name
            for one in os.scandir(folder)
            if one.stat(follow_symlinks=False).st_size == _BYTES
        }
        for name in sorted(_NAMES - there):
            about = os.statvfs(folder)
            if about.f_bavail * about.f_frsize < leaving + _BYTES:
                return
            path = f"{folder}/{name}"
            descriptor = files.create_anew(path, os.O_WRONLY)
            try:
                # Not zeros, which some filesystems do not store.
                files.write_all(descriptor, os.urandom(_BYTES))
            finally:
                os.close(descriptor)
    except OSError:
        with contextlib.suppress(OSError):  # half a file is of no use to anybody
            os.unlink(path)


@contextlib.contextmanager
def given_up(store: str, common: str) -> Iterator[None]:
    """Give the reserves up for the time of a ``with``, where space lacks; then make them again."""
    lacking = any(map(_is_full, (store, common)))
    try:
        if lacking:
            for folder in _reserves(store, common):
                _drop(folder)
        yield
    finally:
        if lacking:
            for folder in _reserves(store, common):
                _make(folder, leaving=0)  # what was not used, for the next time
        else:
            keep(store, common)


def _is_full(folder: str) -> bool:
    """Whether there is less space on a disk than the removal of a clean worktree takes."""
    import tempfile  # takes two milliseconds, and only cleaning needs it

    try:
        about = os.statvfs(folder)
        if about.f_files > 0 and about.f_favail < _INODES:
            return True
        # By writing, since a quota shows nowhere else.
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            return probe.write(os.urandom(_ENOUGH)) < _ENOUGH
    except OSError as error:
        return error.errno in NO_SPACE


def _drop(folder: str) -> None:
    for name in _NAMES:
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}/{name}")


def with_room(store: str, write: Callable[[], _T]) -> _T:
    """Return what ``write`` does; where the disk is full, a file of the store's reserve makes room.

    Then ``write`` is called again, as long as there is another: it is all or nothing. What was given
    up is made again by the next `keep` that finds the space. Raises as ``write``.
    """
    left = sorted(_NAMES)
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in NO_SPACE or not _spent(f"{store}/reserve", left):
                raise


def _spent(folder: str, left: list[str]) -> bool:
    """Remove one file of a reserve; False where there is none."""
    while left:
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}/{left.pop()}")
            return True
    return False
