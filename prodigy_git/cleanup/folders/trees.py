"""Trees of files of any depth: walked, copied and compared, without recursion.

Python 3.11's `os.walk`, `shutil.rmtree` and `shutil.copytree` call themselves for each level, and end
in a `RecursionError` at a thousand.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator

from prodigy_git import holes

_PIECE = 1 << 20


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what `os.walk` does, from the top down; a link to a folder is among the files.

    The caller may take names out of the list of folders: those are not entered. What cannot be read
    counts as empty.
    """
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        folders: list[str] = []
        names: list[str] = []
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            for one in found:
                (folders if one.is_dir(follow_symlinks=False) else names).append(one.name)
        yield folder, folders, names
        waiting += [f"{folder}/{name}" for name in folders]


def is_folder(path: str) -> bool:
    """Whether a folder is at ``path``, and not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def copy(source: str, target: str) -> None:
    """Copy a tree durably: contents, holes, links, hard links, modes, owners, times, attributes.

    Owners, where the system lets us. Raises `OSError`; then part of it may be there.
    """
    first: dict[tuple[int, int], str] = {}
    folders: list[tuple[str, str]] = []
    waiting = [(source, target)]
    while waiting:
        one, to = waiting.pop()
        if _copy_one(one, to, first):
            folders.append((one, to))
            waiting += [(f"{one}/{name}", f"{to}/{name}") for name in os.listdir(one)]
    # From the deepest up: what is made in a folder changes its time, and it may be read-only.
    for one, to in reversed(folders):
        _finish(one, to, os.lstat(one))


def _copy_one(source: str, target: str, first: dict[tuple[int, int], str]) -> bool:
    """Copy what is no folder; make a folder, and return True: what is in it is for the caller."""
    about = os.lstat(source)
    kind = stat.S_IFMT(about.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(target, 0o700)
        return True
    if about.st_nlink > 1:
        earlier = first.setdefault((about.st_dev, about.st_ino), target)
        if earlier != target:
            os.link(earlier, target, follow_symlinks=False)
            return False
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)
    elif kind == stat.S_IFREG:
        _copy_contents(source, target)
    else:
        os.mknod(target, about.st_mode, about.st_rdev)
    _finish(source, target, about)
    return False


def _finish(source: str, target: str, about: os.stat_result) -> None:
    try:
        os.chown(target, about.st_uid, about.st_gid, follow_symlinks=False)
    except OSError as error:
        # EINVAL: an owner that this user namespace does not know (user_namespaces(7)).
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
    shutil.copystat(source, target, follow_symlinks=False)
    if stat.S_IFMT(about.st_mode) in (stat.S_IFDIR, stat.S_IFREG):
        _sync(target)


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        return  # a file that its owner cannot read: the copy could only be made by root
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_contents(source: str, target: str) -> None:
    with _opened(source) as one, open(target, "xb", buffering=0) as other:
        size = os.fstat(one).st_size
        for at, end in holes.data(one):
            os.lseek(other.fileno(), at, os.SEEK_SET)
            while at < end and (piece := os.pread(one, min(_PIECE, end - at), at)):
                view = memoryview(piece)
                while view:
                    view = view[other.write(view) or 0 :]
                at += len(piece)
        # The hole at its end.
        os.ftruncate(other.fileno(), size)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    # What has taken a file's name since it was looked at must not be followed or waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def difference(source: str, other: str) -> str | None:
    """Return the first path at or below ``source`` that ``other`` has not equally; None: it has all."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        path = f"{source}{inside}"
        if not same(path, f"{other}{inside}"):
            return path
        if is_folder(path):
            waiting += [f"{inside}/{name}" for name in os.listdir(path)]
    return None


def same(one: str, other: str) -> bool:
    """Whether two paths have the same kind, mode and contents; of a folder's, only that it is one."""
    about = os.lstat(one)
    try:
        there = os.lstat(other)
    except FileNotFoundError:
        return False
    if (about.st_mode, about.st_rdev) != (there.st_mode, there.st_rdev):
        return False
    if stat.S_ISLNK(about.st_mode):
        return os.readlink(one) == os.readlink(other)
    return not stat.S_ISREG(about.st_mode) or _same_bytes(one, other)


def _same_bytes(one: str, other: str) -> bool:
    with _opened(one) as first, _opened(other) as second:
        if os.fstat(first).st_size != os.fstat(second).st_size:
            return False
        for at, end in _joined(holes.data(first) + holes.data(second)):
            while at < end:
                piece = os.pread(first, min(_PIECE, end - at), at)
                if not piece or piece != os.pread(second, len(piece), at):
                    return False
                at += len(piece)
    return True


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def beyond_link(top: bytes, path: bytes, known: dict[bytes, bool]) -> bool:
    """Whether a path below ``top`` is, or lies behind, a symbolic link.

    ``known`` is what was found out before, of other paths below the same top.
    """
    asked = []
    while path and path not in known:
        asked.append(path)
        path = os.path.dirname(path)
    behind = known.get(path, False)
    for one in reversed(asked):
        behind = known[one] = behind or os.path.islink(b"%b/%b" % (top, one))
    return behind
