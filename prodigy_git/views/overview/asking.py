"""What a program said that it waits for, as the log of its session's job has it."""

import os

from prodigy_git.model.event import parse_line
from prodigy_git.record import clock, files, log
from prodigy_git.store import events

_FURTHEST = 1 << 20
"""How many bytes of a log's end are looked through: what was asked just now is there."""
_EARLIER = 2 * clock.SECOND
"""How much earlier than the activity file a log may date the same thing: each has its own stamp."""


def message(store: str, repo: str, job: str, session: str, since: int) -> str | None:
    """Return what was said when the waiting of a session began; None: nothing, or it is not found.

    ``since`` is in microseconds since 1970.
    """
    for path in reversed(events.log_files(store, repo, job)):
        if path.endswith(".gz") or events.last_change(path) < since - _EARLIER:
            continue
        try:
            descriptor, about = files.opened(path)
        except OSError:
            continue  # archived since
        try:
            found = _said(descriptor, about.st_size, session, since - _EARLIER)
        finally:
            os.close(descriptor)
        if found is not None:
            return found
    return None


def _said(descriptor: int, size: int, session: str, limit: int) -> str | None:
    wanted, left = session.encode(), _FURTHEST
    for line in log.lines_backwards(descriptor, size):
        left -= len(line)
        if left < 0:
            break
        if b"AgentWaiting" not in line or wanted not in line:
            continue
        try:
            event = parse_line(line)
        except ValueError:
            continue
        if event.type == "AgentWaiting" and event.session_id == session:
            said = event.own().get("message")
            return said if isinstance(said, str) and (event.moment or 0) >= limit else None
    return None
