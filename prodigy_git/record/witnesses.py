"""Who else had a commit: other worktrees' journals, the logs of refs, what was fetched.

Read from git's files; with reftable git is asked for what its refs are now.
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import files, gitdir, journal
from prodigy_git.record.journal import MADE, PICK, UNDECIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodigy_git.record.gitdir import Commit, Place
    from prodigy_git.record.journal import Movement


class Witnesses:
    """What others had, as positions (SHA, seconds since 1970, …).

    ``fetched``: what came from another repository, or from the stash. ``heads``: where other worktrees'
    HEADs were, the line's kind, and whether that worktree comes before this one where both moved to it
    within a second. ``branches``: the lines of the branches' logs. ``refs``: where
    refs are that keep no log: nobody knows since when.
    """

    __slots__ = ("branches", "fetched", "heads", "refs")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.fetched: list[tuple[str, int]] = []
        self.heads: list[tuple[str, int, int, bool]] = []
        self.branches: list[tuple[str, Movement]] = []
        self.refs: dict[str, str] = {}


def gather(place: Place, floor: int) -> Witnesses:
    """Return what others had; of files that have not changed since ``floor``, nothing.

    ``floor`` is in nanoseconds since 1970: what came later cannot have been in them.
    """
    found = Witnesses()
    own = os.path.realpath(place.private)
    for private in _private_folders(place.common):
        for sha in _fetched(private, floor):
            found.fetched.append((sha, 0))
        if os.path.realpath(private) == own:
            continue
        # Where two moved to it in one second, one of them has it: the same one, whoever asks.
        first = os.path.exists(f"{private}/{layout.ENROLMENT}") and private < place.private
        for one in _lines(f"{private}/logs/HEAD", floor):
            found.heads.append((one.new, one.seconds, one.kind, first))
    logged = set()
    for ref, path in _logs(place.common):
        logged.add(ref)
        if ref.startswith("refs/heads/"):
            found.branches += [(ref[11:], one) for one in _lines(path, floor)]
        elif ref == "refs/stash" or ref.startswith("refs/remotes/"):
            # What was pushed was here before.
            found.fetched += [
                (one.new, one.seconds)
                for one in _lines(path, floor)
                if one.message != b"update by push"
            ]
    for ref, sha in _unlogged(place, logged, floor):
        if ref.startswith("refs/remotes/"):
            found.fetched.append((sha, 0))
        else:
            found.refs[ref] = sha
    return found


def made_in_journals(place: Place) -> set[str]:
    """Return the commits that some worktree's journal shows being made."""
    return {
        movement.new
        for private in _private_folders(place.common)
        for movement in _lines(f"{private}/logs/HEAD", 0)
        if movement.kind in (MADE, PICK, UNDECIDED)
    }


def arrival(common: str, branch: str) -> str | None:
    """Return the commit at which the worktree that is on ``branch`` came to it; None: none is on it.

    What the branch has beyond is that worktree's matter.
    """
    for private in _private_folders(common):
        try:
            if gitdir.head(gitdir.Place(private, common, common))[0] != branch:
                continue
        except OSError:
            continue
        lines = _lines(f"{private}/logs/HEAD", 0)
        came = [one for one in lines if one.message.startswith(b"checkout: ")]
        for line in came[-1:] or lines[:1]:
            return line.new
    return None


def moment_on_branch(place: Place, branch: str, commit: Commit, sha: str) -> int:
    """Return when a branch got a commit, in seconds since 1970: as its log says, else the commit."""
    for line in _lines(f"{place.common}/logs/refs/heads/{branch}", 0):
        if line.new == sha:
            return line.seconds
    return commit.seconds


def _lines(path: str, floor: int) -> list[Movement]:
    """Return the lines of a reflog that moved it; none where its file is older than ``floor``."""
    try:
        if floor and os.stat(path).st_mtime_ns < floor:
            return []
        data = files.read(path)
    except OSError:
        return []
    return [
        one for one in journal.parse(data, 0) if one.old != one.new and not journal.is_null(one.new)
    ]


def _fetched(private: str, floor: int) -> list[str]:
    """Return what the last fetch of a worktree brought, whether or not a ref keeps it."""
    path = f"{private}/FETCH_HEAD"
    try:
        if os.stat(path).st_mtime_ns < floor:
            return []
        lines = files.read(path).split(b"\n")
    except OSError:
        return []
    words = (line.partition(b"\t")[0].decode("ascii", "replace") for line in lines)
    return [word for word in words if gitdir.is_sha(word)]


def _private_folders(common: str) -> list[str]:
    """Return the private git directories of a repository: the main one and the linked ones."""
    try:
        linked = os.listdir(f"{common}/worktrees")
    except OSError:
        linked = []
    return [common, *(f"{common}/worktrees/{name}" for name in linked)]


def _logs(common: str) -> Iterator[tuple[str, str]]:
    """Yield the refs that keep a log, and its file."""
    for path in _below(f"{common}/logs/refs"):
        yield path[len(common) + 6 :], path


def _below(folder: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        else:
            yield entry.path


def _unlogged(place: Place, logged: set[str], floor: int) -> Iterator[tuple[str, str]]:
    """Yield the refs without a log and what they are, without ours and those of single worktrees."""
    common = place.common
    if os.path.isdir(f"{common}/reftable"):
        _, out = gitdir.ask(place, "for-each-ref", "--format=%(objectname) %(refname)")
        every = _listed(out)
    else:
        every = []
        for path in _below(f"{common}/refs"):
            try:
                if os.stat(path).st_mtime_ns >= floor:
                    sha = files.read(path).strip().decode("ascii", "replace")
                    every.append((path[len(common) + 1 :], sha))
            except OSError:
                continue
        try:
            if os.stat(f"{common}/packed-refs").st_mtime_ns >= floor:
                every += _listed(files.read(f"{common}/packed-refs", files.LARGEST_OF_GIT))
        except OSError:
            pass
    for ref, sha in every:
        passed = ref.startswith(("refs/prodigy", "refs/worktree/", "refs/bisect/", "refs/notes/"))
        if ref not in logged and not passed and gitdir.is_sha(sha):
            yield ref, sha


def _listed(text: bytes) -> list[tuple[str, str]]:
    """Return the refs in lines of ``SHA ref``."""
    found = []
    for line in text.split(b"\n"):
        sha, blank, ref = line.partition(b" ")
        if blank and not line.startswith((b"#", b"^")):
            found.append((os.fsdecode(ref), sha.decode("ascii", "replace")))
    return found
