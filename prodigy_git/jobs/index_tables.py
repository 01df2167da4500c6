"""The tables of a job's index: what a row holds, and how all of them are made from the log.

What is read back of them is checked, since a damaged page may be readable: a record bears a checksum,
and says for which file, job and run of the machine it was made.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from prodigy_git import glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import (
    books,
    index_counts,
    index_leases,
    items,
    next_item,
    replay,
    signatures,
)
from prodigy_git.record import clock, cursor, files

_ORDER: tuple[books.ItemState, ...] = ("pending", "in_progress", "completed", "dead", "failed")
NUMBER = {state: number for number, state in enumerate(_ORDER)}
"""What an item's state is called in the column ``state``; NULL for what is no item."""
DAMAGE = (
    sqlite3.Error, msgspec.MsgspecError, ValueError, TypeError, IndexError, OverflowError,
    RecursionError,
)  # fmt: skip
"""What reading a damaged index may raise."""

_SCHEMA = """
CREATE TABLE meta (value BLOB NOT NULL);
CREATE TABLE items (
  id TEXT PRIMARY KEY, number INTEGER NOT NULL, offset INTEGER, length INTEGER, state INTEGER,
  due INTEGER NOT NULL DEFAULT 0, agent TEXT, at TEXT, signature TEXT, record BLOB,
  file TEXT, rank INTEGER NOT NULL DEFAULT 0, waits INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX by_state ON items (state, due, number);
CREATE INDEX by_agent ON items (agent) WHERE agent IS NOT NULL;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, resumed INTEGER NOT NULL, status TEXT NOT NULL
) WITHOUT ROWID;
"""
# ``file``, ``offset`` and ``length``: where the item is, as in `items.Place`. ``due``: in microseconds
# since 1970, from when on a pending item may be claimed; for any other when it came to its state.
# ``record``: a checksum of four bytes, and what the log says of the item as JSON.


class Meta(msgspec.Struct):
    """What the index knows beside the items."""

    version: int
    boot: str
    inode: int
    """Of the file that it was written to: a copy may be torn, and is not trusted."""
    job: books.Job
    position: replay.Position
    counts: dict[str, int]
    """Items in each state."""
    numbered: int
    """How many items have a number: those of the input first, in its order."""
    checkpoint_at: int = 0
    checkpoint_ended: int = 0
    """When the last checkpoint was written, and how many items had ended then."""
    checkpoint_phase: str = ""
    """Of which phase that was; empty where nobody knows."""
    queue_at: int = 0
    queue_changes: int = 0
    queue_took: int = 0
    """When the queue's file was written last, how often the queue had changed by then, and how long
    it took, in microseconds."""
    ordered: bool = False
    """Some items are to be after others."""


def meta_of(connection: sqlite3.Connection, job: str, inode: int) -> Meta | None:
    """Return what an index knows beside the items; None where it is not to be trusted.

    It is of another version, boot, file or job then. Raises as `DAMAGE` says.
    """
    row = connection.execute("SELECT value FROM meta").fetchone()
    meta = None if row is None else msgspec.json.decode(row[0], type=Meta)
    if meta is None or (meta.version, meta.boot) != (glance.VERSION, cursor.boot_id()):
        return None
    return meta if (meta.job.job_id, meta.inode) == (job, inode) else None


def save(connection: sqlite3.Connection, meta: Meta) -> None:
    """Write ``meta``. Raises `sqlite3.Error`."""
    connection.execute("UPDATE meta SET value = ?", (msgspec.json.encode(meta),))


_decode = msgspec.json.Decoder(books.Item).decode


def item_of(record: bytes | None) -> books.Item:
    """Return the item that a row's ``record`` holds. Raises as `DAMAGE` says."""
    if record is None:
        return books.Item()
    body = record[4:]
    if zlib.crc32(body) != int.from_bytes(record[:4], "big"):
        raise ValueError("a record is damaged")
    return _decode(body)


def _record_of(item: books.Item) -> bytes:
    body = msgspec.json.encode(item)
    return zlib.crc32(body).to_bytes(4, "big") + body


Given = list[items.Place]
"""The items that a job was given, in their order."""


def given_of(store: str, repo: str, job: books.Job) -> tuple[Given, str | None]:
    """Return the items that a job was given, and what is wrong with their files: None for nothing."""
    path = layout.items(store, repo, job.job_id)
    found, fault = _read(path, None, None if job.opened is None else job.opened.items_sha256)
    for digest in job.added:
        if fault is None:
            more, fault = added(store, repo, job.job_id, digest)
            found += more
    return ([], fault) if fault is not None else (found, None)


def added(store: str, repo: str, job: str, digest: str) -> tuple[Given, str | None]:
    """Return the items of a file that a job was given later; otherwise as `given_of`."""
    return _read(layout.items_added(store, repo, job, digest), digest, digest)


def _read(path: str, file: str | None, wanted: str | None) -> tuple[Given, str | None]:
    try:
        if wanted:
            import hashlib

            with files.solid(path) as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != wanted:
                return [], f"{path} is not what the job was started with: restore it"
        return list(items.read(path, file)), None
    except FileNotFoundError:
        return [], f"{path} is missing: restore it" if wanted else None
    except ProdigyError as error:
        return [], str(error)
    except OSError as error:
        return [], f"{path} cannot be read ({error.strerror or error}): restore it"


