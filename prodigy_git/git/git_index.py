"""What an index says that ``git status`` does not: hidden entries, submodules, folders.

Read from the file (gitformat-index(5)), since one more process per worktree would cost as much as the
status itself. In the forms that are not read here (version 4, split, sparse) git is asked.
"""

import hashlib
import os
import struct
from dataclasses import dataclass

from prodigy_git.git.ask import look
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place

_ASSUME_UNCHANGED, _EXTENDED, _LENGTH = 0x8000, 0x4000, 0x0FFF
_SKIP_WORKTREE = 0x4000  # of the extended flags
_GITLINK = b"\x00\x00\xe0\x00"


@dataclass(frozen=True)
class Index:
    """What an index holds; paths are bytes, relative to the top.

    ``hidden`` are the entries that git is told not to look at (assume-unchanged, skip-worktree),
    ``gitlinks`` the submodules, ``folders`` those with tracked files, the top left out. ``sound`` says
    that its checksum is right: git itself reads on past the end of one that is cut off.
    """

    hidden: list[bytes]
    gitlinks: list[bytes]
    folders: set[bytes]
    sound: bool = True


EMPTY = Index([], [], set())
DAMAGED = Index([], [], set(), sound=False)


def is_sound(data: bytes) -> bool:
    """Whether an index's checksum is that of its contents, or it has none (index.skipHash)."""
    for size, digest in ((20, hashlib.sha1), (32, hashlib.sha256)):
        end = data[-size:]
        if data.startswith(b"DIRC") and end in (
            digest(data[:-size], usedforsecurity=False).digest(),
            bytes(size),
        ):
            return True
    return False


def read(place: Place, hash_size: int) -> Index:
    """Return what a worktree's index says; `EMPTY` where there is none, `DAMAGED` where it is that.

    ``hash_size`` is in bytes.
    """
    try:
        data = files.read(f"{place.private}/index", files.LARGEST_OF_GIT)
    except OSError:
        return EMPTY
    if not is_sound(data):
        return DAMAGED
    try:
        found = _parse(data, hash_size)
    except (struct.error, ValueError, IndexError):
        return DAMAGED
    return _asked(place) if found is None else found


def _parse(data: bytes, hash_size: int) -> Index | None:
    """Return what index ``data`` says; None for a form that is not read here."""
    signature, version, count = struct.unpack_from(">4sLL", data)
    if signature != b"DIRC" or version not in (2, 3):
        return None
    flags_at = struct.Struct(">H").unpack_from
    fixed = 40 + hash_size  # before the flags
    # A mode is what it looks like wherever it stands: if it is nowhere, there is no submodule.
    may_have_links = _GITLINK in data
    hidden, gitlinks = [], []
    at = 12
    for _ in range(count):
        (flags,) = flags_at(data, at + fixed)
        length = flags & _LENGTH
        if length == _LENGTH or flags > _LENGTH or may_have_links:
            name = at + fixed + (4 if flags & _EXTENDED else 2)
            length = data.index(b"\0", name) - name
            skipped = flags & _EXTENDED and flags_at(data, name - 2)[0] & _SKIP_WORKTREE
            if skipped or flags & _ASSUME_UNCHANGED:
                hidden.append(data[name : name + length])
            if data[at + 24 : at + 28] == _GITLINK:
                gitlinks.append(data[name : name + length])
            length = name + length - (at + fixed + 2)
        at += (fixed + 2 + length + 8) & ~7
    folders: set[bytes] | None = None
    end = len(data) - hash_size
    while at + 8 <= end:
        kind, size = struct.unpack_from(">4sL", data, at)
        if kind in (b"link", b"sdir"):
            return None
        if kind == b"TREE":
            folders = _cached_folders(data[at + 8 : at + 8 + size], hash_size)
        at += 8 + size
    return Index(hidden, gitlinks, _all_folders(data, count, fixed) if folders is None else folders)


def _cached_folders(data: bytes, hash_size: int) -> set[bytes] | None:
    """Return the folders that the cache of trees names; None where it does not know all."""
    folders: set[bytes] = set()
    above: list[tuple[bytes, int]] = []  # each folder that is open, and how many more it has
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        line = data.index(b"\n", end)
        entries, subtrees = data[end + 1 : line].split(b" ")
        if entries.startswith(b"-"):
            return None
        name = data[at:end]
        while above and above[-1][1] == 0:
            above.pop()
        if above:
            parent, left = above[-1]
            above[-1] = (parent, left - 1)
            name = b"%b/%b" % (parent, name) if parent else name
            folders.add(name)
        above.append((name, int(subtrees)))
        at = line + 1 + hash_size
    return folders


def _all_folders(data: bytes, count: int, fixed: int) -> set[bytes]:
    """Return the folders in the names of all entries."""
    folders: set[bytes] = set()
    at = 12
    for _ in range(count):
        name = at + fixed + (4 if data[at + fixed] & 0x40 else 2)
        end = data.index(b"\0", name)
        _add_folders(folders, data[name:end])
        at += (end - at + 8) & ~7
    return folders


def _add_folders(folders: set[bytes], path: bytes) -> None:
    folder = os.path.dirname(path)
    while folder and folder not in folders:
        folders.add(folder)
        folder = os.path.dirname(folder)


def _asked(place: Place) -> Index:
    """Ask git for the same; a sparse index is expanded in memory only."""
    status, out, _ = look(place, "ls-files", "-v", "-s", "-z")
    hidden, gitlinks = [], []
    folders: set[bytes] = set()
    for entry in out.split(b"\0")[:-1] if status == 0 else []:
        head, _, path = entry.partition(b"\t")
        tag, mode = head.split(b" ")[:2]
        _add_folders(folders, path)
        # In lower case: assume-unchanged. S: skip-worktree (git-ls-files(1)).
        if tag in b"Ss" or tag.islower():
            hidden.append(path)
        if mode == b"160000":
            gitlinks.append(path)
    return Index(hidden, gitlinks, folders)
