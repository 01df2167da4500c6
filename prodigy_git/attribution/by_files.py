"""Which files commits touched, and whose they were: what was copied by hand is told by it.

`git merge --squash` with `git commit`, or files taken from another branch, leave no other tie.
"""

from collections.abc import Iterable, Iterator, Mapping

from prodigy_git.attribution import patches
from prodigy_git.attribution.history import Made
from prodigy_git.git.ask import look
from prodigy_git.record.gitdir import Place

_AT_ONCE = 500
_ASKED = (
    "diff-tree", "--stdin", "--always", "--root", "-r", "--raw", "-z", "--no-abbrev", "--no-renames",
    "--no-relative", "--ignore-submodules=none",
)  # fmt: skip
_EMPTY = frozenset((
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
))  # fmt: skip
"""The empty file's id, which says nothing."""


def files(place: Place, commits: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what some commits made of files, against their first parents: the blobs by path.

    A file that was removed has a blob of zeros; a commit that is gone, or a tree of it, is left out.
    Raises `ProdigyError` where git cannot be asked.
    """
    wanted = list(commits)
    for first in range(0, len(wanted), _AT_ONCE):
        left = list(patches.parents_of(place, wanted[first : first + _AT_ONCE]).items())
        while left:
            asked = "".join(f"{' '.join([commit, *parents[:1]])}\n" for commit, parents in left)
            status, out, _ = look(place, *_ASKED, stdin=asked.encode())
            found = list(_parsed(out))
            yield from found
            # git ends where a tree is missing, before it says anything of that commit.
            left = left[len(found) + 1 :] if status != 0 else []


def _parsed(out: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    commit: str | None = None
    there: dict[str, str] = {}
    parts = iter(out.split(b"\0")[:-1])
    for part in parts:
        if not part.startswith(b":"):
            if commit is not None:
                yield commit, there
            commit, there = part.decode("ascii", "replace"), {}
        else:
            path = next(parts, b"").decode("utf-8", "surrogateescape")
            there[path] = part.split(b" ")[3].decode("ascii", "replace")
    if commit is not None:
        yield commit, there


def ties(place: Place, made: Mapping[str, Made], copied: Iterable[str]) -> dict[str, list[str]]:
    """Return commits of other sessions that had made a file just as one of ``copied`` has it.

    By the commit, and of each session the last. ``made`` are all commits, in their order.
    """
    if len({one.session for one in made.values()}) < 2:
        return {}
    asked = frozenset(copied)
    first: dict[tuple[str, str], str] = {}
    found: dict[str, list[str]] = {}
    order = {commit: number for number, commit in enumerate(made)}
    for commit, there in files(place, made):
        by_session: dict[str | None, str] = {}
        for path, blob in there.items():
            if blob in _EMPTY or not blob.strip("0"):
                continue
            earlier = first.setdefault((path, blob), commit)
            session = made[earlier].session
            if commit in asked and session != made[commit].session:
                last = by_session.setdefault(session, earlier)
                by_session[session] = max(last, earlier, key=order.__getitem__)
        if by_session:
            found[commit] = list(by_session.values())
    return found
