"""An index of a job's items, so that claiming one does not mean reading the whole log.

A SQLite file beside the job's checkpoints. It is derived: never the truth, brought up to the log
whenever it is opened, and made anew from the newest sound checkpoint and the log where it is missing,
damaged, of another version, ahead of the log, or was open when the machine went down.

It stops nobody. Damage that shows at a question has it made anew, and the question is asked again.
What cannot be written or opened (a full disk, a link or a folder in its place, another user's file) is
done without: the same tables are then in memory, for the time of the step.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import (
    books,
    checkpoints,
    clocks,
    index_file,
    index_tables,
    items,
    next_item,
    replay,
)
from prodigy_git.jobs.index_tables import (
    DAMAGE,
    NUMBER,
    Meta,
    item_of,
    last_failure,
    last_signature,
)
from prodigy_git.jobs.run_facts import RunFacts
from prodigy_git.record import clock, locks, within
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.hub.shared_step import Step
    from prodigy_git.prodigy.runs import Run

__all__ = [
    "NUMBER", "Index", "Meta", "advance", "discard", "exists", "held", "in_memory", "item_of",
    "last_failure", "last_signature", "opened",
]  # fmt: skip

PATIENCE = 120.0  # seconds; another holder may be writing a checkpoint of a large job
_T = TypeVar("_T")


@dataclass
class Index:
    """An open index; the caller holds the job's claims lock, or it is a copy in memory."""

    store: str
    repo: str
    job_id: str
    connection: sqlite3.Connection = field(repr=False)
    """Not to be asked directly: `rows` does, and survives damage."""
    meta: Meta
    broken: Broken
    path: str | None
    """The file; None: in memory only."""
    fault: str | None = None
    """What is wrong with the job's items, if they cannot be read; those in the log are known."""
    apart: int = 0
    """By how many microseconds the store's clock is ahead of this machine's."""
    kept: bool = False
    """A checkpoint was written since it was opened."""
    _anew: bool = False
    """It was made from the log just now: what it says is not doubted."""
    run: "Run | None" = None
    """The run of Prodigy's that the job is, which no step of ours is taken on."""
    of_run: RunFacts = field(default_factory=RunFacts)
    """What is known of that run beside its log."""
    shared: "Step | None" = None
    """The step on the hub of a shared job: its clock counts, and it takes what is recorded."""
    away: bool = False
    """That hub is not to be had: only what ends something is recorded, and only here."""

    @property
    def job(self) -> books.Job:
        """What the log says of the job as a whole."""
        return self.meta.job

    def now(self) -> int:
        """Return the time in microseconds since 1970, by the clock of all who share the job."""
        return clock.now() + self.apart if self.shared is None else self.shared.now()

    def count(self, *states: books.ItemState) -> int:
        """Return how many items are in any of these states."""
        return sum(self.meta.counts.get(state, 0) for state in states)

    def rows(
        self, question: str, values: Any = (), made: Callable[[Any], Any] = lambda row: row
    ) -> list[Any]:
        """Return what ``made`` makes of each row that a SELECT is answered with."""
        return self._sound(lambda: [made(row) for row in self.connection.execute(question, values)])

    def item(self, name: str) -> books.Item | None:
        """Return what is known of an item; None where there is no such item."""
        found = self.rows(
            "SELECT record FROM items WHERE id = ?", (name,), lambda row: item_of(row[0])
        )
        return found[0] if found else None

    def item_of_agent(self, agent: str) -> str | None:
        """Return the id of the item that an agent has started on last."""
        question = "SELECT id FROM items WHERE agent = ? ORDER BY at DESC LIMIT 1"
        found = self.rows(question, (agent,), lambda row: str(row[0]))
        return found[0] if found else None

    def data(self, name: str) -> Any:
        """Return an item's data; None where the job was not given any for it.

        Raises `ProdigyError` where the job's items are not what they were.
        """
        if self.run is not None:
            return self.of_run.data(name)
        found = self.rows("SELECT offset, length, file FROM items WHERE id = ?", (name,))
        if not found or found[0][0] is None:
            return None
        offset, length, file = found[0]
        return items.sound_data(self.items_path(file), name, offset, length)

    def items_path(self, file: str | None) -> str:
        """Return the path of one of the files of the job's items, as the column ``file`` names it."""
        if file is None:
            return layout.items(self.store, self.repo, self.job_id)
        return layout.items_added(self.store, self.repo, self.job_id, file)

    def require_items(self) -> None:
        """Raise `ProdigyError` where the job's items cannot be read, and some may not be known."""
        if self.fault is not None:
            raise ProdigyError(self.fault)

    def in_state(
        self, *states: books.ItemState, limit: int = -1
    ) -> Iterator[tuple[str, books.Item]]:
        """Yield the items in each of these states, those that came to it first before the others."""
        for state in states:

            def ask(state: books.ItemState = state) -> list[tuple[str, books.Item]]:
                rows = self.connection.execute(
                    "SELECT id, record FROM items WHERE state = ? ORDER BY due, number LIMIT ?",
                    (NUMBER[state], limit),
                )
                found = [(name, item_of(record)) for name, record in rows]
                self._doubt(limit < 0 and len(found) != self.count(state))
                return found

            yield from self._sound(ask)

    def next_pending(self, moment: int) -> tuple[str | None, int | None]:
        """Return the next item that may be claimed; else None, and when there will be one, if ever."""

        def ask() -> tuple[str | None, int | None]:
            row = next_item.first(self.connection, moment)
            if row is None:
                ready = next_item.coming(self.connection)
                (waiting,) = self.connection.execute(next_item.COUNT).fetchone()
                self._doubt(ready is None and self.count("pending") != waiting)
                return None, ready
            self._doubt(books.view(item_of(row[2])).state != "pending")
            return str(row[0]), None

        return self._sound(ask)

    def save(self) -> None:
        """Write ``meta``, after the caller has changed it; that may fail, and is made up for later."""
        with contextlib.suppress(sqlite3.Error):
            index_tables.save(self.connection, self.meta)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()

    def _sound(self, ask: Callable[[], _T]) -> _T:
        """Return what ``ask`` does; where that shows damage, mend the index and ask again."""
        try:
            return ask()
        except DAMAGE as error:
            if self._anew and self.path is None:
                raise  # no damage, then: it is in memory, and of the log
            self._mend(error)
        return self._sound(ask)

    def _doubt(self, contradicts: bool) -> None:
        """Take what rows and counts say of each other for damage, unless both come from the log."""
        if contradicts and not self._anew:
            raise ValueError("the index contradicts itself")

    def _mend(self, error: BaseException) -> None:
        """Take up a sound copy: from the file's, where only writing was refused; else from the log."""
        copied = None
        if self.path is not None and index_file.is_refused(error):
            self.broken(f"{self.path}: {error}; done without it, the log has everything")
            with contextlib.suppress(sqlite3.Error):
                self.connection.rollback()
                copied = self.connection.serialize()
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        where = self.store, self.repo, self.job_id
        if self.path is None or self._anew or index_file.is_refused(error):
            found = in_memory(*where, copied, self.meta.inode, self.broken)
        else:
            found = _made_anew(*where, self.broken)
        before = self.meta
        self.connection, self.meta, self.path = found.connection, found.meta, found.path
        self.fault, self._anew = found.fault, found._anew
        for name in (
            "checkpoint_at", "checkpoint_ended", "checkpoint_phase", "queue_at",
            "queue_changes", "queue_took",
        ):  # fmt: skip
            setattr(self.meta, name, getattr(before, name))


