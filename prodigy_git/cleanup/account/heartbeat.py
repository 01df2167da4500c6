"""A session's own signs of life: when something was last done in its worktree, or recorded for it.

Where not all processes can be seen, that decides beside those that can: whoever works in a worktree
writes files, moves HEAD, records events.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from prodigy_git import layout
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.record import clock, files, log
from prodigy_git.record.gitdir import Place
from prodigy_git.store import events

SLACK = 2 * clock.SECOND
"""How long after a session's end what it has done itself may still bear a time."""

_AHEAD = 5 * 60 * clock.SECOND  # a time further ahead than this came from a wrong clock

_SESSION = re.compile(rb'"session_id": ?"([^"\\]+)"')
_TYPE = re.compile(rb'"(?:event_)?type": ?"([^"\\]+)"')
# What our own commands record at a session's beginning and end and of its job, and of commits, for
# which HEAD's log stands. The rest is what agents tell.
_NO_SIGNS = frozenset((
    "SessionStarted", "WorktreeCreated", "AgentStarted", "JobStarted", "SessionFinished",
    "AgentCompleted", "AgentFailed", "AgentRetrying", "ClaimReleased", "WorkItemProcessed",
    "CheckpointSaved", "CommitCreated", "CommitsRewritten", "WorktreeCleaned", "WorktreeRestored",
    "WorktreeMerged", "WorktreeMergeUndone", "MergeConflict", "MergeCheckFailed",
    "BranchPushed", "BranchNotPushed",
    "JobPhaseChanged", "JobCompleted", "JobFailed", "DLQItemAdded",
    "DLQItemRemoved", "DLQItemsReprocessed",
))  # fmt: skip


def note(e: Evidence, moment: int, what: str) -> None:
    """Take a sign of life, at ``moment`` (microseconds since 1970), where it is the last so far."""
    if (e.last_sign is None or moment > e.last_sign) and moment <= clock.now() + _AHEAD:
        e.last_sign, e.last_sign_of = moment, what


def note_file(e: Evidence, path: str, what: str) -> None:
    """Take the time at which a file, or what is in a folder, was changed; nothing if it is gone."""
    with contextlib.suppress(OSError):
        note(e, os.lstat(path).st_mtime_ns // 1000, what)


def note_change(e: Evidence, top: str, path: str) -> None:
    """Take the time of a changed file below ``top``; of one that is gone, its folder's."""
    whole = f"{top}/{path.rstrip('/')}"
    if os.path.lexists(whole):
        note_file(e, whole, f"{path} was written")
    else:
        note_file(e, os.path.dirname(whole), f"{path} was removed")


def note_git(e: Evidence, place: Place, moved: int | None) -> None:
    """Take what git wrote: ``moved`` is when HEAD did last (microseconds), None: not known."""
    note_file(e, f"{place.private}/index", "its index was written")
    note_file(e, place.top, "files came or went in its folder")
    for name in (*e.git_locks, *e.old_git_locks):
        note_file(e, f"{place.private}/{name}", f"git wrote {name}")
    if moved is not None:
        # Not the time of HEAD's log: `git gc` in any worktree writes those of all.
        note(e, moved, "its HEAD moved")


@dataclass
class _Asked:
    """A job's log, the accounts of its sessions, and since when each one's events are signs."""

    since: int
    of: dict[bytes, Evidence]


def note_events(accounts: Iterable[tuple[Subject, Evidence]], since: int) -> None:
    """Take what was recorded for sessions since ``since``, and since their end (microseconds)."""
    logs: dict[tuple[str, str, str], _Asked] = {}
    for subject, e in accounts:
        if subject.enrolment is None or subject.session is None:
            continue
        begin = max(since, (e.ended_at or 0) + SLACK)
        where = (subject.enrolment.store, subject.enrolment.repo, subject.session.job)
        asked = logs.setdefault(where, _Asked(begin, {}))
        asked.since = min(asked.since, begin)
        asked.of[subject.session.id.encode()] = e
        # What an agent program says in the midst of a turn stands in no log yet.
        said = layout.activity(*where[:2], subject.session.id)
        note_file(e, said, "its agent program was at work")
    for (store, repo, job), asked in logs.items():
        for path in events.own_log_files(store, repo, job):
            # What is compressed was at rest long ago.
            if path.endswith(".jsonl") and events.last_change(path) >= asked.since:
                with contextlib.suppress(OSError):
                    _read(path, asked)


def _read(path: str, asked: _Asked) -> None:
    descriptor = files.open_regular(path)
    try:
        for line in log.lines_backwards(descriptor, os.fstat(descriptor).st_size):
            stamp = log.stamp_of(line)
            if stamp is not None and stamp < asked.since:
                break
            session, kind = _SESSION.search(line), _TYPE.search(line)
            if stamp is None or session is None or kind is None or session[1] not in asked.of:
                continue
            what = kind[1].decode("utf-8", "replace")
            if what not in _NO_SIGNS:
                note(asked.of[session[1]], stamp, f"it recorded {what}")
    finally:
        os.close(descriptor)


def after_end(e: Evidence) -> bool:
    """Whether the last sign of life is of a session that has not ended, or came after its end."""
    if e.last_sign is None:
        return False
    return not e.ended or e.ended_at is None or e.last_sign > e.ended_at + SLACK
