"""Putting enrolments right where a store, a repository or a copy is not what it was, on request.

What a hook must not decide: that a store which does not know a worktree's session is to have it from
now on.
"""

import contextlib
import os
from typing import Any

from prodigy_git import layout
from prodigy_git.lifecycle import adopt
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record import gitdir, locks, mapping, register, repokey, session, whose
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store.events import Broken


def take_over(store: str, place: Place, there: Enrolment) -> tuple[str, int]:
    """Enrol a worktree in a store that does not know its session; return that session, and how many
    commits were recorded.

    With the same nonce: what an older state of the store holds already has the same ids, and is not
    recorded again. The session keeps its id where that is free here. The cursor goes, since it was
    another store's; a drain without one searches the log. Can be repeated after a kill at any step.
    Raises `OSError` or `ValueError`.
    """
    repo = repokey.take(store, place.common)
    lock = locks.take(layout.register_lock(store, repo))
    try:
        now = enrolments.read(place.private)
        if now is not None and now.known:
            return now.session, drain(place, now, recovered=True)
        # First: once the session has its file, whoever comes drains from where the cursor is.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{place.private}/{layout.CURSOR}{there.suffix}")
        entered = _entered(store, repo, place, there)
        mapping.put(store, repo, entered.session, entered.job)
        _move_over(place, entered)
    finally:
        os.close(lock)
    return entered.session, drain(place, entered, recovered=True)


def _entered(store: str, repo: str, place: Place, there: Enrolment) -> Enrolment:
    """Return the enrolment that a worktree is to have in a store, its session's file made."""
    branch, _ = gitdir.head(place)
    metadata: dict[str, Any] = {
        "repo": repo,
        "repo_path": os.path.realpath(place.common),
        "worktree_path": place.top,
        "branch": None if branch is None else gitdir.printable(branch),
        "agent_id": there.agent,
        "item_id": there.item,
        "host": os.uname().nodename,
        "created_by": "doctor",
        "commits": 0,
        session.NONCE: there.nonce,
    }
    name = there.session
    # A run that was killed has made the file already: it bears the nonce.
    job = None if there.job == there.session else there.job
    fields = session.document(name, job, there.worktree, {**metadata, "job_id": there.job})
    if not session.reserve(store, fields) and not _bears(store, name, there.nonce):
        reserved = register.reserve(store, repo, there.worktree, job, metadata, None)
        assert reserved is not None  # only a wanted id can be taken
        name = reserved
    return Enrolment(
        store=store, repo=repo, session=name, job=job or name, agent=there.agent, item=there.item,
        nonce=there.nonce, worktree=there.worktree, opening=there.opening, start=there.start,
        suffix=there.suffix,
    )  # fmt: skip


def _bears(store: str, name: str, nonce: str) -> bool:
    try:
        return bool(session.read(store, name)["metadata"].get(session.NONCE) == nonce)
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _move_over(place: Place, entered: Enrolment) -> None:
    lock = locks.take(layout.session_lock(entered.store, entered.session))
    try:
        enrolments.claim(lock, entered)
        enrolments.write(place.private, entered)
        whose.forget_said(place.private, entered.suffix)
        fields = session.read(entered.store, entered.session)
        fields["status"] = "Running"
        session.write(entered.store, entered.session, fields)
    finally:
        os.close(lock)


def separate(place: Place, broken: Broken) -> str:
    """Give a copy of a worktree a session of its own, with the commits that were made in it; return it.

    Raises `ProdigyError`, `OSError` or `ValueError`.
    """
    own = register.register_in_hook(place, "doctor", [], 0, os.environ)
    if own is None:  # no commit was made in it yet
        return adopt.adopt(place.top, broken=broken).session_id
    drain(place, own, recovered=True)
    return own.session