@contextlib.contextmanager
def opened(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Hold the job's claims lock, with its index brought up to its log.

    Raises `ProdigyError` where there is no such job, `locks.Busy` where the lock is not to be had.
    """
    if not exists(store, repo, job):
        raise ProdigyError(f"no job {job}: 'prodigy-git job list' shows what there is")
    lock = locks.take(layout.claims_lock(store, repo, job), PATIENCE)
    try:
        with held(store, repo, job, broken) as found:
            found.apart = clocks.ahead(lock)
            clocks.note(store, found.apart, found.job, broken)
            yield found
    finally:
        os.close(lock)


@contextlib.contextmanager
def held(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Open a job's index as `opened` does, for a caller that holds the lock."""
    found = _open(store, repo, job, broken)
    try:
        if found.fault is not None:
            broken(found.fault)
        yield found
    finally:
        found.close()


def discard(store: str, repo: str, job: str) -> None:
    """Remove a job's index, to be made anew; the caller holds the lock. Raises `OSError`."""
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
    try:
        within.refuse_links(store, path)
        connection, inode = index_file.connect(path)
    except (OSError, sqlite3.Error) as error:
        broken(f"{path}: {index_file.why(error)}; done without it, the log has everything")
        return in_memory(store, repo, job, None, 0, broken)
    try:
        index_file.settle(connection)
        meta = index_tables.meta_of(connection, job, inode)
        if meta is not None and replay.holds(store, repo, job, meta.position):
            found = Index(store, repo, job, connection, meta, broken, path)
            advance(found, broken)
            return found
    except DAMAGE as error:
        if index_file.is_refused(error):
            broken(f"{path}: {index_file.why(error)}; done without it, the log has everything")
            connection.close()
            return in_memory(store, repo, job, None, 0, broken)
    connection.close()
    return _made_anew(store, repo, job, broken)


def _from_log(
    store: str, repo: str, job: str, broken: Broken
) -> tuple[books.State, replay.Position]:
    """Return what the newest sound checkpoint, and the log from there on, come to."""
    base = checkpoints.newest(store, repo, job, broken)
    state, position = base if base is not None else (books.State(books.Job(job)), {})
    return state, replay.advance(state, store, repo, position, broken)


def _made_anew(store: str, repo: str, job: str, broken: Broken) -> Index:
    """Make the index's file from the job's items and its log; where that cannot be, in memory."""
    state, position = _from_log(store, repo, job, broken)
    given, fault = index_tables.given_of(store, repo, state.job)
    path = layout.index(store, repo, job)
    if fault is None:  # else it would lack items, also when they can be read again
        connection = None
        try:
            discard(store, repo, job)
            connection, inode = index_file.connect(path)
            index_file.settle(connection)
            meta = index_tables.fill(connection, state, position, given, inode)
            return Index(store, repo, job, connection, meta, broken, path, _anew=True)
        except (OSError, sqlite3.Error) as error:
            broken(f"{path}: {index_file.why(error)}; done without it, the log has everything")
            if connection is not None:
                connection.close()
                with contextlib.suppress(OSError):
                    discard(store, repo, job)  # half of it, which takes room
    return filled((store, repo, job), state, position, given, broken, fault)


def filled(
    where: tuple[str, str, str], state: books.State, position: replay.Position,
    given: index_tables.Given, broken: Broken, fault: str | None = None,
) -> Index:  # fmt: skip
    """Return an index in memory of a state; ``where`` is store, repository key and job."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    meta = index_tables.fill(connection, state, position, given, 0)
    return Index(*where, connection, meta, broken, None, fault, _anew=True)


def in_memory(
    store: str, repo: str, job: str, copied: bytes | None, inode: int, broken: Broken
) -> Index:
    """Return an index in memory, up to the log: from a file's bytes if they are good, else made anew.

    ``inode`` is that file's. Raises `OSError` where the log cannot be listed.
    """
    if copied:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        try:
            connection.deserialize(copied)
            connection.execute("PRAGMA cell_size_check = ON")
            meta = index_tables.meta_of(connection, job, inode)
            if meta is not None and replay.holds(store, repo, job, meta.position):
                found = Index(store, repo, job, connection, meta, broken, None)
                advance(found, broken)
                return found
        except DAMAGE:
            pass  # made anew below
        connection.close()
    state, position = _from_log(store, repo, job, broken)
    given, fault = index_tables.given_of(store, repo, state.job)
    return filled((store, repo, job), state, position, given, broken, fault)


def advance(index: Index, broken: Broken) -> None:
    """Bring an open index up to its log, in one transaction; not that of a run of Prodigy's."""
    if index.run is not None:
        return
    meta = index.meta
    try:
        state = books.State(meta.job, find_item=index.item, find_agent=index.item_of_agent)
        before, parts, opened = meta.position, meta.job.parts, meta.job.opened
        position = replay.advance(state, index.store, index.repo, before, broken)
        # A question may have found damage: then all is up to the log by now.
        if position != before and index.meta is meta:
            if opened is None and meta.job.opened is not None:
                raise ValueError("another host has opened the job: its items are to be read")
            _write(index, state, position, [one for one in meta.job.added if one not in parts])
    except DAMAGE as error:
        index._mend(error)
    else:
        index._anew = index._anew and position == before


def _write(index: Index, state: books.State, position: replay.Position, added: list[str]) -> None:
    connection, meta = index.connection, index.meta
    more: index_tables.Given = []
    for digest in added:
        found, fault = index_tables.added(index.store, index.repo, index.job_id, digest)
        if fault is not None:
            raise ValueError(fault)  # made anew, where it is said and nothing is handed out
        more += found
    connection.execute("BEGIN IMMEDIATE")
    meta.position = position
    index_tables.add(connection, meta, more)
    for name in state.touched:
        index_tables.put(connection, meta, name, state.items[name])
    for name, mark in state.sessions.items():
        known = index_tables.standing_of(connection, name)
        connection.execute(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)",
            (name, *(mark if known is None else books.standing(known, mark))),
        )
    index_tables.save(connection, meta)
    connection.execute("COMMIT")
