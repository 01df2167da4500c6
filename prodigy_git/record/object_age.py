"""When a commit's object came into a repository: what tells a commit made here from an old one.

A committer date is what its maker says; the time of the object's own file is the machine's. git writes
an object once, with the time of that moment: loose, or in a pack (a fetch of many objects,
``fast-import``). A `gc` later copies it into a newer pack, which then says only "not after". Formats:
gitformat-pack(5), version 2 of the index.
"""

from __future__ import annotations

import os

from prodigy_git.record import files

SECOND = 1_000_000_000
"""A second, in the unit of these times."""
_SLACK = SECOND // 50
"""The kernel stamps files by its tick, up to 10 ms late; git asks the clock itself."""


class Objects:
    """The times of a repository's own objects; those in alternates are another's."""

    __slots__ = ("_folder", "_packs")

    def __init__(self, common: str) -> None:
        """Read nothing yet."""
        self._folder = f"{common}/objects"
        self._packs: list[tuple[int, str]] | None = None

    def loose(self, sha: str) -> int | None:
        """Return the time of an object's own file in nanoseconds since 1970; None: it has none."""
        try:
            return os.stat(f"{self._folder}/{sha[:2]}/{sha[2:]}").st_mtime_ns
        except OSError:
            return None

    def packed(self, sha: str) -> int | None:
        """Return the time of the oldest pack that has an object; None: none, or one from a promisor."""
        name = bytes.fromhex(sha)
        for moment, path in self._listed():
            if _holds(path, name):
                # A partial clone keeps apart what it fetched.
                return None if os.path.exists(f"{path[:-4]}.promisor") else moment
        return None

    def seen(self, sha: str) -> tuple[int, bool] | None:
        """Return when an object was here at the latest, and whether it came then; None: not ours."""
        loose, packed = self.loose(sha), self.packed(sha)
        if loose is not None and (packed is None or loose <= packed):
            return loose, True
        return None if packed is None else (packed, False)

    def is_new(self, sha: str, since: int) -> bool:
        """Whether an object may have come after ``since``; the cheap question, asked first."""
        loose = self.loose(sha)
        if loose is not None:
            return loose >= since
        if all(moment < since for moment, _ in self._listed()):
            return False
        packed = self.packed(sha)
        return packed is not None and packed >= since

    def _listed(self) -> list[tuple[int, str]]:
        # By the index's time: git touches a pack again when an object that it has is written anew.
        if self._packs is None:
            self._packs = []
            try:
                names = os.listdir(f"{self._folder}/pack")
            except OSError:
                names = []
            for name in names:
                path = f"{self._folder}/pack/{name}"
                if name.endswith(".idx"):
                    try:
                        self._packs.append((os.stat(path).st_mtime_ns, path))
                    except OSError:
                        pass  # a repack has just replaced it
            self._packs.sort()
        return self._packs


def not_before(objects: Objects, sha: str, seconds: int, journal: int) -> int:
    """Return a time, in nanoseconds since 1970, at which a line of the journal was not yet there.

    ``sha`` is the commit that HEAD moved to in it, which was there before; ``seconds`` is what the line
    says, unless it lies ahead of ``journal``, the time of the journal's file: then it is no time of the
    machine's, but one that the environment gave.
    """
    said = seconds * SECOND - _SLACK
    there = objects.loose(sha) if sha else None
    return max(there or 0, said if said <= journal else 0)


def _holds(path: str, name: bytes) -> bool:
    """Whether the index ``path`` of a pack has an object."""
    try:
        descriptor = files.open_regular(path)
    except OSError:
        return False
    try:
        head = os.pread(descriptor, 8 + 1024, 0)
        if len(head) < 8 + 1024 or head[:8] != b"\xfftOc\0\0\0\2":
            return False
        first = name[0]
        begin = int.from_bytes(head[4 + 4 * first : 8 + 4 * first], "big") if first else 0
        end = int.from_bytes(head[8 + 4 * first : 12 + 4 * first], "big")
        length = len(name)
        names = os.pread(descriptor, (end - begin) * length, 8 + 1024 + begin * length)
    finally:
        os.close(descriptor)
    at = names.find(name)
    while at >= 0 and at % length:
        at = names.find(name, at + 1)
    return at >= 0
