"""Whether a repair may move a half of a worktree: the one rule, and what it has to remember.

A worktree has two halves: its folder, and git's private directory for it. Where only one is in sight,
the other may be gone for good; or on a disk that is not mounted, moved by hand, in another container's
clone. Whoever then moves the half that is left takes a worktree apart that is whole elsewhere. So a
half is moved only where all of this holds; else it is named, and left:

- a session of this store says what it is, and that session has ended;
- a clean has seen it whole, and the place of its missing half is the same folder on the same mount now
  as it was then;
- its other half was missing at two cleans, a day or more apart, on one boot, as seen from one place;
- nothing in it was touched for a day, and no process stands in it.

What this has to remember lies in ``state/{repo}/halves.json``. `find` reads it, only a clean that may
change something writes it (`note`). Where it is lost, all begins anew: nothing is moved.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from prodigy_git import layout
from prodigy_git.cleanup.account import presence
from prodigy_git.cleanup.folders import mounts
from prodigy_git.model.session import Session
from prodigy_git.record import clock, cursor, files, jsonline, repokey
from prodigy_git.record.gitdir import Place

DAY = 86400 * clock.SECOND
_LOOKED_AT = 50_000  # files; so many in a folder are looked at for the newest


@dataclass(frozen=True)
class Half:
    """A half of a worktree whose other half is not in sight.

    ``here`` is the path of the half that is there, ``away`` where the other one should be; ``session``
    None where no session of the store says that this is its worktree. ``outer`` is the folder whose
    identity tells whether the place of the missing half is in sight: the parent of a missing folder,
    the common directory of a missing private directory.
    """

    here: str
    away: str
    outer: str
    session: Session | None

    @property
    def name(self) -> str:
        """The id of its session, empty where there is none."""
        return "" if self.session is None else self.session.id


@dataclass
class Memory:
    """What earlier cleans of a repository saw.

    ``whole`` maps a session to the identities of the two folders that its halves lay in, ``missing`` a
    half's path to since when (microseconds) its other half is missing, and as seen from where.
    """

    whole: dict[str, tuple[str, str]] = field(default_factory=dict)
    missing: dict[str, tuple[int, str]] = field(default_factory=dict)


def recall(store: str, key: str) -> Memory:
    """Return what earlier cleans saw; nothing where that is missing or damaged."""
    memory = Memory()
    try:
        fields = jsonline.decode_object(files.read(layout.halves(store, key)))
        for name, (folder, git) in fields["whole"].items():
            memory.whole[str(name)] = (str(folder), str(git))
        for path, (since, sight) in fields["missing"].items():
            memory.missing[str(path)] = (int(since), str(sight))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()
    return memory


def note(store: str, key: str, whole: dict[str, tuple[str, str]], halves: Iterable[Half]) -> None:
    """Remember what this clean has seen, where it is news; the caller holds the repository's lock.

    ``whole`` are the worktrees that have both halves, by session. Raises `OSError`.
    """
    before = recall(store, key)
    now = clock.now()
    after = Memory(dict(whole))
    for half in halves:
        if half.name in before.whole:
            after.whole.setdefault(half.name, before.whole[half.name])
        seen = sight(half)
        since, earlier = before.missing.get(half.here, (now, seen))
        # Seen from elsewhere, or in a future that a wrong clock made: it begins anew.
        after.missing[half.here] = (
            (since, seen) if earlier == seen and since <= now else (now, seen)
        )
    if after != before:
        fields = {"whole": after.whole, "missing": after.missing}
        data = jsonline.line(fields)
        files.replace(layout.halves(store, key), data)


def why(half: Half, memory: Memory) -> str:
    """Return why a half may not be moved; empty: it may. What costs most is looked at last."""
    found = half.session
    if found is None:
        return "no session of this store says what it is"
    if not found.ended:
        return f"its session, {found.id}, is {found.status}"
    if reason := why_missed(half, memory):
        return reason
    if clock.now() - touched(half.here) < DAY:
        return "something in it was changed within a day"
    for point in mounts.points(half.here):
        return f"{point} is mounted in it"
    for one in presence.inside(Place(half.here, "", half.here), presence.scan()):
        return f"{one.name} (pid {one.pid}) {one.why}"
    return ""


def why_missed(half: Half, memory: Memory) -> str:
    """Return why it is too early to believe that a half is gone; empty: it was missed for a day."""
    there = memory.whole.get(half.name)
    if there is None:
        return "no clean has seen it whole"
    if identity(half.outer) not in there:
        return f"{half.outer} is not what it was when it was seen whole"
    since, seen = memory.missing.get(half.here, (0, ""))
    age = clock.now() - since
    if not since or seen != sight(half) or age < 0:
        return "missed for the first time: looked at again at a clean in a day"
    if age < DAY:
        return f"missing since {clock.stamp(since)}: looked at again at a clean in a day"
    return ""


def identity(path: str) -> str:
    """Return what tells a folder from another one at the same path; empty where there is none.

    Of a repository its mark, too: an inode's number is used again after a deletion.
    """
    try:
        about = os.stat(path)
    except OSError:
        return ""
    return f"{about.st_dev}:{about.st_ino}:{repokey.mark_of(path) or ''}"


def sight(half: Half) -> str:
    """Return from where a half is looked at: boot, mount namespace, the folder where the other lay."""
    try:
        mounts = os.readlink("/proc/self/ns/mnt")  # namespaces(7)
    except OSError:
        mounts = ""
    return f"{os.uname().nodename} {cursor.boot_id()} {mounts} {identity(half.outer)}"


def touched(path: str) -> int:
    """Return when something below a folder was changed last, in microseconds since 1970.

    Follows no link. Of very many files the first ones are looked at: a folder's own time says when a
    name in it came or went.
    """
    newest = 0
    left = _LOOKED_AT
    waiting = [path]
    while waiting and left > 0:
        folder = waiting.pop(0)
        try:
            about = os.lstat(folder)
            newest = max(newest, about.st_mtime_ns, about.st_ctime_ns)
            with os.scandir(folder) as found:
                for one in found:
                    left -= 1
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
                    else:
                        about = one.stat(follow_symlinks=False)
                        newest = max(newest, about.st_mtime_ns, about.st_ctime_ns)
        except OSError:
            return clock.now()  # what cannot be looked at may be new
    return newest // 1000
