"""Cleaning worktrees: which, whether, and what is brought up to date afterwards."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup import evidence
from prodigy_git.cleanup.trash import Trashed, move_to_trash
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git
from prodigy_git.model.session import Session
from prodigy_git.record import clock, files, log, session
from prodigy_git.record.gitdir import Place
from prodigy_git.store import locked, sessions
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Outcome:
    """What became of one worktree: ``result`` is cleaned, would-clean, refused or failed."""

    name: str
    result: str
    reasons: list[str]
    trash_path: str | None = None
    salvage_ref: str | None = None
    branch_deleted: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``worktree clean --json`` prints them."""
        return asdict(self)


def finished_here(store: str, cwd: str, broken: Broken) -> list[Session]:
    """Return the finished sessions of the repository around ``cwd`` that still have a worktree."""
    common = os.path.realpath(repository.find(cwd).common)
    return [
        found
        for found in sessions.load_all(store, broken)
        if found.ended
        and found.text("repo_path") == common
        and (where := sessions.enrolled_place(found)) is not None
        and not _is_main(where[0])
    ]


def _is_main(place: Place) -> bool:
    return os.path.realpath(place.private) == os.path.realpath(place.common)


def clean(
    store: str, wanted: Iterable[str | Session], *, force: bool, dry_run: bool, broken: Broken
) -> list[Outcome]:
    """Clean worktrees by session; a failure of one does not keep the others from being cleaned."""
    outcomes = []
    for one in wanted:
        name = one.id if isinstance(one, Session) else one
        try:
            outcomes.append(_clean(store, name, force=force, dry_run=dry_run, broken=broken))
        except ProdigyError as error:
            outcomes.append(Outcome(name, "failed", [str(error)]))
        except (OSError, ValueError) as error:
            outcomes.append(Outcome(name, "failed", [f"{error}"]))
    return outcomes


def _clean(store: str, name: str, *, force: bool, dry_run: bool, broken: Broken) -> Outcome:
    found = sessions.load(store, name)
    if not dry_run:
        found = sessions.catch_up(store, found, broken)
    where = sessions.enrolled_place(found)
    if where is None:
        return Outcome(name, "refused", ["it has no worktree (any more)"])
    place, enrolment = where
    if _is_main(place):
        return Outcome(name, "refused", ["it is the repository's main worktree"])
    # A dry run leaves no trace, not even a lock file; nor does it need one, to say what it sees.
    with contextlib.nullcontext() if dry_run else locked.repository(store, enrolment.repo):
        lock = evidence.lock_reason(place)
        if lock is not None:
            reason = f"it is locked ({lock}), 'git worktree unlock {place.top}' unlocks it"
            return Outcome(name, "refused", [reason])
        reasons = evidence.reasons_to_keep(place, found)
        if reasons and not force:
            return Outcome(name, "refused", reasons)
        if dry_run:
            return Outcome(name, "would-clean", reasons)
        branch = repository.branch_of(place.top, "HEAD")
        trashed = move_to_trash(store, enrolment.repo, name, place, dirty=bool(reasons))
        deleted = _delete_branch(place, found, branch, trashed)
    _bring_up_to_date(store, enrolment.repo, found, trashed)
    return Outcome(name, "cleaned", reasons, trashed.path, trashed.salvage_ref, deleted)


def _delete_branch(
    place: Place, found: Session, branch: str | None, trashed: Trashed
) -> str | None:
    """Delete the worktree's branch where its base has all of it; return its name if it went."""
    if branch is None or not evidence.contained_in_base(place, found, branch, trashed.head):
        return None
    if any(other.branch == branch for other in repository.worktrees(place.common)):
        return None
    # Compare-and-swap: a branch that has moved meanwhile is not the one that was looked at.
    git(place.common, "update-ref", "-d", f"refs/heads/{branch}", trashed.head)
    return branch


def _bring_up_to_date(store: str, repo: str, found: Session, trashed: Trashed) -> None:
    """Note the removal in the session's file and in its job's log."""
    lock = files.lock(layout.session_lock(store, found.id))
    try:
        fields = session.read(store, found.id)
        fields["metadata"]["trash_path"] = trashed.path
        fields["metadata"]["salvage_ref"] = trashed.salvage_ref
        if not found.ended:
            fields["status"] = "Cancelled"
            fields["completed_at"] = clock.stamp(clock.now())
        session.write(store, found.id, fields)
    finally:
        os.close(lock)
    event = sessions.envelope(found, f"cleaned:{trashed.salvage_ref}", "WorktreeCleaned")
    event["worktree_name"] = os.path.basename(found.text("worktree_path") or found.id)
    event["trash_path"] = trashed.path
    event["salvage_ref"] = trashed.salvage_ref
    log.append(store, repo, found.job, [event])
