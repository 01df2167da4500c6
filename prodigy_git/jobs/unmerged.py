"""What the next attempt at an item is told where the last one's result could not be merged.

`merge --requeue` writes it, in a file beside the job's state; it is there until the item is merged.
"""

import os
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.git.ask import git_status
from prodigy_git.record import files, jsonline, repokey


@dataclass(frozen=True)
class Unmerged:
    """Where it is told, the branch that was merged into, and the commit that it was at."""

    path: str
    target: str
    base: str

    def beginning(self, common: str) -> str | None:
        """Return what the next attempt begins at: the branch, else the commit; None: both are gone."""
        for revision in (f"refs/heads/{self.target}", self.base):
            asked = ("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
            if git_status(common, *asked)[0] == 0:
                return revision
        return None


def of(store: str, repo: str, job: str | None, item: str | None) -> Unmerged | None:
    """Return what is told of an item; None where nothing is, or it cannot be read."""
    if job is None or item is None:
        return None
    path = layout.conflict(store, repo, job, item)
    if not os.path.exists(path):
        return None
    try:
        told = jsonline.decode_object(files.read(path))
    except (OSError, ValueError):
        return None
    target, base = told.get("target"), told.get("base")
    if not isinstance(target, str) or not isinstance(base, str):
        return None
    return Unmerged(path, target, base)


def beginning(store: str, common: str, job: str | None, item: str | None) -> str | None:
    """Return what a new attempt at an item begins at; None where nothing is told of it."""
    try:
        repo = repokey.known(store, common)
    except (OSError, ValueError):
        return None
    told = None if repo is None else of(store, repo, job, item)
    return None if told is None else told.beginning(common)
