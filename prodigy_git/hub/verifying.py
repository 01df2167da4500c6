"""Comparing a job's log here with its stream on the hub: the ids both ways, and the lines' bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID

from prodigy_git.hub import (
    border,
    connection,
    job_cursor,
    job_streams,
    offering,
    pulled_files,
    pulling,
    set_aside,
    shipping,
)
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.where import Where
from prodigy_git.store import host_files, stream

_ROWS = 20_000
_WITHIN = 120.0


@dataclass
class Verdict:
    """What a job's log and its stream say of each other; the lists hold ids of events.

    ``cleaned`` are on the hub, and were cleaned away here; ``not_pulled`` and ``not_shipped`` are still
    to come and to go, which is no difference.
    """

    job_id: str
    events_here: int = 0
    on_hub: int = 0
    cleaned: int = 0
    not_pulled: int = 0
    not_shipped: int = 0
    set_aside: int = 0
    missing_here: list[str] = field(default_factory=list)
    missing_on_hub: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    def differs(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.missing_here or self.missing_on_hub or self.different or self.twice)

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``hub verify --json`` prints them."""
        return asdict(self)


@dataclass(frozen=True)
class _Row:
    seq: int
    host: UUID
    at: int
    digest: bytes


def verify(conn: Connection, where: Where, number: int) -> Verdict:
    """Compare a job's log with its stream, in the repository ``number`` of the hub; changes nothing.

    Raises `Away`, `Refused`, `OSError`.
    """
    verdict = Verdict(where.job)
    cursor = where.cursor()
    there = pulling.there_is(conn, where, number)
    rows = {} if there is None else _rows(conn, there.job, there.seq)
    verdict.on_hub = len(rows)
    aside = {str(one.get("where")) for one in set_aside.listed(*where.name)}
    verdict.set_aside = len(aside)
    found: dict[bytes, bytes] = {}
    unknown: dict[bytes, bool] = {}
    for shipped, line in _lines(where):
        identity = border.id_of(line, where.job)
        if identity is None:
            continue
        digest = hashlib.md5(line, usedforsecurity=False).digest()
        if identity in found:
            verdict.twice.append(str(UUID(bytes=identity)))
        found[identity] = digest
        if identity not in rows:
            unknown[identity] = shipped
        elif rows[identity].digest != digest:
            verdict.different.append(str(UUID(bytes=identity)))
    verdict.events_here = len(found)
    cleaned = where.cleaned_before()
    for identity, row in rows.items():
        if identity in found or _place(row) in aside:
            continue
        if row.at <= cleaned:
            verdict.cleaned += 1
        elif cursor is None or row.seq > cursor.seq or cursor.again:
            verdict.not_pulled += 1
        else:
            verdict.missing_here.append(str(UUID(bytes=identity)))
    # Some may have come, or gone, since the hub was asked.
    now = set() if there is None else _there_now(conn, there.job, unknown)
    for identity, shipped in unknown.items():
        if identity in now:
            continue
        if shipped:
            verdict.missing_on_hub.append(str(UUID(bytes=identity)))
        else:
            verdict.not_shipped += 1
    return verdict


def _place(row: _Row) -> str:
    return f"event {row.seq} of host {row.host} on the hub"


def _rows(conn: Connection, job: int, last: int) -> dict[bytes, _Row]:
    rows: dict[bytes, _Row] = {}
    seq = 0
    while seq < last:
        with connection.transaction(conn, within=_WITHIN) as tx:
            found = tx.execute(
                f"SELECT seq, host, id, {job_streams.MICROS.format('at')},"
                " decode(md5(line), 'hex') FROM prodigy_hub.event"
                " WHERE job = %s AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s",
                (job, seq, last, _ROWS),
            ).fetchall()
        rows.update({one.bytes: _Row(n, host, at, bytes(md5)) for n, host, one, at, md5 in found})
        seq = found[-1][0] if len(found) == _ROWS else last
    return rows


def _there_now(conn: Connection, job: int, ids: dict[bytes, bool]) -> set[bytes]:
    with connection.transaction(conn, within=_WITHIN) as tx:
        found = job_streams.there(tx, job, [str(UUID(bytes=one)) for one in ids])
    return {UUID(one).bytes for one in found}


def _lines(where: Where) -> Iterator[tuple[bool, bytes]]:
    """Yield the lines of a job's log, and of each whether the hub should have it."""
    cursor = where.cursor()
    sent = cursor.sent if cursor is not None else {}
    for path in pulled_files.log_files(*where.name):
        shipped = None if host_files.tag_in(path) else sent.get(shipping.key_of(path), 0)
        for offset, block in stream.blocks(path):
            at = offset
            for line in block.split(b"\n")[:-1]:
                yield shipped is None or at < shipped, line
                at += len(line) + 1


def mend(conn: Connection, where: Where, number: int) -> None:
    """Pull all of a job once more, and offer the hub all that is here; raises as those do.

    Events that were removed from the hub as old ones go there again.
    """
    there = pulling.stream_of(conn, where, number)
    with where.log_held():
        cursor = where.cursor()
        if cursor is not None:
            again = job_cursor.anew(
                cursor, str(there.hub), str(where.host.id), there.job, offer=True
            )
            where.save(replace(again, shared=cursor.shared), durably=True)
    with connection.transaction(conn, within=_WITHIN) as tx:
        tx.execute(
            "UPDATE prodigy_hub.shipped SET size = 0, last_id = NULL WHERE host = %s AND job = %s",
            (where.host.id, there.job),
        )
    shipping.ship(conn, where, number)
    pulling.pull(conn, where, number)
    offering.offer(conn, where)
