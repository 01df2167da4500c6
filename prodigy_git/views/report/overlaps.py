"""Which files each commit changed, asked of git: one process, however many commits."""

import os
import re
from collections.abc import Sequence

from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask
from prodigy_git.git import repository as git_repository
from prodigy_git.git.ask import said
from prodigy_git.jobs import prodigy_runs
from prodigy_git.record import gitdir, repokey
from prodigy_git.record.gitdir import Place

MOST = 20_000
"""Of how many commits git is asked; of each it has to compare two trees."""

Changed = dict[str, list[str]]
"""The paths that a commit changed, by its SHA."""

_SHA = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def changed(place: Place, shas: Sequence[str]) -> Changed:
    """Return what each of some commits changed: of the last `MOST`, of those that git still has.

    A merge changes what it changed beside its parents, which git does not say: it is in with no path.
    Raises `ProdigyError` where git cannot be asked.
    """
    wanted = [sha for sha in shas[-MOST:] if _SHA.fullmatch(sha.encode("ascii", "replace"))]
    if not wanted:
        return {}
    # Plumbing: no setting of the user's changes its form. It passes over what it does not find.
    status, out, err = ask.look(
        place, "diff-tree", "--stdin", "-r", "-z", "--root", "--no-renames", "--name-status",
        stdin="".join(f"{sha}\n" for sha in wanted).encode("ascii"),
    )  # fmt: skip
    if status != 0 and not out:
        raise ProdigyError(f"git diff-tree: {said(err, f'exit status {status}')}")
    found: Changed = {}
    paths: list[str] = []
    fields = iter(out.split(b"\0"))
    for field in fields:
        # A commit stands where a status (one letter) would, and its paths each behind one: so a file
        # that is called as a commit is none.
        if _SHA.fullmatch(field):
            paths = found.setdefault(field.decode("ascii"), [])
        elif field:
            paths.append(os.fsdecode(next(fields, b"")))
    return found


def place_of(store: str, repo: str) -> Place | None:
    """Return the repository that a key of the store stands for, if it is at hand; else None.

    Where the store has no document of it, that is the one that we stand in, or that Prodigy ran in.
    """
    try:
        common = prodigy_runs.common_of(store, repo) or _around_us(store, repo)
        if common is not None and os.path.isdir(common):
            return git_repository.find(common)
    except (OSError, ValueError, ProdigyError):
        pass
    return None


def _around_us(store: str, repo: str) -> str | None:
    """Return the git directory of the repository that we stand in, if that would get the key."""
    place = gitdir.find(os.getcwd(), {})
    if place is None or repokey.meant(store, place.common) != repo:
        return None
    return place.common
