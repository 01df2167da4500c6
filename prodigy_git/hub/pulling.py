"""Pulling a job's events from the hub into this host's files.

A hub that was restored from a backup, or replaced, is found by the mark of the last event that is
known: then all is pulled again, and what stands here already is passed over by its id.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from prodigy_git.errors import Refused
from prodigy_git.hub import (
    connection,
    copied_rows,
    job_cursor,
    job_streams,
    pulled_files,
    taken_rows,
)
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.copied_rows import Rows
from prodigy_git.hub.job_cursor import Cursor
from prodigy_git.hub.job_streams import Stream
from prodigy_git.hub.taken_rows import NOTHING, GivenAgain, Known, Restored
from prodigy_git.hub.where import Where
from prodigy_git.store import events, host_files

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_ROWS = 5_000
"""Rows of a transaction, which has `_WITHIN` seconds; what has come by then is kept. A server that
sorts them does that in memory."""
_WITHIN = 120.0


def entered(where: Where, stream: Stream) -> Cursor:
    """Note that a job has a stream on the hub, none of which is here yet; return the cursor there is.

    One that is there is returned, whatever hub it is of.
    """
    with where.log_held():
        there = where.cursor()
        if there is None:
            there = Cursor(
                str(stream.hub), str(where.host.id), stream.job, stream.shared,
                # A job's state may be lost, or cleaned, and its log be there.
                again=any(map(host_files.tag_in, _names(where))),
            )  # fmt: skip
            where.save(there)
        elif stream.shared and not there.shared:
            there = replace(there, shared=True)
            where.save(there, durably=True)
    return there


def _names(where: Where) -> Iterator[str]:
    return map(os.path.basename, events.log_files(*where.name))


def fits(cursor: Cursor, stream: Stream, where: Where) -> bool:
    """Whether a cursor may be of this stream, as far as can be told without its rows."""
    return (
        (cursor.hub, cursor.job, cursor.host) == (str(stream.hub), stream.job, str(where.host.id))
        and (cursor.seq < stream.seq or (cursor.seq, cursor.mark) == (stream.seq, stream.mark))
        and not cursor.lost_power()
    )


def _begin_again(where: Where, stream: Stream, before: Cursor) -> None:
    """Begin to pull all of a job again, unless another process has done anything to it meanwhile."""
    with where.log_held():
        if where.cursor() != before:
            return
        begun = (before.seq, before.again, before.lost_power()) == (0, True, False)
        of = before.hub, before.job, before.host
        if begun and of == (str(stream.hub), stream.job, str(where.host.id)):
            raise job_streams.wrong(where.job)  # it would be begun again for ever
        # Where only this host has lost something, the hub lacks nothing: it may have let old events go.
        ours = before.lost_power() or before.host != str(where.host.id)
        same = (before.hub, before.job) == (str(stream.hub), stream.job)
        lost = not same or before.seq > stream.seq or not ours
        there = job_cursor.anew(
            before, str(stream.hub), str(where.host.id), stream.job, offer=lost and before.hub != ""
        )
        where.save(replace(there, shared=there.shared or stream.shared), durably=True)


def pull_held(tx: "Raw", stream: Stream, where: Where) -> int:
    """Pull what is new of a job whose row is held in ``tx``; the caller holds its claims lock, too.

    Returns how many events were written. Raises `Restored` where the stream is not what it was: then
    the transaction is to be left, `pull` called, and all begun anew. Raises `OSError` as writing does.
    """
    cursor = where.cursor()
    if cursor is None or cursor.again or cursor.offer or not fits(cursor, stream, where):
        raise Restored(f"job {where.job}: the hub is not as it was: try again")
    done = 0
    while cursor.seq < stream.seq:
        written, cursor = _some(tx, stream, where, cursor, NOTHING, claims=True)
        done += written
    return done


def take_held(
    where: Where, stream: Stream, rows: Sequence[tuple[int, int, UUID, int, UUID, str | None]]
) -> int:
    """Do what `pull_held` does with rows that the caller has read: all from the cursor's number on.

    Each is number, mark, host, whether it is a step's, id, and line, in the order of the numbers; a
    line is None where it is longer than `border.LONGEST`.
    """
    cursor = where.cursor()
    if cursor is None or cursor.again or cursor.offer or not fits(cursor, stream, where):
        raise Restored(f"job {where.job}: the hub is not as it was: try again")
    if not rows or rows[-1][0] <= cursor.seq:
        return 0
    seqs, marks, hosts, steps, ids, lines = zip(*rows, strict=True)
    found = Rows(
        list(seqs), list(marks), [one.bytes for one in hosts], list(steps),
        [one.bytes for one in ids], [None if one is None else one.encode() for one in lines],
    )  # fmt: skip
    _check_mark(where, cursor, found)
    return taken_rows.take(where, cursor, found, NOTHING, claims=True)[0]


def _check_mark(where: Where, cursor: Cursor, rows: Rows) -> None:
    # The first row is the last one that is known, unless old events were removed from the hub.
    if rows.seqs[0] == cursor.seq and rows.marks[0] != cursor.mark:
        raise Restored(f"job {where.job}: the hub was restored from a backup")


def pull(
    conn: Connection, where: Where, repository: int | None = None, stream: Stream | None = None
) -> int:
    """Pull what is new of a job, holding nothing on the hub; return how many events were written.

    ``repository`` is the number on the hub; ``stream`` is what the caller has just seen of the job,
    which is asked for else, and entered where the hub has none of the name. Without a repository, a
    hub that was replaced is `Refused`. What the hub has lost is given back to it by `offering.offer`,
    which is due when the cursor says so. Raises `Away`, `Refused`, `OSError` (a full disk); what has
    come is kept.
    """
    done = 0
    known: Known | None = None
    while True:
        # The cursor first: another process may go on meanwhile, and be ahead of a stream seen before.
        cursor = where.cursor()
        if stream is None or (cursor is not None and not fits(cursor, stream, where)):
            cursor = where.cursor()
            stream = stream_of(conn, where, repository)
        if cursor is None:
            entered(where, stream)
            stream = None
            continue
        if stream.shared and not cursor.shared:
            cursor = entered(where, stream)
        if not fits(cursor, stream, where):
            _begin_again(where, stream, cursor)
            stream = known = None
            continue
        if cursor.again and known is None:
            known = taken_rows.look(where, stream.seq)
        if cursor.seq < stream.seq:
            try:
                with connection.transaction(conn, within=_WITHIN) as tx:
                    written, cursor = _some(
                        tx, stream, where, cursor, known or NOTHING, claims=False
                    )
            except GivenAgain:
                known = taken_rows.look(where, 0)
                continue
            except Restored:
                _begin_again(where, stream, cursor)
                stream = known = None
                continue
            done += written
        if cursor.seq >= stream.seq:
            if cursor.seq > stream.seq or cursor.mark == stream.mark:
                break
            # It was restored meanwhile; or its counter is no event's, and would never be.
            if stream_of(conn, where, repository) == stream:
                raise job_streams.wrong(where.job)
            stream = None
    if cursor.again:
        with where.log_held():
            there = where.cursor()
            if there is not None and there.stream == cursor.stream:
                where.save(replace(there, again=False), durably=True)
    return done


def stream_of(conn: Connection, where: Where, repository: int | None) -> Stream:
    """Ask the hub for a job's stream, which is entered where it has none of the name.

    Without a ``repository`` it is the one that the cursor is of. Raises `Refused`, `Away`.
    """
    cursor = where.cursor()
    with connection.transaction(conn, within=_WITHIN) as tx:
        if repository is not None:
            shared = cursor is not None and cursor.shared
            return job_streams.entered(tx, repository, where.job, shared=shared)
        if cursor is not None:
            with contextlib.suppress(job_streams.Gone):
                found = job_streams.seen(tx, cursor.job)
                if (found.name, str(found.hub)) == (where.job, cursor.hub):
                    return found
        raise Refused(
            f"the hub does not know job {where.job}: 'prodigy-git hub sync' takes it there"
        )


def there_is(conn: Connection, where: Where, repository: int) -> Stream | None:
    """Return a job's stream, None where the hub has none of the name. Raises `Away`, `Refused`."""
    with connection.transaction(conn, within=_WITHIN) as tx:
        return job_streams.known(tx, repository, where.job)


