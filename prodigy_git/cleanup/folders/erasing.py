"""Deleting a folder whose contents are foreign: links, mounts, read-only folders, any depth."""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

# ioctl_iflags(2), ``_IOR('f', 1, long)``; FS_IMMUTABLE_FL and FS_APPEND_FL.
_GET_FLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_HELD = 0x10 | 0x20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN_AT_ONCE = 64  # folders; deeper ones are moved up before they are deleted


Freed = Callable[[int], None]
"""Called with the bytes of each thing that was deleted."""


@dataclass(frozen=True)
class Left:
    """Something that could not be deleted, and why, in words.

    ``cause`` is ``mount`` (something is mounted there), ``flags`` (it, or its folder, is immutable or
    append-only), ``owner`` (it, or its folder, belongs to the user ``uid``), or none of these.
    """

    path: str
    why: str
    cause: Literal["mount", "flags", "owner", ""] = ""
    uid: int | None = None

    def __str__(self) -> str:
        """Return path and reason."""
        return f"{self.path}: {self.why}"


class _Level:
    """A folder being emptied: its descriptor, its name in the one above, what is still in it."""

    __slots__ = ("bytes", "descriptor", "name", "names", "path")

    def __init__(
        self, descriptor: int, name: str, path: str, names: list[str], size: int = 0
    ) -> None:
        self.descriptor = descriptor
        self.name = name
        self.path = path
        self.names = names
        self.bytes = size


def erase(path: str, freed: Freed = lambda _: None) -> list[Left]:
    """Delete what is at ``path``; return what could not be deleted (empty: all is gone).

    No link is followed and no other filesystem or mount is entered. What an earlier, killed call has
    deleted already is no error. Works on descriptors of folders, not on paths: a path may be longer
    than the system takes, and a link put into its middle would lead elsewhere.
    """
    folder, name = os.path.split(path)
    try:
        top = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return []
    left: list[Left] = []
    levels = [_Level(top, "", folder, [name])]
    home = _filesystem(top)
    try:
        while True:
            level = levels[-1]
            if level.names:
                below = _delete(level, level.names.pop(), left, freed)
                if below is not None and _filesystem(below.descriptor) != home:
                    left.append(Left(below.path, "something is mounted there", "mount"))
                    os.close(below.descriptor)
                elif below is not None and len(levels) > _OPEN_AT_ONCE:
                    os.close(below.descriptor)
                    _move_up(level, below, levels[1], left)
                elif below is not None:
                    levels.append(below)
                continue
            if len(levels) == 1:
                return left
            os.close(levels.pop().descriptor)
            _remove_empty(levels[-1], level, left, freed)
    finally:
        for level in levels:
            os.close(level.descriptor)


def _delete(level: _Level, name: str, left: list[Left], freed: Freed) -> _Level | None:
    """Delete a file, or return the folder that ``name`` is, with its names read."""
    path = f"{level.path}/{name}"
    try:
        about = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False)
        size = about.st_blocks * 512
        if not stat.S_ISDIR(about.st_mode):
            os.unlink(name, dir_fd=level.descriptor)
            freed(size if about.st_nlink == 1 else 0)
            return None
        descriptor = _open(level.descriptor, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        left.append(_why(path, level.descriptor, name, error))
        return None
    try:
        # What is in a folder without write permission can be deleted once its owner has given it.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o700 != 0o700:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, 0o700)
        return _Level(descriptor, name, path, os.listdir(descriptor), size)
    except OSError as error:
        os.close(descriptor)
        left.append(_why(path, level.descriptor, name, error))
        return None


def _open(parent: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        # Not readable: it was seen to be a folder, and nobody else has access to the trash.
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, _FOLDER, dir_fd=parent)


def _move_up(level: _Level, below: _Level, root: _Level, left: list[Left]) -> None:
    """Move a folder that is very deep to the top: neither recursion nor descriptors run out."""
    name = f".prodigy-deep-{os.urandom(8).hex()}"
    try:
        os.rename(below.name, name, src_dir_fd=level.descriptor, dst_dir_fd=root.descriptor)
    except OSError as error:
        left.append(_why(below.path, level.descriptor, below.name, error))
        return
    root.names.append(name)


def _remove_empty(above: _Level, level: _Level, left: list[Left], freed: Freed) -> None:
    try:
        os.rmdir(level.name, dir_fd=above.descriptor)
        freed(level.bytes)
    except FileNotFoundError:
        pass
    except OSError as error:
        if not any(one.path.startswith(f"{level.path}/") for one in left):  # said already, why
            left.append(_why(level.path, above.descriptor, level.name, error))


def _why(path: str, folder: int, name: str, error: OSError) -> Left:
    """Return why ``name`` in an open folder could not be deleted."""
    words = error.strerror or str(error)
    if error.errno not in (errno.EPERM, errno.EACCES):
        return Left(path, words)
    # unlink(2): EPERM also for one that is immutable or append-only, and for all in such a folder.
    if _flags(folder) & _HELD or _flags_of(folder, name) & _HELD:
        return Left(path, "it is immutable or append-only", "flags")
    # What may be deleted is the folder's to say; of a folder whose contents are secret, its own.
    about = os.fstat(folder)
    with contextlib.suppress(OSError):
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if about.st_uid == os.geteuid() or stat.S_ISDIR(there.st_mode):
            about = there
    return Left(path, words, "owner", about.st_uid)


def _flags_of(folder: int, name: str) -> int:
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return 0  # opening a device or a pipe does something
        look = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(name, look, dir_fd=folder)
    except OSError:
        return 0
    try:
        return _flags(descriptor)
    finally:
        os.close(descriptor)


def _flags(descriptor: int) -> int:
    """Return the attributes that chattr(1) sets; 0 where the filesystem has none."""
    try:
        data = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:
        return 0
    return int.from_bytes(data[:4], sys.byteorder)


def _filesystem(descriptor: int) -> tuple[int, str]:
    """Return what tells the mount of an open folder apart from others.

    The device alone does not: a bind mount of a folder of the same filesystem has the same
    (proc(5), fdinfo, mnt_id).
    """
    mount = ""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{descriptor}") as stream:
        mount = next((line for line in stream if line.startswith("mnt_id:")), "")
    return os.fstat(descriptor).st_dev, mount


def allocated(path: str) -> int:
    """Return the bytes that the disk gives back when ``path`` is deleted: its blocks, not lengths.

    A file with several names under ``path`` counts once. Folders that cannot be read count as
    empty, and so do those whose path is longer than the system takes: then it is more.
    """
    seen: set[tuple[int, int]] = set()
    try:
        root = os.lstat(path)
    except OSError:
        return 0
    total = root.st_blocks * 512
    pending = [path] if not os.path.islink(path) else []
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as found:
            for one in found:
                about = one.stat(follow_symlinks=False)
                if about.st_nlink > 1 and not stat.S_ISDIR(about.st_mode):
                    if (about.st_dev, about.st_ino) in seen:
                        continue
                    seen.add((about.st_dev, about.st_ino))
                total += about.st_blocks * 512
                if stat.S_ISDIR(about.st_mode) and about.st_dev == root.st_dev:
                    pending.append(one.path)
    return total
