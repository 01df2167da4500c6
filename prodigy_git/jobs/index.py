"""An index of a job's items, so that claiming one does not mean reading the whole log.

A SQLite file beside the job's checkpoints. It is derived: never the truth, brought up to the log
whenever it is opened, and made anew from the newest sound checkpoint and the log where it is missing,
damaged, of another version, ahead of the log, or was open when the machine went down.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, checkpoints, dead_letters, items, replay
from prodigy_git.record import clock, files
from prodigy_git.store.events import Broken

_VERSION = 2
PATIENCE = 120.0  # seconds; another holder may be writing a checkpoint of a large job
_ORDER: tuple[books.ItemState, ...] = ("pending", "in_progress", "completed", "dead", "failed")
NUMBER = {state: number for number, state in enumerate(_ORDER)}
"""What an item's state is called in the column ``state``; NULL for what is no item."""

_SCHEMA = """
CREATE TABLE meta (value BLOB NOT NULL);
CREATE TABLE items (
  id TEXT PRIMARY KEY, number INTEGER NOT NULL, offset INTEGER, length INTEGER, state INTEGER,
  due INTEGER NOT NULL DEFAULT 0, agent TEXT, at TEXT, signature TEXT, record BLOB
) WITHOUT ROWID;
CREATE INDEX by_state ON items (state, due, number);
CREATE INDEX by_agent ON items (agent) WHERE agent IS NOT NULL;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, resumed INTEGER NOT NULL, status TEXT NOT NULL
) WITHOUT ROWID;
"""
# ``due``: in microseconds since 1970, from when on a pending item may be claimed; for any other when it
# came to its state.


class Meta(msgspec.Struct):
    """What the index knows beside the items."""

    version: int
    boot: str
    job: books.Job
    position: replay.Position
    counts: dict[str, int]
    """Items in each state."""
    numbered: int
    """How many items have a number: those of the input first, in its order."""
    checkpoint_at: int = 0
    checkpoint_ended: int = 0
    """When the last checkpoint was written, and how many items had ended then."""
    queue_at: int = 0
    queue_changes: int = 0
    """When the queue's file was written last, and how often the queue had changed by then."""
    unreadable: str | None = None
    """Why the job's items cannot be read; then none is handed out, and each opening looks again."""


@dataclass
class Index:
    """An open index; the caller holds the job's claims lock."""

    store: str
    repo: str
    job_id: str
    connection: sqlite3.Connection
    meta: Meta

    @property
    def job(self) -> books.Job:
        """What the log says of the job as a whole."""
        return self.meta.job

    def count(self, *states: books.ItemState) -> int:
        """Return how many items are in any of these states."""
        return sum(self.meta.counts.get(state, 0) for state in states)

    def item(self, name: str) -> books.Item | None:
        """Return what is known of an item; None where there is no such item."""
        row = self.connection.execute("SELECT record FROM items WHERE id = ?", (name,)).fetchone()
        if row is None:
            return None
        return books.Item() if row[0] is None else item_of(row[0])

    def data(self, name: str) -> Any:
        """Return an item's data; None where the job was not given any for it."""
        row = self.connection.execute(
            "SELECT offset, length FROM items WHERE id = ?", (name,)
        ).fetchone()
        if row is None or row[0] is None:
            return None
        return items.data_at(layout.items(self.store, self.repo, self.job_id), *row)

    def in_state(
        self, *states: books.ItemState, limit: int = -1
    ) -> Iterator[tuple[str, books.Item]]:
        """Yield the items in each of these states, those that came to it first before the others."""
        for state in states:
            rows = self.connection.execute(
                "SELECT id, record FROM items WHERE state = ? ORDER BY due, number LIMIT ?",
                (NUMBER[state], limit),
            )
            for name, record in rows:
                yield name, books.Item() if record is None else item_of(record)

    def next_pending(self, moment: int) -> tuple[str | None, int | None]:
        """Return the next item that may be claimed; else None, and when there will be one, if ever."""
        row = self.connection.execute(
            "SELECT id, due FROM items WHERE state = 0 ORDER BY due, number LIMIT 1"
        ).fetchone()
        if row is None:
            return None, None
        return (row[0], None) if row[1] <= moment else (None, row[1])

    def save(self) -> None:
        """Write ``meta``, after the caller has changed it."""
        self.connection.execute("UPDATE meta SET value = ?", (msgspec.json.encode(self.meta),))


