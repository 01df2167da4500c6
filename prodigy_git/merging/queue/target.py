"""The branch that is merged into: which one it is, where it is, and the lock of who merges into it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import integration, repository
from prodigy_git.merging.queue import steadily
from prodigy_git.merging.results.results import Result
from prodigy_git.record import files, locks
from prodigy_git.record.gitdir import Place

_PATIENCE = 5.0
"""Seconds that another merge into the same branch is waited for; it may take hours."""


@dataclass(frozen=True)
class Target:
    """A branch of a repository, by its short name."""

    store: str
    repo: str
    place: Place
    branch: str

    @property
    def ref(self) -> str:
        """Its full name."""
        return f"refs/heads/{self.branch}"

    @property
    def key(self) -> str:
        """What files of the store are called that belong to it: a branch's name may hold anything."""
        digest = files.sha1_hex(os.fsencode(self.branch))
        return f"{names.repository_stem(self.branch)[:60]}-{digest[:8]}"

    @property
    def ledger(self) -> str:
        """The path of its ledger."""
        return layout.merges(self.store, self.repo, self.key)

    def tip(self) -> str:
        """Return the commit that it is at. Raises `ProdigyError` where it is gone."""
        status, out, _ = steadily.look(
            self.place.common, "rev-parse", "--verify", "--quiet", f"{self.ref}^{{commit}}"
        )
        if status != 0:
            raise self.absent()
        return out.strip()

    def absent(self) -> ProdigyError:
        """Return what is raised where there is no such branch."""
        return ProdigyError(
            f"there is no branch {self.branch}: 'git branch' names them, --into one of those"
        )


def find(
    store: str, repo: str, cwd: str, into: str | None, results: Iterable[Result] = ()
) -> Target:
    """Return the branch ``into``; by default the one that all ``results`` began at, else the default.

    Raises `ProdigyError` where there is no such branch, or none can be meant.
    """
    around = repository.find(cwd)
    place = Place(around.common, around.common, around.common)
    branch = into.removeprefix("refs/heads/") if into is not None else _meant(place, results)
    found = Target(store, repo, place, branch)
    # git finds a commit by `main~0`, too.
    if steadily.look(place.common, "check-ref-format", found.ref)[0] != 0:
        raise found.absent()
    found.tip()
    return found


def _meant(place: Place, results: Iterable[Result]) -> str:
    known = integration.refs(place)
    begun = {one.base_branch for one in results if f"refs/heads/{one.base_branch}" in known}
    own = {one.branch for one in results}
    if len(begun - own) == 1:
        return str((begun - own).pop())
    configured = repository.config(place.common, "init.defaultBranch")
    for ref in integration.defaults(known, configured):
        if ref.startswith("refs/heads/") and ref.removeprefix("refs/heads/") not in own:
            return ref.removeprefix("refs/heads/")
    raise ProdigyError("it cannot be told which branch to merge into: give --into BRANCH")


def lock(target: Target) -> int:
    """Take the lock of who merges into a branch; `os.close` gives it back, and so does a kill.

    Raises `ProdigyError` where somebody merges into it.
    """
    path = layout.merge_lock(target.store, target.repo, target.key)
    try:
        return locks.take(path, _PATIENCE)
    except locks.Busy:
        raise ProdigyError(
            f"another merge into {target.branch} is under way: wait for its end"
        ) from None
