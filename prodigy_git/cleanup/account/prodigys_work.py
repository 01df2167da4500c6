"""Whether Prodigy may be at work in a worktree that it made."""

import contextlib
import os

import psutil

from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.cleanup.account.presence import Process
from prodigy_git.prodigy import sessions as prodigys_sessions
from prodigy_git.record import gitdir, prodigys


def note(e: Evidence, subject: Subject) -> None:
    """Put into an account whose session of Prodigy's the worktree is, unless that is over for certain.

    Also whether it is the one that Prodigy merges a run from, which it cannot do without. Prodigy says
    that a run has ended, and not that it goes on: one that was killed looks the same. While a process
    of that name lives, the worktree is its.
    """
    if subject.session is None:
        return
    if subject.enrolment is None:
        if subject.session.text("created_by") == prodigys_sessions.MADE_BY:
            e.prodigy_session = subject.session.id
        return
    if prodigys.SESSION not in subject.session.metadata:
        return
    from prodigy_git.prodigy.runs import state_at
    from prodigy_git.prodigy.worktree_states import worktree_state

    path = os.path.realpath(subject.path)
    session, state = state_at(subject.enrolment.store, path)
    above, name = os.path.split(path)
    if name == session:
        known = worktree_state(subject.enrolment.store, os.path.basename(above), session)
        if known is not None and not _is_merged(e, known.original_branch):
            e.prodigy_merges = session
    if state not in prodigys_sessions.ENDED:
        e.prodigy_session = session
        e.processes += _running(
            subject.enrolment.store, f"may be at work in it, for its session {session}"
        )


def _is_merged(e: Evidence, target: str | None) -> bool:
    """Whether the branch that Prodigy would merge to, by its own rule, has a worktree's HEAD.

    That HEAD is where our session of it began says nothing: it may have begun when the run was over.
    """
    if e.place is None or e.head is None:
        return False
    return any(
        gitdir.ask(e.place, "merge-base", "--is-ancestor", e.head, f"refs/heads/{one}")[0] == 0
        for one in ((target,) if target else ("main", "master"))
    )


def _running(store: str, why: str) -> list[Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name() == "prodigy" and _may_use(process, store):
                found.append(Process(process.pid, "prodigy", why))
    return found


def _may_use(process: psutil.Process, store: str) -> bool:
    """Whether a Prodigy may work in this store: its own is always ``.prodigy`` in its home folder."""
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    try:
        home = process.environ().get("HOME")
    except psutil.AccessDenied:
        return True
    return not home or os.path.realpath(f"{home}/.prodigy") == os.path.realpath(store)
