"""Draining a journal: from git's reflog to the job's log, each commit exactly once.

The steps, all under the session's lock, and what a kill after each leaves behind:

1. read the cursor and the journal behind it, find the commits            nothing has changed
2. under the log's lock, write the intent (file, size) into the cursor    mark: the next drain looks
3. append the events with one write, sync the log                         for its ids behind the mark
4. move the cursor, without the mark                                      recorded
5. write the session's checkpoint                                         written by the next command

A hook may put step 5 off while commits come in a burst, see `BURST`; a command never does, and writes
what a hook put off or was killed before.
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import clock, files, gitdir, journal, locks, log, new_commits
from prodigy_git.record import cursor as cursors
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prodigy_git.record.cursor import Cursor
    from prodigy_git.record.enrolment import Enrolment
    from prodigy_git.record.gitdir import Place
    from prodigy_git.record.new_commits import Made, Reading

BURST = clock.SECOND
"""Microseconds within which a hook writes a session's checkpoint once: half of what a drain costs is
rewriting that file, and the cursor holds the same. Bounded by the next command on the session."""


def drain(
    place: Place,
    enrolment: Enrolment,
    *,
    rebase_ended: bool = False,
    recovered: bool = False,
    burst: bool = False,
    patience: float = locks.PATIENCE,
) -> int:
    """Record what the journal of a worktree holds behind its cursor; return the number of commits.

    ``rebase_ended`` says that the rebase whose folder is still there is over (post-rewrite runs
    before git removes it); ``recovered`` marks the events as found by no hook; ``burst`` lets the
    session's checkpoint wait (see `BURST`); ``patience`` is in seconds, for each lock. Raises
    `locks.Busy` where a lock is not to be had, `OSError` or `ValueError` where the store or git's
    files are broken, or the store is another one (`whose.Unknown`); a later drain then does it.
    """
    if enrolment.stale or not enrolment.known:
        from prodigy_git.record import whose

        whose.settle(place, enrolment, patience)
    lock = locks.take(layout.session_lock(enrolment.store, enrolment.session), patience)
    try:
        cursor = cursors.read(place.private, enrolment.suffix, place.held)
        # What is gone, `verify` may have found by its branch meanwhile: the log is asked.
        lost = cursor is None or place.gone
        if cursor is None:
            cursor = cursors.Cursor(enrolment.start)
        elif cursor.job is not None:
            # Whoever read the enrolment before the session got its job has the one before it.
            enrolment.job = cursor.job
            if cursor.former is not None:
                from prodigy_git.record import change_of_job

                change_of_job.complete(place, enrolment, cursor, patience)
        reading = new_commits.read(place, cursor, rebase_ended=rebase_ended)
        if reading is not None and any(one.brought for one in reading.made):
            from prodigy_git.record import recorded_elsewhere  # only where something was brought

            reading.made = recorded_elsewhere.without(enrolment, reading.made)
        if reading is not None and _perhaps_others(place, enrolment, reading.made):
            _leave_others(place, enrolment, reading, reported=burst)
        new = 0
        if reading is not None or cursor.log is None or cursor.intent is not None:
            reading = reading or new_commits.Reading()
            new = _record(place, enrolment, cursor, lost, reading, recovered, burst, patience)
            for text in reading.lost:
                log.report(enrolment.store, f"session {enrolment.session}: {text}")
        if not burst:
            _checkpoint(enrolment, cursor)
        return new
    finally:
        os.close(lock)


def is_due(place: Place, enrolment: Enrolment, said: dict[str, Any] | None = None) -> bool:
    """Whether a `drain` would write anything: for whoever only reads, and may not be able to write.

    Takes no lock. A drain that is at work moves the cursor last, behind a log that is synced: so one
    that is at the journal's end says that all before it is recorded. ``said`` is the metadata of the
    session's file, where the caller has that already. Raises `OSError`, `ValueError`.
    """
    if enrolment.stale or not enrolment.known:
        return True
    cursor = cursors.read(place.private, enrolment.suffix, place.held)
    if cursor is None or place.gone or cursor.log is None or cursor.intent is not None:
        return True
    if cursor.job not in (None, enrolment.job) or cursor.former is not None:
        return True
    if new_commits.read(place, cursor, rebase_ended=False) is not None:
        return True
    if not cursor.last:
        return False
    metadata: Any = said
    if said is None:
        from prodigy_git.record import session  # hooks drain, and do not ask

        metadata = session.read(enrolment.store, enrolment.session).get("metadata")
    if not isinstance(metadata, dict):
        return False  # damaged, which a drain does not mend
    return [metadata.get("last_commit"), metadata.get("commits")] != [cursor.last, cursor.commits]


def _perhaps_others(place: Place, enrolment: Enrolment, made: list[Made]) -> bool:
    """Whether another user may have made one of the commits: the cheap question, asked first."""
    uid = os.geteuid()
    try:
        return bool(enrolment.suffix) or any(
            os.stat(f"{place.common}/objects/{one.sha[:2]}/{one.sha[2:]}").st_uid != uid
            for one in made
        )
    except OSError:
        return True  # packed


def _leave_others(place: Place, enrolment: Enrolment, reading: Reading, *, reported: bool) -> None:
    """Take out of a reading what is for other users' sessions to record."""
    from prodigy_git.record import sharing  # not on the usual way

    mine, unclear = sharing.divide(place, enrolment, reading.made)
    if reported and unclear and reading.consumed and reading.consumed[-1].new == unclear[-1]:
        # A `gc` was quicker; but the hook runs for this line, so it is this user's.
        mine.append(next(one for one in reading.made if one.sha == unclear[-1]))
    left = {one.sha for one in reading.made} - {one.sha for one in mine}
    reading.made = mine
    for rewrite in reading.rewrites:
        rewrite.pairs = [(old, new) for old, new in rewrite.pairs if new not in left]
    reading.rewrites = [one for one in reading.rewrites if one.pairs]


