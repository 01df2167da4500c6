"""``worktrees/{key}/.metadata/{session}.json``: what Prodigy knows of a worktree, beside the worktrees.

A session's lies under the folder name of its repository; that of a MapReduce's agent under the name of
the worktree that the whole run has.
"""

import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.found import metadata_folder, sessions_under
from prodigy_git.prodigy.reading import Broken, inner, number, text

STATUSES = frozenset(
    ("in_progress", "completed", "merged", "cleaned_up", "failed", "abandoned", "interrupted")
)


@dataclass(frozen=True, slots=True)
class WorktreeState:
    """What one such file says; times as they stand there, with their nanoseconds."""

    session_id: str
    key: str
    """The folder below ``worktrees/`` that it lies in."""
    path: str
    """The file."""
    worktree: str
    """Where the worktree is, or was."""
    branch: str | None
    original_branch: str | None
    """Where the branch came from, and is to be merged to."""
    status: str
    """One of `STATUSES`. ``in_progress`` is also what a run that was killed leaves."""
    created_at: str | None
    updated_at: str | None
    merged: bool
    merged_at: str | None
    error: str | None
    interrupted_at: str | None
    interruption: str | None
    resumable: bool
    commits: int
    files_changed: int
    last_commit: str | None


def worktree_states(
    store: str, key: str, *, broken: Broken = reading.quiet
) -> dict[str, WorktreeState]:
    """Return the states of the worktrees under a key, by session id."""
    found = {}
    for session_id in sessions_under(store, key, broken):
        state = worktree_state(store, key, session_id, broken=broken)
        if state is not None:
            found[session_id] = state
    return found


def worktree_state(
    store: str, key: str, session_id: str, *, broken: Broken = reading.quiet
) -> WorktreeState | None:
    """Return the state of one worktree; None where there is none, or it cannot be read."""
    if not (names.is_safe(key) and names.is_safe(session_id)):
        return None
    path = f"{metadata_folder(store, key)}/{session_id}.json"
    fields = reading.document(store, path, broken)
    if fields is None:
        return None
    fault = _fault(fields, session_id)
    if fault is not None:
        broken(f"{path} is damaged ({fault}): passed over")
        return None
    stats = inner(fields, "stats")
    return WorktreeState(
        session_id=session_id,
        key=key,
        path=path,
        worktree=f"{layout.worktrees(store, key)}/{fields['worktree_name']}",
        branch=text(fields, "branch"),
        original_branch=text(fields, "original_branch"),
        status=fields["status"],
        created_at=text(fields, "created_at"),
        updated_at=text(fields, "updated_at"),
        merged=fields.get("merged") is True,
        merged_at=text(fields, "merged_at"),
        error=text(fields, "error"),
        interrupted_at=text(fields, "interrupted_at"),
        interruption=text(fields, "interruption_type"),
        resumable=fields.get("resumable") is True,
        commits=number(stats, "commits"),
        files_changed=number(stats, "files_changed"),
        last_commit=text(stats, "last_commit_sha"),
    )


def _fault(fields: dict[str, Any], session_id: str) -> str | None:
    """Return what makes a state unusable; None where nothing does."""
    if fields.get("session_id") != session_id:
        return "session_id: another session's"
    name = fields.get("worktree_name")
    if not isinstance(name, str) or not names.is_safe(name):
        return "worktree_name: not a safe name"
    if fields.get("status") not in STATUSES:
        return "status: unknown"
    return None


def is_there(state: WorktreeState) -> bool:
    """Whether the worktree's folder is there."""
    return os.path.isdir(state.worktree) and not os.path.islink(state.worktree)
