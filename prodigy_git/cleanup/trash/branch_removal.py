"""Deleting a branch whose worktree is gone, so that `restore` brings it back until its time is over.

1. the intent        entry.json, ``moving``, ``branch_only``
2. the salvage       its commits, apart from the refs where no other ref reaches them
3. the branch        by compare-and-swap, and only if no worktree is on it
4. entry.json        ``trashed`` and ``settled``

Where the worktree itself still is in the trash, its entry has all that already: then only the branch
goes. What a kill interrupts is taken back as long as the branch is there, else finished (`resume`).
"""

import contextlib
import os

from prodigy_git import layout
from prodigy_git.cleanup.salvage import salvage, unpublished
from prodigy_git.cleanup.salvage.uncommitted import ask
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import intent, together
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status, said
from prodigy_git.model.session import Session
from prodigy_git.record.gitdir import Place
from prodigy_git.store import locked
from prodigy_git.store.events import Broken


def remove(
    store: str, one: Session, common: str, branch: str, tip: str, reasons: list[str], broken: Broken
) -> Entry:
    """Delete the ``branch`` of a session, that is at the commit ``tip``; return the entry that has it.

    Raises `ProdigyError` or `OSError`; then the branch is where it was.
    """
    repo = one.text("repo") or ""
    repository.check_trusted(common)
    with locked.repository(store, repo):
        if together.checked_out(common, {branch}):
            raise ProdigyError(f"branch {branch} is checked out by now")
        there = holding(store, repo, one.id, common, branch, tip, broken)
        if there is not None:
            _delete(common, branch, tip)
            there.branch_deleted = branch
            entries.write(there)
            return there
        path, stamp = intent.folder(store, repo, one.id)
        moment = os.path.basename(path)
        found = Entry(
            path=path, state="moving", repo=repo, session=one.id,
            worktree=f"{layout.worktrees(store, repo)}/{one.id}",
            private=f"{common}/worktrees/{one.id}-{moment}", common=common, created_at=stamp,
            folder=f"{path}/worktree", git=f"{path}/git", head=tip, branch=branch,
            salvage_ref=salvage.ref_name(one.id, moment), session_status=one.status,
            reasons=reasons, delete_branch=branch, branch_only=True,
        )  # fmt: skip
        try:
            intent.write(found)
            salvage.anchor_branch(common, one.id, moment, branch, tip)
            _delete(common, branch, tip)
        except BaseException:
            with contextlib.suppress(ProdigyError):  # a later command takes it up
                resume(found)
            raise
        finish(found)
        return found


def holding(
    store: str, repo: str, session: str, common: str, branch: str, tip: str, broken: Broken
) -> Entry | None:
    """Return the entry of the session's worktree that brings a branch back with it; None: no such.

    Also one whose folders are deleted, if its salvage holds the commits.
    """
    for found in reversed(entries.entries(store, broken, repo, session)):
        if (found.branch, found.head, found.common) != (branch, tip, common) or found.half_way:
            continue
        if found.branch_only:  # somebody has brought it back since: now its time begins anew
            continue
        if found.state in ("trashed", "emptied") and _holds(found, tip):
            return found
    return None


def _holds(found: Entry, tip: str) -> bool:
    """Whether an entry's salvage holds a commit, and all that this reaches."""
    kept = unpublished.read(found.common, found.session, found.moment)
    place = Place(found.common, found.common, found.common)
    own = f"{salvage.ref_name(found.session, found.moment)}*"
    asked = [tip, "--not", f"--glob={own}", *([] if kept is None else [kept.commit])]
    status, out, _ = ask(
        place, "rev-list", "--count", *asked, "--",
        env=unpublished.view(found.common, found.session, found.moment),
    )  # fmt: skip
    return status == 0 and out.strip() == b"0"


def _delete(common: str, branch: str, tip: str) -> None:
    # Compare-and-swap: a branch that has moved meanwhile is not the one that was looked at.
    request = os.fsencode(f"delete refs/heads/{branch} {tip}\n")
    status, _, err = salvage.update_refs(Place(common, common, common), request)
    if status != 0:
        raise ProdigyError(f"branch {branch} was not deleted: {said(err)}")


def resume(found: Entry) -> str:
    """Finish or take back what was killed; return a line about it. The caller holds the lock.

    Raises `ProdigyError` where git cannot say whether the branch is there.
    """
    kept = _is_there(found.common, str(found.salvage_ref)) or (
        found.salvage_ref in salvage.names_of(found.common, found.session)
    )
    if _is_there(found.common, f"refs/heads/{found.branch}") or not kept:
        salvage.delete(found.common, found.session, found.moment)
        intent.drop(found.path)
        return f"{found.session}: the removal of branch {found.branch} was interrupted; it is there"
    finish(found)
    return f"{found.session}: branch {found.branch} is removed; it is in {found.path}"


def _is_there(common: str, ref: str) -> bool:
    status, _, err = git_status(common, "show-ref", "--verify", "--quiet", ref)
    if status not in (0, 1):
        raise ProdigyError(f"git does not say whether {ref} is there: {said(err)}")
    return status == 0


def finish(found: Entry) -> None:
    """Write down that a branch is gone, and what it had is in the entry."""
    found.state, found.settled = "trashed", True
    found.branch_deleted = found.branch
    entries.write(found)