def _record(
    place: Place,
    enrolment: Enrolment,
    cursor: Cursor,
    lost: bool,
    reading: Reading,
    recovered: bool,
    burst: bool,
    patience: float,
) -> int:
    """Append the events and move the cursor, steps 2 to 4; in a hook also step 5, where it is due."""
    events = [] if cursor.log is not None else _opening(enrolment)
    doubtful = set()
    for one in reading.made:
        event = commit_event(enrolment, one, recovered=recovered)
        events.append(event)
        if one.doubtful:
            doubtful.add(event["id"])
    for rewrite in reading.rewrites:
        identity = log.event_id(enrolment.nonce, rewrite.name)
        pairs = [{"old": old, "new": new} for old, new in rewrite.pairs]
        event = enrolments.envelope(enrolment, identity, "CommitsRewritten")
        events.append({**event, "command": rewrite.command, "rewrites": pairs})
        if rewrite.doubtful:
            doubtful.add(identity)
    if lost:
        doubtful = {event["id"] for event in events}
    boot = cursors.boot_id()
    # Where the log must be looked at, the mark says so until the cursor has moved: a drain that is
    # killed too must not leave a mark behind what an earlier one wrote.
    if lost:
        cursor.intent = Position("", 0)
    elif cursor.intent is None and cursor.boot != boot:
        cursor.intent = cursor.log
    written = _already_written(enrolment, cursor, events, doubtful, boot)

    def mark(position: Position) -> None:
        if cursor.intent is None:
            cursor.intent = position
        cursors.write(place.private, cursor, enrolment.suffix, place.held)

    missing = [event for event in events if event["id"] not in written]
    if missing:
        cursor.log = log.append(
            enrolment.store, enrolment.repo, enrolment.job, missing, patience=patience, before=mark
        )
    elif cursor.log is None:
        cursor.log = Position("", 0)
    cursor.intent = None
    cursor.boot = boot
    _advance(cursor, reading)
    # What an earlier drain wrote and counted is not new; what one wrote and was then killed is.
    new = [
        one for one in reading.made
        if not (one.doubtful and log.event_id(enrolment.nonce, one.sha) in written)
    ]  # fmt: skip
    if new:
        cursor.commits += len(new)
        cursor.last = new[-1].sha
    now = clock.now()
    # A time that is ahead is a clock that was put back since.
    due = burst and bool(new) and not 0 <= now - cursor.noted < BURST
    if due:
        cursor.noted = now
    cursors.write(place.private, cursor, enrolment.suffix, place.held)
    if due:
        _checkpoint(enrolment, cursor)
    return len(new)


