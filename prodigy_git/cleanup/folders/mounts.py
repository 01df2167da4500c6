"""Mounts: which lie in a folder, and what a path is by what is mounted there.

The same folder can have many paths: through a bind mount, an overlay, in another mount namespace (a
container).
What it is, is told by the device of the mount and the path within that filesystem. A folder that
something is mounted in, or that is mounted elsewhere too, must not be moved: rename(2) takes the mount
along, and whoever empties the trash then deletes what was mounted.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Spot = tuple[str, str]
"""What a folder is: the device of its mount (``major:minor``), and its path within the filesystem."""

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_LAYER = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir|workdir)=((?:\\.|[^,\\])*)")
_BETWEEN_LAYERS = re.compile(r"(?<!\\):+")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount: the folder ``root`` of the filesystem on ``device`` is seen at ``point``.

    ``id`` and ``parent`` are the kernel's, ``options`` the filesystem's own.
    """

    id: str
    parent: str
    device: str
    root: str
    point: str
    options: str


@dataclass(frozen=True)
class Namespace:
    """The mounts that a process sees.

    ``on`` has the mounts that lie on another, by its id; ``first`` those that lie on none. ``in_path``
    and ``in_spot`` have the mounts by each folder that they are mounted in, ``of_spot`` by each folder
    that their source lies in; a folder itself counts.
    """

    mounts: dict[str, Mount] = field(default_factory=dict)
    on: dict[str, list[Mount]] = field(default_factory=dict)
    first: list[Mount] = field(default_factory=list)
    in_path: dict[str, list[Mount]] = field(default_factory=dict)
    in_spot: dict[Spot, list[Mount]] = field(default_factory=dict)
    of_spot: dict[Spot, list[Mount]] = field(default_factory=dict)


def own() -> Namespace | None:
    """Return the mounts that this process sees; None where the system has no list of them."""
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            return parse(stream.read())
    except OSError:
        return None


def parse(data: bytes, root: str = "/") -> Namespace:
    """Return what a ``mountinfo`` file says (proc(5)).

    ``root`` is the root folder of the process that it is of: mount points are relative to that.
    """
    found = Namespace()
    for line in data.split(b"\n"):
        words = line.split(b" ")
        if len(words) < 10:
            continue
        device, source, point, options = (_text(words[n]) for n in (2, 3, 4, -1))
        if root != "/":
            point = root if point == "/" else root + point
        one = Mount(_text(words[0]), _text(words[1]), device, source, point, options)
        found.mounts[one.id] = one
    for one in found.mounts.values():
        below = found.mounts.get(one.parent)
        for folder in folders(one.point):
            found.in_path.setdefault(folder, []).append(one)
        for folder in folders(one.root):
            found.of_spot.setdefault((one.device, folder), []).append(one)
        # The very first one lies on itself.
        if below is None or below is one:
            found.first.append(one)
            continue
        found.on.setdefault(below.id, []).append(one)
        for folder in folders(_within(below, one.point)):
            found.in_spot.setdefault((below.device, folder), []).append(one)
    for one in found.mounts.values():
        for device, path in _layers(found, one):
            for folder in folders(path):
                found.of_spot.setdefault((device, folder), []).append(one)
    return found


def _layers(namespace: Namespace, mount: Mount) -> Iterator[Spot]:
    """Yield what an overlay is made of (mount(8), overlay): these folders are in use by it."""
    for match in _LAYER.finditer(mount.options):
        for path in _BETWEEN_LAYERS.split(match[1]):
            path = re.sub(r"\\(.)", r"\1", path)
            if path.startswith("/"):  # else nobody knows from where
                yield spot(namespace, os.path.normpath(path))


def _text(word: bytes) -> str:
    # Blanks, tabs, line ends and backslashes are written as three octal digits.
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), word))


def folders(path: str) -> Iterator[str]:
    """Yield an absolute path, and each folder that it lies in."""
    yield path
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _within(mount: Mount, path: str) -> str:
    """Return the path within a mount's filesystem of what is at ``path``, which lies on it."""
    rest = path.removeprefix(mount.point.rstrip("/")).strip("/")
    return f"{mount.root.rstrip('/')}/{rest}".rstrip("/") or "/"


def mount_of(namespace: Namespace, path: str) -> Mount | None:
    """Return the mount that a path (absolute, no link in it) is on; None where that is not told."""
    mount, candidates = None, namespace.first
    while True:
        # As the kernel walks: the first mount on the way hides what is mounted below its point.
        on_the_way = [one for one in candidates if _contains(one.point, path)]
        if not on_the_way:
            return mount
        mount = min(on_the_way, key=lambda one: len(one.point))
        candidates = namespace.on.get(mount.id, [])


def _contains(folder: str, path: str) -> bool:
    return path == folder or folder == "/" or path.startswith(f"{folder}/")


def spot(namespace: Namespace | None, path: str) -> Spot:
    """Return what is at a path (absolute, no link in it), in a form that other namespaces share."""
    mount = None if namespace is None else mount_of(namespace, path)
    return ("", path) if mount is None else (mount.device, _within(mount, path))


def inside(namespace: Namespace, path: str) -> list[str]:
    """Return the mount points at or below a folder (no link in its path), innermost first.

    Also those that were made through another path of the same folder.
    """
    found = namespace.in_path.get(path, []) + namespace.in_spot.get(spot(namespace, path), [])
    return sorted({one.point for one in found}, key=lambda point: (-point.count("/"), point))


def points(top: str) -> list[str]:
    """Return the mount points at or below a folder, as far as the system tells."""
    namespace = own()
    return by_device(top, ()) if namespace is None else inside(namespace, os.path.realpath(top))


def elsewhere(namespace: Namespace, path: str) -> list[str]:
    """Return the mount points at which a folder, or one in it, is seen again."""
    here = set(inside(namespace, path))
    found = namespace.of_spot.get(spot(namespace, path), [])
    return sorted({one.point for one in found} - here)


def by_device(top: str, below: Iterable[str]) -> list[str]:
    """Return which folders are on another device than ``top``, itself if it is a mount point.

    For systems that have no list of mounts: a bind mount is not seen.
    """
    found = [top] if os.path.ismount(top) else []
    device = os.lstat(top).st_dev
    for folder in below:
        try:
            if os.lstat(folder).st_dev != device:
                found.append(folder)
        except OSError:
            continue
    return sorted(found, key=lambda point: (-point.count("/"), point))
