"""How a job comes to be shared: opened on the hub with its items, or found there by another host.

Before the job is opened on the hub, this host notes that it is shared: killed in between, nobody here
takes a step on it without the hub. Its first event has an id that follows from who opens it with which
items, so a start that was killed after the hub had it is taken to its end when it is tried again.
"""

from dataclasses import dataclass, replace
from typing import Any

from prodigy_git.errors import ProdigyError, Refused
from prodigy_git.hub import (
    address,
    connection,
    host,
    job_streams,
    pulling,
    repository_number,
    schema,
    shared_items,
    shared_step,
    taken_rows,
)
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.job_streams import Row, Stream
from prodigy_git.hub.where import Where
from prodigy_git.record import clock, log, redacting, repokey
from prodigy_git.store.broken import Broken

_WITHIN = 120.0
"""Seconds for a transaction: the items of a large job go up in one."""


class There(ProdigyError):
    """The hub has the job already."""


@dataclass(frozen=True)
class Place:
    """A job's place on the hub, which may be empty: its repository there, and the connection."""

    where: Where
    conn: Connection
    repository: int


def place(store: str, repo: str, job: str, say: Broken) -> Place:
    """Connect to the hub of a repository, and find its place there for a job.

    Raises `Away`, `Refused` also where no hub is named; `ProdigyError` where nothing tells which
    repository it is; `OSError`.
    """
    found = shared_step.address_of(store, repo)
    common = repokey.common_of(store, repo)
    if found is None or common is None:
        raise Refused(
            f"this repository has no hub: 'prodigy-git hub init URL' makes one, or names it "
            f"(git config {address.SETTING})"
        )
    conn = connection.connected(found, patience=shared_step.PATIENCE)
    with connection.transaction(conn, within=_WITHIN) as tx:
        hub = schema.there(tx)
    own = host.own(store)
    number = repository_number.number(conn, hub.id, store, repo, common, within=_WITHIN)
    return Place(Where(store, repo, job, own, say), conn, number)


def start(place: Place, opened: dict[str, Any], items: str | None) -> None:
    """Open a job on the hub by its JobStarted, with the file ``items``; `join` brings it here.

    The caller holds the job's claims lock. Raises `There`; `Away`, `Refused`, `OSError`: then it can be
    tried again.
    """
    where = place.where
    with connection.transaction(place.conn, within=_WITHIN) as tx:
        host.sign_of_life(tx, where.host)
        stream = job_streams.entered(tx, place.repository, where.job)
    what = f"JobStarted:{where.job}:{opened.get('items_sha256')}"
    opened = opened | {"id": log.event_id(where.host.id.hex, what)}
    if stream.shared:
        _require_ours(place, stream, opened["id"])
    else:
        _noted(where, stream)
        _opened(place, stream, opened, items)


def _noted(where: Where, stream: Stream) -> None:
    pulling.entered(where, stream)
    with where.log_held():
        there = where.cursor()
        if there is not None and not there.shared:
            shared = replace(there, shared=True)
            where.save(shared, durably=True)


def _opened(place: Place, stream: Stream, opened: dict[str, Any], items: str | None) -> None:
    where = place.where
    with connection.transaction(place.conn, within=_WITHIN) as tx:
        stream = job_streams.held(tx, stream.job)
        if stream.shared:  # somebody was quicker
            raise There(_there(where.job))
        if items is not None:
            shared_items.put(tx, stream.job, items)
        (row,) = tx.execute(f"SELECT {job_streams.MICROS.format('clock_timestamp()')}").fetchall()
        stamp = clock.stamp(row[0])
        line = log.encoded([redacting.value(where.store, where.repo, opened)], stamp).rstrip(b"\n")
        after = job_streams.append(
            tx, stream, [Row(where.host.id, True, opened["id"], stamp, line)]
        )
        tx.execute("UPDATE prodigy_hub.job SET shared = true WHERE id = %s", (stream.job,))
    taken_rows.wrote(where, after, [line])


def _require_ours(place: Place, stream: Stream, identity: str) -> None:
    """Raise `There` unless it was this very start that opened the job, and was killed then."""
    with connection.transaction(place.conn, within=_WITHIN) as tx:
        if not job_streams.there(tx, stream.job, [identity]):
            raise There(_there(place.where.job))


def _there(job: str) -> str:
    return (
        f"the hub has job {job}: choose another name, or 'prodigy-git job next {job}' to work on it"
    )


def found(store: str, repo: str, job: str, say: Broken) -> bool:
    """Look for a shared job on the hub that this host does not know yet, and bring it here.

    Returns whether there is one. Raises `Away`, `Refused`, `ProdigyError`, `OSError`.
    """
    there = place(store, repo, job, say)
    with connection.transaction(there.conn, within=_WITHIN) as tx:
        host.sign_of_life(tx, there.where.host)
        stream = job_streams.known(tx, there.repository, job)
    if stream is None or not stream.shared:
        return False
    pulling.entered(there.where, stream)
    join(there)
    return True


def join(place: Place) -> None:
    """Bring the events and items here of a job that the hub has; nobody holds the job's locks.

    Raises as `pulling.pull`.
    """
    with connection.transaction(place.conn, within=_WITHIN) as tx:
        stream = job_streams.known(tx, place.repository, place.where.job)
    if stream is not None and stream.shared:
        pulling.entered(place.where, stream)
        pulling.pull(place.conn, place.where)
        shared_items.settle(place.conn, place.where, stream)
