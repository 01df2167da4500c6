"""What lies below the paths that are to be copied: walked before anything is copied, to know how much.

Not entered are repositories of their own (worktrees too: each has a ``.git``), the store, and what is
mounted from elsewhere. No link is followed: folders are opened one below the other.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_KEPT_OPEN = 24  # folders; those deeper are opened anew each time


class Way:
    """Open folders below a top, none of them reached through a link.

    The way to the last one is kept open: whoever goes through a tree in order opens each folder once.
    With ``made``, folders that are missing are made; it is called with the path of each.
    """

    def __init__(self, top: str, made: Callable[[str], None] | None = None) -> None:
        """Open the top. Raises `OSError`."""
        self._made = made
        self._open: list[tuple[str, int]] = [("", os.open(top, os.O_RDONLY | os.O_DIRECTORY))]

    def to(self, folder: str) -> int:
        """Return the descriptor of a folder below the top ("" is the top), valid until the next call.

        Raises `OSError`: ``ELOOP`` or ``ENOTDIR`` where a part of the path is a link or a file.
        """
        parts = folder.split("/") if folder else []
        same = 0
        while (
            same < len(parts)
            and same + 1 < len(self._open)
            and self._open[same + 1][0] == parts[same]
        ):
            same += 1
        while len(self._open) > same + 1:
            os.close(self._open.pop()[1])
        for number, name in enumerate(parts[same:], same + 1):
            above = self._open[-1][1]
            descriptor = self._enter(above, name, "/".join(parts[:number]))
            if len(self._open) > _KEPT_OPEN:
                os.close(self._open.pop()[1])
                name = "\0"  # none has this name: what is behind it is not the way of another
            self._open.append((name, descriptor))
        return self._open[-1][1]

    def _enter(self, above: int, name: str, path: str) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=above)
        except FileNotFoundError:
            if self._made is None:
                raise
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            pass  # another thread has been quicker
        else:
            self._made(path)
        return os.open(name, _FOLDER, dir_fd=above)

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop()[1])


@dataclass
class Folder:
    """Files and links in one folder, by name. ``path`` is from the top, "" for the top itself."""

    path: str
    files: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    empty: bool = False


@dataclass(frozen=True)
class Never:
    """What is passed over: the store, by device and inode, which is told; paths that are links."""

    store: tuple[int, int]
    links: set[str] = field(default_factory=set)


@dataclass
class Measured:
    """What lies at a path that is to be copied: ``folders``, each after the one that it is in.

    ``bytes`` are those on the disk, without holes. ``same`` maps further names of a file, by path, to
    the first one. ``left_out`` says in words what is not copied, by path.
    """

    path: str
    folders: list[Folder] = field(default_factory=list)
    bytes: int = 0
    files: int = 0
    same: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """Return the paths of all files and links."""
        return [
            *(_joined(one.path, name) for one in self.folders for name in (*one.files, *one.links)),
            *self.same,
        ]

    def keep(self, paths: set[str]) -> None:
        """Take out all files and links but these; the sizes stay."""
        for one in self.folders:
            one.files = [name for name in one.files if _joined(one.path, name) in paths]
            one.links = [name for name in one.links if _joined(one.path, name) in paths]
            one.empty = False
        self.same = {path: first for path, first in self.same.items() if path in paths}
        self.folders = _without_hollow(self)


def measure(way: Way, path: str, limit: int, never: Never) -> Measured:
    """Return what lies at ``path``: a file's, or a folder's with a slash at its end.

    Ends early where it is more than ``limit`` bytes.
    What vanishes meanwhile, or cannot be read, is left out. Never raises `OSError`.
    """
    found = Measured(path)
    inodes: dict[tuple[int, int], str] = {}
    if not path.endswith("/"):
        folder, _, name = path.rpartition("/")
        try:
            about = os.stat(name, dir_fd=way.to(folder), follow_symlinks=False)
        except OSError as error:
            found.left_out[path] = str(error.strerror)
            return found
        here = Folder(folder)
        found.folders.append(here)
        _add(found, here, name, about, inodes)
        return found
    waiting: list[tuple[str, int | None]] = [(path.rstrip("/"), None)]
    while waiting and found.bytes <= limit:
        inside, device = waiting.pop()
        if inside in never.links:
            continue
        try:
            descriptor = way.to(inside)
            about = os.fstat(descriptor)
            why = _not_entered(about, device, never)
            names = [] if why else os.listdir(descriptor)
            if ".git" in names or {"HEAD", "objects", "refs"} <= set(names):
                why = "a repository of its own"
            if why is None:
                here = Folder(inside, empty=not names)
                waiting += reversed(
                    list(_inside(found, here, descriptor, names, inodes, about.st_dev))
                )
                found.folders.append(here)
            else:
                found.left_out[inside] = why
        except FileNotFoundError:
            continue
        except OSError as error:
            found.left_out[inside] = str(error.strerror)
    found.folders = _without_hollow(found)
    return found


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _without_hollow(found: Measured) -> list[Folder]:
    """Return the folders without those that held only what is left out."""
    kept: list[Folder] = []
    around = {path.rpartition("/")[0] for path in found.same}
    for one in reversed(found.folders):
        if one.files or one.links or one.empty or one.path in around:
            kept.append(one)
            around.add(one.path.rpartition("/")[0])
    return kept[::-1]


def _not_entered(about: os.stat_result, device: int | None, never: Never) -> str | None:
    if (about.st_dev, about.st_ino) == never.store:
        return "the store"
    return None if device in (None, about.st_dev) else "on another filesystem"


def _inside(
    found: Measured,
    here: Folder,
    descriptor: int,
    names: list[str],
    inodes: dict[tuple[int, int], str],
    device: int,
) -> Iterator[tuple[str, int | None]]:
    """Add the files of a folder; yield the folders in it, with the device that it is on."""
    for name in names:
        try:
            about = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(about.st_mode):
            yield f"{here.path}/{name}", device
        else:
            _add(found, here, name, about, inodes)


def _add(
    found: Measured,
    here: Folder,
    name: str,
    about: os.stat_result,
    inodes: dict[tuple[int, int], str],
) -> None:
    path = _joined(here.path, name)
    if stat.S_ISREG(about.st_mode):
        if about.st_nlink > 1:
            first = inodes.setdefault((about.st_dev, about.st_ino), path)
            if first != path:
                found.same[path] = first
                return
        here.files.append(name)
        found.files += 1
        found.bytes += min(about.st_size, about.st_blocks * 512)
    elif stat.S_ISLNK(about.st_mode):
        here.links.append(name)
        found.files += 1
    elif stat.S_ISDIR(about.st_mode):
        found.left_out[path] = "a folder now"
    else:
        found.left_out[path] = "no regular file"
