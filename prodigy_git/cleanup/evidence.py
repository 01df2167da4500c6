"""What would be lost, or disturbed, if a worktree's folder vanished now."""

import os

from prodigy_git.git import repository
from prodigy_git.git.ask import git
from prodigy_git.model.session import Session
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place

# What git leaves in the private directory while an operation is under way (git-status(1) tells the
# same from the same files).
_OPERATIONS = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or am",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "sequencer": "a cherry-pick or revert of several commits",
    "BISECT_LOG": "a bisect",
}


def reasons_to_keep(place: Place, found: Session) -> list[str]:
    """Return, in words, why a worktree should not be removed without being forced; empty: safe.

    The lock is not among them: see `lock_reason`. Raises `ProdigyError` where git cannot tell.
    """
    reasons = []
    if not found.ended:
        reasons.append(f"its session is {found.status}, 'prodigy-git finish {found.id}' ends it")
    reasons += _uncommitted(place)
    under_way = [
        words for name, words in _OPERATIONS.items() if os.path.lexists(f"{place.private}/{name}")
    ]
    if under_way:
        reasons.append(f"{under_way[0]} is under way")
    if gitdir.head(place)[1] is None:
        return [*reasons, "its HEAD has no commit yet, 'git worktree remove' removes it"]
    alone = commits_without_ref(place)
    if alone:
        reasons.append(f"{alone} {'commit' if alone == 1 else 'commits'} that no other ref reaches")
    return reasons


def _uncommitted(place: Place) -> list[str]:
    """Count modified, staged, conflicting and untracked files (git-status(1), porcelain v2)."""
    # Said outright, so that no setting of the user's hides a file: status.showUntrackedFiles=no and
    # diff.ignoreSubmodules do.
    out = git(
        place.top, "status", "--porcelain=v2", "-z", "--untracked-files=all",
        "--ignore-submodules=none", "--no-renames",
    )  # fmt: skip
    counts = {"staged": 0, "modified": 0, "unmerged": 0, "untracked": 0}
    for entry in out.split("\0"):
        if entry.startswith("? "):
            counts["untracked"] += 1
        elif entry.startswith("u "):
            counts["unmerged"] += 1
        elif entry.startswith("1 "):
            counts["staged"] += entry[2] != "."
            counts["modified"] += entry[3] != "."
    return [f"{count} {what}" for what, count in counts.items() if count]


def commits_without_ref(place: Place) -> int:
    """Return how many commits of HEAD no branch, tag or other ref of the repository reaches.

    The worktree's own branch counts as a ref: it is not removed with the folder.
    """
    # Asked in the common directory, and not with --all: that would count this very HEAD, too.
    head = git(place.top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
    out = git(
        place.common, "rev-list", "--count", head, "--not", "--branches", "--tags", "--remotes",
        "--glob=refs/*", "--",
    )  # fmt: skip
    return int(out)


def lock_reason(place: Place) -> str | None:
    """Return why a worktree is locked (git-worktree(1)), None where it is not."""
    try:
        with open(f"{place.private}/locked", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip() or "no reason given"
    except FileNotFoundError:
        return None


def contained_in_base(place: Place, found: Session, branch: str, head: str) -> bool:
    """Whether ``branch``, at ``head``, has nothing that its base does not have."""
    base = found.text("base_branch")
    if base is None or base == branch:
        return False
    for ref in (f"refs/heads/{base}", f"refs/remotes/{base}"):
        if repository.has_ref(place.common, ref):
            return repository.is_ancestor(place.common, head, ref)
    return False
