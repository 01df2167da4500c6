"""Which sessions have a worktree: asked of the repositories, not of every session there was."""

import os
from collections.abc import Iterable, Iterator

from prodigy_git.record import enrolment, gitdir, repokey
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place


def in_repositories(store: str, repos: Iterable[str]) -> Iterator[Enrolment]:
    """Yield the enrolments of this store in the worktrees of repositories, by key.

    Costs as much as there are worktrees, however many sessions have ended. A repository that is
    elsewhere now, or cannot be read, has none.
    """
    for repo in repos:
        for _, there in _in_repository(store, repo):
            yield there


def places(store: str, repo: str) -> dict[str, tuple[Place, Enrolment]]:
    """Return where the worktrees of a repository are that belong to this store, by session.

    As git's own files say, so also where a worktree was moved; its folder may be out of sight.
    """
    found = {}
    for private, there in _in_repository(store, repo):
        common = gitdir.common_of(private)
        found[there.session] = (Place(private, common, top(private, common)), there)
    return found


def _in_repository(store: str, repo: str) -> Iterator[tuple[str, Enrolment]]:
    for private in _private_directories(store, repo):
        try:
            there = enrolment.read(private)
        except (OSError, ValueError):
            continue  # 'doctor' and 'verify' say so
        if there is not None and enrolment.ours(there, store):
            yield private, there


def top(private: str, common: str) -> str:
    """Return the folder of the worktree of a private git directory, as git's files say."""
    if private == common:
        if os.path.basename(common) == ".git":
            return os.path.dirname(common)
        # A submodule, or a repository with its git directory elsewhere.
        place = Place(private, common, common)
        status, out = gitdir.ask(place, "config", "--get", "core.worktree")
        named = os.fsdecode(out.removesuffix(b"\n")) if status == 0 else ""
    else:
        try:
            return gitdir.worktree_of(private)
        except OSError:
            return private
    # Relative for submodules.
    return os.path.normpath(os.path.join(private, named))


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
