"""Giving a session that is recorded already the job that became known after its registration.

A MapReduce of Prodigy's has its job only when its set-up phase is over. What its parent worktree had
made by then is in the log of a job that is called as Prodigy's session is, and comes along. All of it
is done under the session's lock; a kill after each step leaves what is said behind it:

1. the cursor says which job it is to be, and which it was, durably       the next drain does the rest
2. the enrolment names the job, so that a lost cursor does not matter     the same
3. the former log's events stand in the job's log, with the same ids      the same: none stands twice
4. the session's file and the mappings name the job                       the same
5. the former log is gone                                                 the same
6. the cursor no longer says which job it was                             done
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import cursor as cursors
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record import files, jsonline, locks, log, mapping, prodigys, session
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.cursor import Cursor
    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place

PATIENCE = 2.0
"""Seconds that the hook of an agent's worktree waits for its parent's session, at most."""


def give_parent(place: Place, parent: str, job: str) -> None:
    """Give the session of an agent's ``parent``, the worktree of that name, the agent's ``job``.

    Nothing where it has a job of its own already, or no session. Never raises: the next agent of the
    run tries again.
    """
    above = prodigys.parent_of(place, parent)
    if above is None:
        return
    there = None
    try:
        there = enrolments.read(above.private)
        if there is not None and there.known and not there.stale and there.job == parent:
            _give(above, there, job)
    except (OSError, ValueError) as error:
        if there is not None:
            text = f"session {there.session}: still in job {there.job}, not {job}: {error}"
            log.report(there.store, text)


def _give(place: Place, there: Enrolment, job: str) -> None:
    lock = locks.take(layout.session_lock(there.store, there.session), PATIENCE)
    try:
        now = enrolments.in_file(place.private, there.suffix)
        cursor = cursors.read(place.private, there.suffix)
        if now is None or now.nonce != there.nonce or now.job == job or cursor is None:
            return
        if cursor.job is None:
            cursor.job, cursor.former = job, now.job
            cursors.write(place.private, cursor, there.suffix)
            _sync(f"{place.private}/{layout.CURSOR}{there.suffix}")
        if cursor.former is not None:
            complete(place, now, cursor, PATIENCE)
    finally:
        os.close(lock)


def _sync(path: str) -> None:
    descriptor = files.open_regular(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def complete(place: Place, enrolment: Enrolment, cursor: Cursor, patience: float) -> None:
    """Do steps 2 to 6; the caller holds the session's lock. Raises `OSError`, `ValueError`."""
    job, former = cursor.job, cursor.former
    if job is None or former is None:
        return
    now = enrolments.in_file(place.private, enrolment.suffix)
    if now is not None and now.nonce == enrolment.nonce and now.job != job:
        now.job = job
        enrolments.write(place.private, now)
    enrolment.job = job
    store, repo = enrolment.store, enrolment.repo
    old = layout.job_log(store, repo, former)
    lock = locks.take(layout.log_lock(store, repo, former), patience)
    try:
        names = set()
        events = []
        for name, line in log.whole_lines(old):
            event = jsonline.decode_object(line)
            event["occurred_at"] = event.get("occurred_at", event.get("timestamp"))
            events.append({**event, "job_id": job})
            names.add(name)
        folder = layout.job_log(store, repo, job)
        there = log.find(folder, {str(event.get("id")) for event in events}, None)
        missing = [event for event in events if event.get("id") not in there]
        if missing:
            log.append(store, repo, job, missing, patience=patience)
        _name_job(enrolment, job)
        mapping.rename(store, repo, enrolment.session, former, job)
        _remove(old, names)
    finally:
        os.close(lock)
    # What a killed drain had begun to write is somewhere in the other log now.
    if cursor.intent is not None:
        cursor.intent = Position("", 0)
    if cursor.log is not None:
        cursor.log = Position("", 0)
    cursor.former = None
    cursors.write(place.private, cursor, enrolment.suffix, place.held)


def _name_job(enrolment: Enrolment, job: str) -> None:
    fields = session.read(enrolment.store, enrolment.session)
    fields["metadata"]["job_id"] = job
    shape = session.document(enrolment.session, job, enrolment.worktree, {})
    for name in ("session_type", "workflow_data", "mapreduce_data"):
        fields[name] = shape[name]
    session.write(enrolment.store, enrolment.session, fields)


def _remove(folder: str, names: set[str]) -> None:
    """Remove the files of a log, and its folder; one that holds anything else stays."""
    for name in names:
        for ending in ("", ".gz"):
            try:
                os.unlink(f"{folder}/{name}{ending}")
            except FileNotFoundError:
                pass
    try:
        os.rmdir(folder)
    except OSError:
        pass
