"""The events of worktrees and of their branches: made, cleaned, pushed, merged."""

from typing import Any

import msgspec

from prodigy_git.model.event_fields import KnownEvent, Sha


class WorktreeCreated(KnownEvent, kw_only=True):
    """A worktree was made."""

    worktree_name: str
    branch: str | None = None
    base: str | None = None
    branch_existed: bool | None = None


class WorktreeCleaned(KnownEvent, kw_only=True):
    """A worktree was moved to the trash."""

    worktree_name: str
    trash_path: str | None = None
    salvage_ref: str | None = None


class WorktreeRestored(KnownEvent, kw_only=True):
    """A worktree is back."""

    worktree_name: str


class WorktreeMerged(KnownEvent, kw_only=True):
    """A worktree's branch was merged."""

    target_branch: str
    worktree_name: str | None = None
    branch: str | None = None
    head: Sha | None = None
    commit: Sha | None = None


class WorktreeMergeUndone(WorktreeMerged, kw_only=True):
    """A merge was taken back: the target is where it was before."""


class MergeConflict(KnownEvent, kw_only=True):
    """A worktree's branch was not merged, since it conflicts with what the target has."""

    target_branch: str
    branch: str | None = None
    head: Sha | None = None
    base: Sha | None = None
    files: list[str] = msgspec.field(default_factory=list)
    with_: list[dict[str, Any]] = msgspec.field(name="with", default_factory=list)


class MergeCheckFailed(KnownEvent, kw_only=True):
    """A worktree's branch was not merged, since the check failed on what that would come to."""

    target_branch: str
    branch: str | None = None
    head: Sha | None = None
    base: Sha | None = None
    error: str | None = None
    json_log_location: str | None = None


class BranchPushed(KnownEvent, kw_only=True):
    """A session's commits are at a ref of a remote."""

    session_id: str
    remote: str
    ref: str
    head: Sha
    url: str | None = None


class BranchNotPushed(BranchPushed, kw_only=True):
    """A session's commits could not be pushed, for now or for good."""

    error: str
