"""What an index keeps so that attempts and agents are counted without reading every item's record."""

import sqlite3
from collections.abc import Callable
from typing import Any

from prodigy_git import tally
from prodigy_git.jobs import books

SCHEMA = """
CREATE TABLE tried (
  id TEXT PRIMARY KEY, attempts INTEGER NOT NULL, failures INTEGER NOT NULL, unnamed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE agents (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# ``unnamed``: whether an agent that nobody named was among those who tried an item; ``agents`` has
# those that were named (`tally.line`).


Ask = Callable[[str], list[Any]]
"""Returns the rows that a question is answered with, as `Index.rows`."""


def put(connection: sqlite3.Connection, name: str, item: books.Item) -> None:
    """Write what is counted of an item; nothing where nobody has worked on it."""
    done = books.tried(item)
    if not done.agents:
        return
    known = name if not name.startswith(books.FREE) else None
    lines = [tally.line(agent, known, None) for agent in done.agents]
    agents = [(one[1],) for one in lines if one is not None and one[0] == "agent"]
    connection.execute(
        "INSERT OR REPLACE INTO tried VALUES (?, ?, ?, ?)",
        (name, done.attempts, done.failures, len(agents) < len(lines)),
    )
    connection.executemany("INSERT OR IGNORE INTO agents VALUES (?)", agents)


def read(rows: Ask) -> dict[str, int]:
    """Return ``attempts``, ``failed_attempts``, ``retried_well`` and ``agent_count``.

    An attempt was retried well if it failed, and its item is completed now.
    """
    ((attempts, failures, well, unnamed),) = rows(
        "SELECT total(attempts), total(failures), total(failures * (state IS 2)), total(unnamed)"
        " FROM tried LEFT JOIN items USING (id)"
    )
    ((named,),) = rows("SELECT count(*) FROM agents")
    return {
        "attempts": int(attempts), "failed_attempts": int(failures), "retried_well": int(well),
        "agent_count": int(unnamed + named),
    }  # fmt: skip


def mended(rows: Ask) -> set[str]:
    """Return the items that are completed, and had failed before."""
    question = "SELECT id FROM items WHERE state = 2 AND signature IS NOT NULL"
    return {name for (name,) in rows(question)}