def look_for_losses(where: Where) -> None:
    """Begin to pull a job again where files of pulled events have lost something. Raises `OSError`."""
    with where.log_held():
        cursor = where.cursor()
        if cursor is None or cursor.again:
            return
        lost = pulled_files.shrunk(*where.name, cursor.sizes, where.cleaned_before())
        if lost is not None:
            where.say(f"job {where.job}: {lost} has lost events, which are pulled again")
            where.save(
                job_cursor.anew(cursor, cursor.hub, cursor.host, cursor.job, offer=False),
                durably=True,
            )


def _some(
    tx: "Raw", stream: Stream, where: Where, cursor: Cursor, known: Known, *, claims: bool
) -> tuple[int, Cursor]:
    """Pull up to `_ROWS` rows from a cursor on; return how many lines were written, and the cursor."""
    done, begin = 0, cursor.seq
    first: int | None = begin
    while first is not None and cursor.seq == begin:
        last = min(stream.seq, first + _ROWS)
        for rows in copied_rows.blocks(tx, stream.job, first, last):
            _check_mark(where, cursor, rows)
            written, cursor = taken_rows.take(where, cursor, rows, known, claims=claims)
            done += written
        if last == stream.seq:
            first = None
        elif cursor.seq == begin:  # old events were removed from the hub
            first = job_streams.next_number(tx, stream.job, last)
    if first is None:
        cursor = taken_rows.passed_over(where, cursor, stream)
    return done, cursor
