"""Which sessions have a worktree: asked of the repositories, not of every session there was."""

import os
from collections.abc import Iterable, Iterator

from prodigy_git.record import enrolment, repokey
from prodigy_git.record.enrolment import Enrolment


def in_repositories(store: str, repos: Iterable[str]) -> Iterator[Enrolment]:
    """Yield the enrolments of this store in the worktrees of repositories, by key.

    Costs as much as there are worktrees, however many sessions have ended. A repository that is
    elsewhere now, or cannot be read, has none.
    """
    for repo in repos:
        for private in _private_directories(store, repo):
            try:
                there = enrolment.read(private)
            except (OSError, ValueError):
                continue  # 'doctor' and 'verify' say so
            if there is not None and enrolment.ours(there, store):
                yield there


def _private_directories(store: str, repo: str) -> list[str]:
    try:
        common = repokey.common_of(store, repo)
    except (OSError, ValueError):
        return []
    if common is None:
        return []
    try:
        linked = [entry.path for entry in os.scandir(f"{common}/worktrees")]
    except OSError:
        linked = []
    return [common, *sorted(linked)]