def _already_written(
    enrolment: Enrolment,
    cursor: Cursor,
    events: list[dict[str, Any]],
    doubtful: set[str],
    boot: str,
) -> set[str]:
    """Return the ids of those events that the log holds already.

    On the usual way this reads nothing. After a kill the log is read from the intent on; after a
    restart of the system, when the log may be ahead of the cursor, from the last known position on;
    for doubtful events as a whole.
    """
    folder = layout.job_log(enrolment.store, enrolment.repo, enrolment.job)
    written: set[str] = set()
    ids = {event["id"] for event in events}
    if doubtful:
        written |= log.find(folder, doubtful, None)
    if cursor.intent is not None:
        written |= log.find(folder, ids - written, cursor.intent)
    elif cursor.boot != boot:
        written |= log.find(folder, ids - written, cursor.log)
    return written


def _advance(cursor: Cursor, reading: Reading) -> None:
    """Move the cursor behind what was read."""
    for movement in reading.consumed:
        if not journal.is_null(movement.new):
            cursor.sha = movement.new
    if reading.consumed:
        last = reading.consumed[-1]
        cursor.offset, cursor.length = last.end, len(last.line)
        cursor.digest = files.sha1_hex(last.line)
        cursor.seconds, cursor.identity = last.seconds, last.identity
        cursor.branch = last.branch
    if reading.head:
        cursor.sha = reading.head


def _opening(enrolment: Enrolment) -> list[dict[str, Any]]:
    """Return the events that the session begins with; their ids make them the same at each try."""
    return [
        {**enrolments.envelope(enrolment, log.event_id(enrolment.nonce, kind), kind), **fields}
        for kind, fields in enrolment.opening
    ]


def commit_event(enrolment: Enrolment, one: Made, *, recovered: bool) -> dict[str, Any]:
    """Return the CommitCreated event of a commit, without its stamp."""
    event = enrolments.envelope(enrolment, log.event_id(enrolment.nonce, one.sha), "CommitCreated")
    event["commit"] = one.sha
    subject = ""
    if one.commit is not None:
        subject = one.commit.subject
        if one.commit.parents:
            event["parent"] = one.commit.parents[0]
    elif one.movement is not None:  # the object is gone; the line still names it
        subject = one.movement.message.partition(b": ")[2].decode("utf-8", "replace")
        if one.movement.kind == journal.MADE and one.action not in ("amend", "initial"):
            event["parent"] = one.movement.old
    event["action"] = one.action
    if one.branch is not None:
        event["branch"] = gitdir.printable(one.branch)
    event["subject"] = subject
    event["worktree"] = enrolment.worktree
    if recovered:
        event["recovered"] = True
    return event


def _checkpoint(enrolment: Enrolment, cursor: Cursor) -> None:
    """Write the session's checkpoint, if its file is not at the cursor's last commit yet.

    The commits are recorded: this step's own troubles are only noted.
    """
    if not cursor.last:
        return
    from prodigy_git.record import session  # not at the top: in a burst it is not needed

    state: dict[str, Any] = {"commit": cursor.last, "commits": cursor.commits}
    if cursor.branch is not None:
        state["branch"] = gitdir.printable(cursor.branch)
    if cursor.log is not None:
        state["log"] = {"file": cursor.log.file, "position": cursor.log.offset}
    checkpoint = {
        "id": log.event_id(enrolment.nonce, cursor.last),
        "created_at": clock.stamp(clock.now()),
        "state": state,
        "metadata": {},
    }
    try:
        fields = session.read(enrolment.store, enrolment.session)
        if session.note_commits(fields, checkpoint):
            # Sessions of before it was kept there at enrolment.
            fields["metadata"].setdefault("nonce", enrolment.nonce)
            session.write(enrolment.store, enrolment.session, fields, commits_only=True)
    except (OSError, ValueError) as error:
        log.report(enrolment.store, f"session {enrolment.session}: no checkpoint: {error}")