item_of = msgspec.json.Decoder(books.Item).decode
"""Return the item that a row's ``record`` holds."""


@contextlib.contextmanager
def opened(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Hold the job's claims lock, with its index brought up to its log.

    Raises `ProdigyError` where there is no such job, `files.Busy` where the lock is not to be had.
    """
    if not exists(store, repo, job):
        raise ProdigyError(f"no job {job}: 'prodigy-git job list' shows what there is")
    lock = files.lock(layout.claims_lock(store, repo, job), PATIENCE)
    try:
        with held(store, repo, job, broken) as found:
            yield found
    finally:
        os.close(lock)


@contextlib.contextmanager
def held(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Open a job's index as `opened` does, for a caller that holds the lock."""
    files.make_private(layout.job_state(store, repo, job))
    found = _open(store, repo, job, broken)
    try:
        yield found
    finally:
        found.connection.close()


def discard(store: str, repo: str, job: str) -> None:
    """Remove a job's index, to be made anew; the caller holds the lock."""
    for ending in ("", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(layout.index(store, repo, job) + ending)


def exists(store: str, repo: str, job: str) -> bool:
    """Whether anything is known of a job."""
    return os.path.isdir(layout.job_log(store, repo, job)) or os.path.isdir(
        layout.job_state(store, repo, job)
    )


def _open(store: str, repo: str, job: str, broken: Broken) -> Index:
    path = layout.index(store, repo, job)
    if os.path.exists(path):
        connection = None
        try:
            connection = _connect(path)
            meta = meta_of(connection)
            if meta is not None and replay.holds(store, repo, job, meta.position):
                found = Index(store, repo, job, connection, meta)
                advance(found, broken)
                return found
        except (sqlite3.Error, msgspec.MsgspecError, ValueError):
            pass  # damaged: made anew below
        if connection is not None:
            connection.close()
    discard(store, repo, job)
    return made_anew(store, repo, job, _connect(path), broken)


def _connect(path: str) -> sqlite3.Connection:
    os.close(files.create(path, os.O_RDWR))  # the journal gets the same mode and owner
    connection = sqlite3.connect(path, isolation_level=None)
    # A killed process leaves a journal, which the next one takes back. A loss of power may leave a
    # torn file: synchronous=OFF does not guard against it, and `_boot` makes the index anew then.
    # PERSIST: the journal is overwritten, since making and removing a file costs more.
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def meta_of(connection: sqlite3.Connection) -> Meta | None:
    """Return what an index knows beside the items; None where it is of another version or boot."""
    row = connection.execute("SELECT value FROM meta").fetchone()
    meta = None if row is None else msgspec.json.decode(row[0], type=Meta)
    if meta is None or (meta.version, meta.boot) != (_VERSION, _boot()):
        return None
    return meta if meta.unreadable is None else None  # they may have been put back


def _boot() -> str:
    """Return what tells one run of the machine from the next; empty where the system does not say."""
    try:
        return files.read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    except OSError:
        return ""


def advance(index: Index, broken: Broken) -> None:
    """Bring an open index up to its log, in one transaction."""
    state = books.State(
        index.meta.job,
        find_item=index.item,
        find_agent=lambda agent: _item_of(index.connection, agent),
    )
    before = index.meta.position
    position = replay.advance(state, index.store, index.repo, before, broken)
    if position == before:
        return
    index.connection.execute("BEGIN IMMEDIATE")
    index.meta.position = position
    for name in state.touched:
        _put(index, name, state.items[name])
    for name, mark in state.sessions.items():
        known = standing_of(index.connection, name)
        index.connection.execute(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)",
            (name, *(mark if known is None else books.standing(known, mark))),
        )
    index.save()
    index.connection.execute("COMMIT")


def standing_of(connection: sqlite3.Connection, session: str) -> books.Standing | None:
    """Return how it stands with a session, as the log says; None where it does not name it."""
    row: books.Standing | None = connection.execute(
        "SELECT resumed, status FROM sessions WHERE id = ?", (session,)
    ).fetchone()
    return row


def _item_of(connection: sqlite3.Connection, agent: str) -> str | None:
    row = connection.execute(
        "SELECT id FROM items WHERE agent = ? ORDER BY at DESC LIMIT 1", (agent,)
    ).fetchone()
    return None if row is None else str(row[0])


def _put(index: Index, name: str, item: books.Item) -> None:
    """Write an item's row."""
    row = index.connection.execute(
        "SELECT state, number FROM items WHERE id = ?", (name,)
    ).fetchone()
    meta = index.meta
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
    index.connection.execute(
        "INSERT INTO items (id, number, state, due, agent, at, signature, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state,"
        " due = excluded.due, agent = excluded.agent, at = excluded.at,"
        " signature = excluded.signature, record = excluded.record",
        (name, number, *columns),
    )


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
    return (
        number, due, view.agent, view.since, last_signature(item), msgspec.json.encode(item),
    )  # fmt: skip


def last_signature(item: books.Item) -> str | None:
    """Return what an item's last failure has in common with others; None where it has none."""
    if item.signature is not None:
        return item.signature[1]
    last = last_failure(item)
    return None if last is None else dead_letters.signature(last.error or "")


def last_failure(item: books.Item) -> books.End | None:
    """Return an item's last failure; None where it has none."""
    if not item.failures:
        return None
    return max(item.failures.values(), key=lambda end: (end.attempt, end.epoch))


def made_anew(
    store: str, repo: str, job: str, connection: sqlite3.Connection, broken: Broken
) -> Index:
    """Make the index from the job's items, its newest sound checkpoint, and the log from there on."""
    base = checkpoints.newest(store, repo, job, broken)
    if base is None:
        state = books.State(books.Job(job))
        position: replay.Position = {}
    else:
        state, position = base
    position = replay.advance(state, store, repo, position, broken)
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('')")
    meta = Meta(_VERSION, _boot(), state.job, position, {}, 0, clock.now())
    found = Index(store, repo, job, connection, meta)
    defined: list[tuple[str, int, int]] = []
    try:
        defined = _defined(found)
    except (ProdigyError, OSError) as error:
        # The job can be looked at, cancelled and cleaned all the same, from its log.
        meta.unreadable = str(error)
        broken(str(error))
    connection.executemany(
        "INSERT INTO items VALUES (?,?,?,?,?,?,?,?,?,?)", _rows(found, state, defined)
    )
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, ?)",
        ((name, *mark) for name, mark in state.sessions.items()),
    )
    found.save()
    connection.execute("COMMIT")
    return found


