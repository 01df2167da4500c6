"""Deleting a folder whose contents are foreign: links, mounts, read-only folders, any depth."""

import contextlib
import os
import stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN_AT_ONCE = 64  # folders; deeper ones are moved up before they are deleted


class _Level:
    """A folder being emptied: its descriptor, its name in the one above, what is still in it."""

    __slots__ = ("descriptor", "name", "names", "path")

    def __init__(self, descriptor: int, name: str, path: str, names: list[str]) -> None:
        self.descriptor = descriptor
        self.name = name
        self.path = path
        self.names = names


def erase(path: str) -> list[str]:
    """Delete what is at ``path``; return, in words, what could not be deleted (empty: all is gone).

    No link is followed and no other filesystem or mount is entered. What an earlier, killed call has
    deleted already is no error. Works on descriptors of folders, not on paths: a path may be longer
    than the system takes, and a link put into its middle would lead elsewhere.
    """
    folder, name = os.path.split(path)
    try:
        top = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return []
    left: list[str] = []
    levels = [_Level(top, "", folder, [name])]
    home = _filesystem(top)
    try:
        while True:
            level = levels[-1]
            if level.names:
                below = _delete(level, level.names.pop(), left)
                if below is not None and _filesystem(below.descriptor) != home:
                    left.append(f"{below.path} is a mount point")
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
            _remove_empty(levels[-1], level, left)
    finally:
        for level in levels:
            os.close(level.descriptor)


def _delete(level: _Level, name: str, left: list[str]) -> _Level | None:
    """Delete a file, or return the folder that ``name`` is, with its names read."""
    path = f"{level.path}/{name}"
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=level.descriptor, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=level.descriptor)
            return None
        descriptor = _open(level.descriptor, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        left.append(f"{path}: {_why(error)}")
        return None
    try:
        # What is in a folder without write permission can be deleted once its owner has given it.
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o700 != 0o700:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, 0o700)
        return _Level(descriptor, name, path, os.listdir(descriptor))
    except OSError as error:
        os.close(descriptor)
        left.append(f"{path}: {_why(error)}")
        return None


def _open(parent: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        # Not readable: it was seen to be a folder, and nobody else has access to the trash.
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, _FOLDER, dir_fd=parent)


def _move_up(level: _Level, below: _Level, root: _Level, left: list[str]) -> None:
    """Move a folder that is very deep to the top: neither recursion nor descriptors run out."""
    name = f".prodigy-deep-{os.urandom(8).hex()}"
    try:
        os.rename(below.name, name, src_dir_fd=level.descriptor, dst_dir_fd=root.descriptor)
    except OSError as error:
        left.append(f"{below.path}: {_why(error)}")
        return
    root.names.append(name)


def _remove_empty(above: _Level, level: _Level, left: list[str]) -> None:
    try:
        os.rmdir(level.name, dir_fd=above.descriptor)
    except FileNotFoundError:
        pass
    except OSError as error:
        if not any(text.startswith(f"{level.path}/") for text in left):  # said already, why
            left.append(f"{level.path}: {_why(error)}")


def _why(error: OSError) -> str:
    words = error.strerror or str(error)
    # unlink(2): EPERM where the directory lets us, and the file has the immutable attribute.
    return f"{words} (lsattr says whether it is immutable)" if error.errno == 1 else words


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
