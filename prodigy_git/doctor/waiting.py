"""Whether git should wait until a commit is recorded: where what is needed for it may soon be gone."""

import os

from prodigy_git.doctor.finding import Finding
from prodigy_git.git import repository
from prodigy_git.record import wake
from prodigy_git.record.gitdir import Place

_PASSING = ("tmpfs", "ramfs", "overlay", "aufs")
"""Filesystems that end with a container, or with the machine's run."""
_REMEDY = "git config prodigy.record wait"


def way(store: str, place: Place, kind: str, *, network: bool) -> Finding:
    """Say in which way commits are recorded, and where the other one would be better.

    ``kind`` is the type of the filesystem that the repository is on, ``network`` whether that is one
    of a network.
    """
    asked = os.environ.get("PRODIGY_RECORD") or repository.config(place.top, "prodigy.record") or ""
    if asked.lower() == wake.WAIT:
        return Finding("recorder", "ok", "git waits until a commit is recorded")
    try:
        outlives = os.stat(store).st_dev != os.stat(place.common).st_dev
    except OSError:
        outlives = False
    if network:
        return Finding(
            "recorder", "warning",
            f"{place.common} is on {kind}, where a worktree cannot be removed as long as a recorder "
            "has its files open, for a moment after each commit", _REMEDY,
        )  # fmt: skip
    if kind in _PASSING and outlives:
        return Finding(
            "recorder", "warning",
            f"{place.common} is on {kind} and the store is not: with its container it may be gone "
            "between a commit and the moment after, in which that is recorded", _REMEDY,
        )  # fmt: skip
    return Finding("recorder", "ok", "commits are recorded a moment after git returns")