def _defined(index: Index) -> list[tuple[str, int, int]]:
    """Return (id, offset, length) of each item that the job was given.

    Raises `ProdigyError` where they are not those that its log names, `OSError`.
    """
    path = layout.items(index.store, index.repo, index.job_id)
    opening = index.job.opened
    wanted = None if opening is None else opening.items_sha256
    if wanted and wanted != _sha256(path):
        raise ProdigyError(f"{path} is not what the job was started with: restore it")
    return list(items.read(path)) if os.path.exists(path) else []


def _rows(
    index: Index, state: books.State, defined: list[tuple[str, int, int]]
) -> Iterator[tuple[Any, ...]]:
    """Yield all items' rows: those of the input in its order, then whatever else the log names."""
    meta = index.meta
    rest = dict(state.items)
    for name, offset, length in defined:
        yield _row(meta, name, offset, length, rest.pop(name, None))
    for name, item in rest.items():
        yield _row(meta, name, None, None, item)


def _sha256(path: str) -> str | None:
    try:
        with files.stream(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _row(
    meta: Meta, name: str, offset: int | None, length: int | None, item: books.Item | None
) -> tuple[Any, ...]:
    number = meta.numbered
    meta.numbered += 1
    columns = (0, 0, None, None, None, None) if item is None else _columns(name, item)
    if columns[0] is not None:
        state = _ORDER[columns[0]]
        meta.counts[state] = meta.counts.get(state, 0) + 1
    return (name, number, offset, length, *columns)
