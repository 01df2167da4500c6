"""Giving a hub back what it has lost: events of other hosts, and steps, that stand here.

A hub that was restored from a backup lacks what came after it, one that was replaced lacks all. What
this host records itself, it ships anew anyhow. What it has pulled is offered: the hub is asked by the
ids which of it it has, and given the rest under the names of the hosts that it came from.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from prodigy_git.hub import border, connection, job_streams, pulled_files, shared_items, taken_rows
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.job_streams import Row
from prodigy_git.hub.where import Where
from prodigy_git.record import clock
from prodigy_git.store import stream

_ROWS = 10_000
_BYTES = 1 << 22
_WITHIN = 60.0


def offer(conn: Connection, where: Where) -> int:
    """Offer what was pulled of a job, if the hub has lost events of it; return how many it lacked.

    All has been pulled that the hub has. Killed in between, it is done again. Raises `Away`, `Refused`,
    `OSError`.
    """
    cursor = where.cursor()
    if cursor is None or not cursor.offer or cursor.again:
        return 0
    done = 0
    with connection.transaction(conn, within=_WITHIN) as tx:
        before = job_streams.seen(tx, cursor.job)
    for rows in _batches(where):
        with connection.transaction(conn, within=_WITHIN) as tx:
            before = job_streams.held(tx, cursor.job)
            if (str(before.hub), before.name) != (cursor.hub, where.job):
                return done  # it was replaced once more: the next pull says so
            known = job_streams.there(tx, cursor.job, rows)
            lacking = [row for one, row in rows.items() if one not in known]
            after = job_streams.append(tx, before, lacking, again=True)
        taken_rows.shipped(where, before, after, {}, {})
        done += len(lacking)
    if cursor.shared:
        shared_items.settle(conn, where, before)
    with where.log_held():
        there = where.cursor()
        if there is not None and there.stream == cursor.stream:
            where.save(replace(there, offer=False), durably=True)
    return done


def _batches(where: Where) -> Iterator[dict[str, Row]]:
    rows: dict[str, Row] = {}
    size = 0
    for path in pulled_files.log_files(*where.name):
        origin = pulled_files.host_of(where.store, os.path.basename(path))
        if origin is None:
            continue
        for _, block in stream.blocks(path):
            for row in _rows(block.split(b"\n")[:-1], where.job, origin):
                rows.setdefault(row.id, row)
            size += len(block)
            if len(rows) >= _ROWS or size >= _BYTES:
                yield rows
                rows, size = {}, 0
    if rows:
        yield rows


def _rows(lines: list[bytes], job: str, origin: UUID) -> Iterator[Row]:
    """Yield the events of lines, as steps: their host may have them in no file that it ships."""
    checked = border.ours(lines, job)
    if checked is not None:
        for line, identity, at in zip(lines, *checked, strict=True):
            yield Row(origin, True, identity, at, line)
        return
    for line in lines:
        try:
            found = border.known(line, job)
        except ValueError:
            continue  # blank, or damaged here: not for others
        at = found.at or clock.stamp(clock.now())
        yield Row(origin, True, found.id, at, line)