def fill(
    connection: sqlite3.Connection,
    state: books.State,
    position: replay.Position,
    given: Given,
    inode: int,
) -> Meta:
    """Make the tables from what the log comes to, in one transaction.

    ``inode`` is the file's that they are made in. Raises `sqlite3.Error`.
    """
    connection.execute("BEGIN IMMEDIATE")
    for statement in (_SCHEMA + next_item.SCHEMA + index_counts.SCHEMA + index_leases.SCHEMA).split(
        ";"
    ):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('')")
    meta = Meta(glance.VERSION, cursor.boot_id(), inode, state.job, position, {}, 0, clock.now())
    meta.checkpoint_phase = state.job.working_phase
    connection.executemany(
        "INSERT INTO items VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0)",
        _rows(meta, given, dict(state.items)),
    )
    _link(connection, meta, given)
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, ?)",
        ((name, *mark) for name, mark in state.sessions.items()),
    )
    for name, item in state.items.items():
        index_counts.put(connection, name, item)
        index_leases.put(connection, name, item)
    save(connection, meta)
    connection.execute("COMMIT")
    return meta


def _rows(meta: Meta, given: Given, known: dict[str, books.Item]) -> Iterator[tuple[Any, ...]]:
    """Yield all items' rows: those of the input in its order, then whatever else the log names."""
    for place in given:
        yield _row(meta, place.name, place, known.pop(place.name, None))
    for name, item in known.items():
        yield _row(meta, name, None, item)


def _link(connection: sqlite3.Connection, meta: Meta, given: Given) -> None:
    after = [(place.name, place.after) for place in given if place.after]
    if after:
        next_item.link(connection, after)
        meta.ordered = True


def add(connection: sqlite3.Connection, meta: Meta, given: Given) -> None:
    """Put items in that a job was given later. Raises `sqlite3.Error`."""
    for place in given:
        # The log may have named it before it had the file.
        known = connection.execute(
            "UPDATE items SET file = ?, offset = ?, length = ?, rank = ? WHERE id = ?",
            (place.file, place.offset, place.length, -place.priority, place.name),
        )
        if known.rowcount == 0:
            row = _row(meta, place.name, place, None)
            connection.execute("INSERT INTO items VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0)", row)
    _link(connection, meta, given)


def _row(
    meta: Meta, name: str, place: items.Place | None, item: books.Item | None
) -> tuple[Any, ...]:
    number = meta.numbered
    meta.numbered += 1
    columns = (0, 0, None, None, None, None) if item is None else _columns(name, item)
    if columns[0] is not None:
        state = _ORDER[columns[0]]
        meta.counts[state] = meta.counts.get(state, 0) + 1
    if place is None:
        return (name, number, None, None, *columns, None, 0)
    return (name, number, place.offset, place.length, *columns, place.file, -place.priority)


def put(connection: sqlite3.Connection, meta: Meta, name: str, item: books.Item) -> None:
    """Write an item's row, and count it in ``meta``. Raises as `DAMAGE` says."""
    row = connection.execute("SELECT state, number FROM items WHERE id = ?", (name,)).fetchone()
    if row is None:
        number = meta.numbered
        meta.numbered += 1
    else:
        number = row[1]
        if row[0] is not None:
            meta.counts[_ORDER[row[0]]] -= 1
    columns = _columns(name, item)
    if columns[0] is not None:
        state = _ORDER[columns[0]]
        meta.counts[state] = meta.counts.get(state, 0) + 1
    connection.execute(
        "INSERT INTO items (id, number, state, due, agent, at, signature, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " due = excluded.due, agent = excluded.agent, at = excluded.at,"
        " signature = excluded.signature, record = excluded.record",
        (name, number, *columns),
    )
    index_counts.put(connection, name, item)
    index_leases.put(connection, name, item)
    done = NUMBER["completed"]
    if meta.ordered and (columns[0] == done) != (row is not None and row[0] == done):
        next_item.moved(connection, name, completed=columns[0] == done)


def standing_of(connection: sqlite3.Connection, session: str) -> books.Standing | None:
    """Return how it stands with a session, as the log says; None where it does not name it."""
    row: books.Standing | None = connection.execute(
        "SELECT resumed, status FROM sessions WHERE id = ?", (session,)
    ).fetchone()
    return row


def _columns(name: str, item: books.Item) -> tuple[Any, ...]:
    """Return state, due, agent, at, signature and record of an item's row."""
    view = books.view(item)
    due = 0
    if view.state == "pending":
        ready = books.ready_at(item, view.attempt)
        if ready is not None:
            due = (clock.parse(ready[0]) or 0) + ready[1] * 1000
    elif view.since:
        due = clock.parse(view.since) or 0
    number = None if name.startswith(books.FREE) else NUMBER[view.state]
    return number, due, view.agent, view.since, last_signature(item), _record_of(item)


def last_signature(item: books.Item) -> str | None:
    """Return what an item's last failure has in common with others; None where it has none."""
    if item.signature is not None:
        return item.signature[1]
    last = last_failure(item)
    return None if last is None else signatures.of(last.error or "")


def last_failure(item: books.Item) -> books.End | None:
    """Return an item's last failure; None where it has none."""
    if not item.failures:
        return None
    return max(item.failures.values(), key=lambda end: (end.attempt, end.epoch))
