"""What an index keeps so that a step need not look at each claim for those that are nobody's any more.

One that only its lease ends is looked at when that is over; one that a process here owns, each time.
"""

import sqlite3

from prodigy_git.jobs import books
from prodigy_git.record import clock

SCHEMA = """
CREATE TABLE held (id TEXT PRIMARY KEY, until INTEGER NOT NULL, place TEXT) WITHOUT ROWID;
CREATE INDEX held_until ON held (until);
CREATE INDEX held_place ON held (place) WHERE place IS NOT NULL;
"""
# ``until``: in microseconds since 1970; ``place``: where its owner can be asked for; empty: each time.
QUESTION = (
    "SELECT items.id, items.record FROM items JOIN"
    " (SELECT id FROM held WHERE until < ? UNION SELECT id FROM held WHERE place IN ('', ?))"
    " USING (id) WHERE items.state = 1 ORDER BY items.due, items.number"
)
"""(id, record) of the claims that may be over at a moment, asked at a place, the longest held first."""
_NEVER = 1 << 62


def put(connection: sqlite3.Connection, name: str, item: books.Item) -> None:
    """Write by what an item's claim is held, if it is in progress. Raises `sqlite3.Error`."""
    view = books.view(item)
    if view.state != "in_progress":
        connection.execute("DELETE FROM held WHERE id = ?", (name,))
        return
    connection.execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", (name, *_by(view.start)))


def _by(start: books.Start | None) -> tuple[int, str | None]:
    """Return ``until`` and ``place`` of a claim."""
    if start is None:
        return _NEVER, None
    until = None if start.lease is None else clock.parse(start.lease)
    if start.owner is None:
        return (_NEVER if until is None else until), None
    if until is None or "store" not in start.owner:
        return until or 0, ""
    return until, str(start.owner.get("place")) if "pid" in start.owner else None
