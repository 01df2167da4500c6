"""A session's end that others saw to, not the session itself: in the log first, then in its file.

A claim whose owner is gone is ended by whoever comes next, and with it the session that worked on it;
so is a session whose worktree git was told to remove. Both may be wrong about somebody who comes back:
the file says ``ended_because``, and a session that was ended so can still be finished, or resumed.

Whoever is killed between log and file leaves a file that says less than the log: `mended`.
"""

import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import glance, layout
from prodigy_git.model.session import ENDED, Session
from prodigy_git.record import clock, going_on, locks, log, session
from prodigy_git.store import host_files
from prodigy_git.store.broken import Broken

BECAUSE = going_on.BECAUSE
"""Where in the metadata it says why others ended the session."""
REMOVED = "its worktree was removed with git"
"""What that is where git, and not `worktree clean`, has removed a worktree."""
LEFT = "commits_are"
"""Where in the metadata it says where the commits of a worktree that is gone are."""
MERGED = "merged into"
"""How that begins where another branch has what they change."""
COMMITS_SETTLED = "commits_settled"
"""Whether it was seen to that the commits of a worktree that git has removed are not lost."""


@dataclass(frozen=True)
class End:
    """How a session ended; ``because`` is why others saw to it, None where it did so itself."""

    status: str
    error: str | None
    because: str | None
    resumed: int
    at: str | None = None
    """When, as the log says; None for now."""


def resumptions(found: Session) -> int:
    """Return how often a session has been resumed."""
    return going_on.times(found.metadata)


def by_others(found: Session) -> str | None:
    """Return why others ended a session; None where it has not ended, or did so itself."""
    return found.text(BECAUSE) if found.ended else None


def envelope(store: str, found: Session, what: str, kind: str) -> dict[str, Any]:
    """Return the first fields of an event of type ``kind`` that a command records for a session.

    ``what`` tells the session's events apart: the same one has the same id, however often it is tried.
    Another host of a hub may have a session of that name: its events have other ids.
    """
    host = host_files.first_id(store)
    whose = found.id if host is None else f"{host.hex}:{found.id}"
    event: dict[str, Any] = {
        "id": log.event_id(whose, what),
        "timestamp": "",
        "type": kind,
        "event_type": kind,
        "correlation_id": found.id,
        "job_id": found.job,
        "session_id": found.id,
    }
    for name in ("agent_id", "item_id"):
        text = found.text(name)
        if text is not None:
            event[name] = text
    return event


def finished(head: dict[str, Any], end: End) -> dict[str, Any]:
    """Return the SessionFinished event of an end, from an `envelope` with its `identity`."""
    own = {"status": end.status, "error": end.error, "because": end.because}
    known = {name: value for name, value in own.items() if value is not None}
    return head | known | ({"resumed": end.resumed} if end.resumed else {})


def identity(resumed: int, *, by_others: bool = False) -> str:
    """Return what tells the SessionFinished of a session's stretch of work from its other ones."""
    parts = ["SessionFinished", *(["by others"] if by_others else ())]
    return ":".join([*parts, str(resumed)] if resumed else parts)


def note(store: str, name: str, end: End, patience: float = locks.PATIENCE) -> bool:
    """Write an end that the log has into the session's file; False where that says otherwise by now.

    Raises `OSError` (`locks.Busy` after ``patience`` seconds), `ValueError`.
    """
    lock = locks.take(layout.session_lock(store, name), patience)
    try:
        fields = session.read(store, name)
        if not _is_open(fields, end):
            return False
        _put(store, name, fields, end)
        return True
    finally:
        os.close(lock)


def _is_open(fields: dict[str, Any], end: End) -> bool:
    found = Session.of(fields)
    return not found.ended and resumptions(found) == end.resumed


def _put(store: str, name: str, fields: dict[str, Any], end: End) -> None:
    fields["metadata"].pop("finishing", None)
    if end.because is not None:
        fields["metadata"][BECAUSE] = end.because
    fields["status"] = end.status
    fields["completed_at"] = end.at or clock.stamp(clock.now())
    fields["error"] = end.error
    session.write(store, name, fields)


def end_now(store: str, repo: str, found: Session, end: End) -> bool:
    """End a session that nobody else will: in its job's log, then in its file; False if it has ended.

    Killed between the two it can be repeated. Raises `OSError`, `ValueError`.
    """
    event = finished(
        envelope(store, found, identity(end.resumed, by_others=True), "SessionFinished"), end
    )
    lock = locks.take(layout.session_lock(store, found.id))
    try:
        fields = session.read(store, found.id)
        if not _is_open(fields, end):
            return False
        if not log.find(layout.job_log(store, repo, found.job), [event["id"]], None):
            log.append(store, repo, found.job, [event])
        _put(store, found.id, fields, end)
        return True
    finally:
        os.close(lock)


Ends = dict[str, dict[str, tuple[int, str]] | None]
"""What jobs' indexes said of all sessions, (how often resumed, how ended), by the index's path."""


def logged(store: str, found: Session, ends: Ends | None = None) -> str | None:
    """Return how a session ended, as its job's index says; None where it says nothing of an end.

    No lock is taken: it is the log as it was at the last step on the job. ``ends`` is filled, for who
    asks for many sessions one after the other.
    """
    repo = found.text("repo")
    path = None if repo is None else layout.index(store, repo, found.job)
    if path is None or not os.path.exists(path):
        return None
    for resumed, status in _rows(path, found.id, ends):
        if resumed == resumptions(found) and status in ENDED:
            return str(status)
    return None


def _rows(path: str, name: str, ends: Ends | None) -> list[tuple[int, str]]:
    """Return (how often resumed, how ended) of a session, from an index.

    Who asks twice of one index gets what it has of all sessions: opening it is what takes time.
    """
    if ends is None or path not in ends:
        if ends is not None:
            ends[path] = None
        question = "SELECT resumed, status FROM sessions WHERE id = ?"
        return list(glance.rows(path, question, (name,)))
    known = ends[path]
    if known is None:
        rows = glance.rows(path, "SELECT id, resumed, status FROM sessions")
        ends[path] = known = {one: (resumed, status) for one, resumed, status in rows}
    return [known[name]] if name in known else []


def mended(store: str, found: Session, broken: Broken, ends: Ends | None = None) -> bool:
    """Write into a session's file how it ended, where only the log says so; return whether it did.

    ``ends`` as in `logged`. Raises `OSError`, `ValueError`.
    """
    status = None if found.ended else logged(store, found, ends)
    repo = found.text("repo")
    if status is None or repo is None:
        return False
    from prodigy_git.store import events  # with all that reads a log, and there is rarely a need

    since = clock.parse(found.started_at)
    for event in reversed(events.of_session(store, repo, found.job, found.id, since, broken)):
        own = event.own()
        if event.type == "SessionFinished" and own.get("status") == status:
            texts = {name: own.get(name) for name in ("error", "because")}
            said = {k: v if isinstance(v, str) else None for k, v in texts.items()}
            end = End(status, said["error"], said["because"], resumptions(found), event.timestamp)
            return note(store, found.id, end)
    return False
