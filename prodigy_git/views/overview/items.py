"""A job's items that somebody is to see: those in progress, to be tried again, failed for good."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from prodigy_git import layout
from prodigy_git.jobs import books, lookers_clock, owner, prodigy_runs
from prodigy_git.jobs.index import NUMBER, Index, item_of
from prodigy_git.record import clock, files
from prodigy_git.store.events import Broken

_MOST = 1000  # items of a state; the newest


@dataclass(frozen=True)
class Held:
    """An item, and the last that had it; ``owned`` as in `trouble.Facts`."""

    item: str
    state: books.ItemState
    agent: str | None
    session: str | None
    attempt: int | None
    since: int | None
    """When it came to that state, in microseconds since 1970."""
    error: str | None
    log: str | None
    owned: bool | None
    pid: int | None
    host: str | None = None
    """The id of the host that it was claimed on, where that is another one."""


def held(index: Index) -> list[Held]:
    """Return the items in progress, those waiting to be tried again, and those that failed for good."""
    return list(_held(index))


def _held(index: Index) -> Iterator[Held]:
    judged = lookers_clock.of(index)
    for state in ("in_progress", "pending", "dead", "failed"):
        # Of what is pending only what has failed before: the rest is nobody's, and may be much.
        tried = "AND signature IS NOT NULL" if state == "pending" else ""
        rows = index.rows(
            f"SELECT id, record FROM items WHERE state = ? {tried} ORDER BY at DESC LIMIT ?",
            (NUMBER[state], _MOST), lambda row: (row[0], row[1] and item_of(row[1])),
        )  # fmt: skip
        for name, item in rows:
            if item is None:
                continue
            view = books.view(item)
            if state == "pending" and (view.end is None or view.end.stage != books.FAILED):
                continue  # put back from the queue: nobody's
            yield _one(index, name, item, view, judged)


def named(index: Index, names: Iterable[str]) -> dict[str, Held]:
    """Return some items, in whatever state they are, by their ids."""
    judged = lookers_clock.of(index)
    found = {}
    for name in names:
        item = index.item(name)
        if item is not None:
            found[name] = _one(index, name, item, books.view(item), judged)
    return found


def _one(
    index: Index,
    name: str,
    item: books.Item,
    view: books.View,
    judged: Callable[[books.Start], int],
) -> Held:
    start, end = view.start, view.end
    session = start.worktree or start.session if start is not None else None
    if session is None and end is not None:
        session = end.session
    owned = pid = None
    if index.run is not None:
        owned = False if prodigy_runs.at_work(index) is None else None
    elif view.state == "in_progress" and start is not None:
        owned, _ = owner.has(index.store, index.repo, index.job_id, start, judged(start))
        said = start.owner.get("pid") if start.owner is not None else None
        pid = said if isinstance(said, int) and owner.of_here(index.store, start.owner) else None
    error = log = None
    if end is not None and view.state != "in_progress":
        # What queued it says no more than that it did.
        last = max(item.failures.values(), key=books.order_of, default=end)
        error, log = end.error or last.error, end.log or last.log
    host = owner.other_host(index.store, start)
    return Held(
        name, view.state, view.agent, session, view.attempt or None,
        clock.parse(view.since) if view.since else None, error,
        log if host is None else None,  # a path there
        owned, pid, host,
    )  # fmt: skip


class _Named(msgspec.Struct):
    item_id: str


class _Queue(msgspec.Struct):
    items: list[_Named] = []


def queued(index: Index, broken: Broken) -> int:
    """Return how many items wait in a job's dead letter queue."""
    dead = index.count("dead")
    path = layout.dead_letters(index.store, index.repo, index.job_id)
    try:
        known = msgspec.json.decode(files.read(path), type=_Queue).items
        ours = len(known) <= dead and not os.path.isdir(f"{os.path.dirname(path)}/items")
    except FileNotFoundError:
        ours = not os.path.isdir(f"{os.path.dirname(path)}/items")
    except (OSError, msgspec.MsgspecError, RecursionError):
        ours = False
    if ours:
        return dead
    # Others have written there, too.
    from prodigy_git.jobs import snapshots

    return len(snapshots.queue(index, broken).items)
