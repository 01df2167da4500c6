"""The part of a job's index that says which item is the next: by priority, then order.

An item that is to be after others has ``waits``, how many of those are not completed. That is kept up
as items change, so that a claim asks for one row, however many items there are and wait.
"""

import sqlite3
from collections.abc import Iterable

SCHEMA = """
CREATE TABLE edges (
  before TEXT NOT NULL, after TEXT NOT NULL, PRIMARY KEY (before, after)
) WITHOUT ROWID;
CREATE INDEX by_after ON edges (after);
CREATE INDEX ready ON items (rank, due, number) WHERE state = 0 AND waits = 0;
CREATE INDEX coming ON items (due) WHERE state = 0 AND waits = 0;
CREATE INDEX waiting ON items (number) WHERE state = 0 AND waits > 0;
"""
# ``rank`` is the priority with its sign turned, so that the least is the first.

Row = tuple[str, int, bytes | None]
"""(id, due, record)."""


def link(connection: sqlite3.Connection, after: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Note (item, those that it is to be after), and how many of them each waits for.

    All of the items are in the table. Raises `sqlite3.Error`.
    """
    pairs = [(other, name) for name, others in after for other in others]
    connection.executemany("INSERT OR IGNORE INTO edges VALUES (?, ?)", pairs)
    connection.executemany(
        "UPDATE items SET waits = (SELECT count(*) FROM edges JOIN items AS other"
        " ON other.id = edges.before WHERE edges.after = items.id AND other.state IS NOT 2)"
        " WHERE id = ?",
        [(name,) for name in dict.fromkeys(name for _, name in pairs)],
    )


def moved(connection: sqlite3.Connection, name: str, *, completed: bool) -> None:
    """Note that an item is completed, or is so no longer. Raises `sqlite3.Error`."""
    connection.execute(
        "UPDATE items SET waits = waits + ? WHERE id IN (SELECT after FROM edges WHERE before = ?)",
        (-1 if completed else 1, name),
    )


def first(connection: sqlite3.Connection, moment: int) -> Row | None:
    """Return the item that may be claimed at ``moment``, None where there is none."""
    row: Row | None = connection.execute(
        "SELECT id, due, record FROM items INDEXED BY ready WHERE state = 0 AND waits = 0"
        " AND due <= ? ORDER BY rank, due, number LIMIT 1",
        (moment,),
    ).fetchone()
    return row


def coming(connection: sqlite3.Connection) -> int | None:
    """Return when the next item may be claimed that waits for its time alone; None: there is none."""
    row = connection.execute(
        "SELECT due FROM items INDEXED BY coming WHERE state = 0 AND waits = 0 ORDER BY due LIMIT 1"
    ).fetchone()
    return None if row is None else int(row[0])


COUNT = "SELECT count(*) FROM items INDEXED BY waiting WHERE state = 0 AND waits > 0"
"""How many items wait for others."""
COMING_COUNT = (
    "SELECT count(*) FROM items INDEXED BY coming WHERE state = 0 AND waits = 0 AND due > ?"
)
"""How many items wait for their time alone."""
UNFINISHED = (
    "SELECT other.id, other.state FROM edges JOIN items AS other ON other.id = edges.before"
    " WHERE edges.after = ? AND other.state IS NOT 2 ORDER BY other.number LIMIT ?"
)
"""(id, state) of those that an item waits for."""
HOLDING_UP = (
    "SELECT other.id, other.state, count(*) FROM items AS other"
    " CROSS JOIN edges ON edges.before = other.id CROSS JOIN items AS held ON held.id = edges.after"
    " WHERE other.state IN (3, 4) AND held.state = 0 GROUP BY other.id ORDER BY other.number LIMIT ?"
)
"""(id, state, how many wait for it) of items that will not be completed unless somebody sees to it."""
