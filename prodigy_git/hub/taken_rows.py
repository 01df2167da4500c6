"""Writing rows of a job's stream into this host's files, each once, wherever it is interrupted.

First the lines, then the cursor, both under the log's lock: so however many processes pull a job, and
wherever one is killed, a row is written once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from prodigy_git.errors import ProdigyError
from prodigy_git.hub import (
    border,
    job_cursor,
    pulled_files,
    set_aside,
    shared_items,
    told_conflicts,
)
from prodigy_git.hub.copied_rows import Rows
from prodigy_git.hub.job_cursor import Cursor
from prodigy_git.hub.job_streams import Stream
from prodigy_git.hub.set_aside import Aside
from prodigy_git.hub.where import Where
from prodigy_git.record import clock
from prodigy_git.store import host_files


class Restored(ProdigyError):
    """The job's stream is not the one that the cursor is of: it is to be pulled from the beginning."""


class GivenAgain(Restored):
    """Rows may have been on the hub before: what stands here has to be known before they are taken."""


@dataclass(frozen=True)
class Known:
    """What stands in a job's log: the ids, as of the stream's number ``upto``.

    Of rows up to there, and of those that may have been on the hub before, each that stands here is
    passed over; and what was cleaned away, up to ``cleaned``, does not come back.
    """

    upto: int
    ids: set[bytes]
    cleaned: int


NOTHING = Known(0, set(), 0)


def look(where: Where, upto: int) -> Known:
    """Look through a job's log for the events that stand in it, before it is pulled again.

    The stream's number ``upto`` was asked for before: what this host had shipped by then is found.
    """
    ids: set[bytes] = set()

    def add(line: bytes) -> None:
        identity = border.id_of(line, where.job)
        if identity is not None:
            ids.add(identity)

    # Most of it while others write: a hook waits for the lock for seconds only.
    ends = pulled_files.collect(*where.name, add)
    with where.log_held():
        ends = pulled_files.collect(*where.name, add, ends)
        cursor = where.cursor()
        if cursor is not None and cursor.again:
            # What stands behind these from here on was written by another process.
            sizes = {name: end for name, end in ends.items() if host_files.tag_in(name) is not None}
            where.save(replace(cursor, sizes=sizes), durably=True)
        return Known(upto, ids, where.cleaned_before())


def take(
    where: Where, before: Cursor, rows: Rows, known: Known, *, claims: bool
) -> tuple[int, Cursor]:
    """Write the lines of rows that are not here yet, then the cursor; return how many, and that.

    ``before`` is a cursor that the rows follow; with ``claims``, the caller holds the claims lock.
    Raises `Restored` where the job has been begun again meanwhile; `OSError`, and then the cursor
    stays.
    """
    own = where.host.id.bytes
    if (
        not claims
        and own in rows.hosts
        and any(s and h == own for s, h in zip(rows.steps, rows.hosts, strict=True))
    ):
        # A step of this host that has been committed, and whose process may be about to write it.
        with where.claims_held():
            return take(where, before, rows, known, claims=True)
    with where.log_held():
        cursor = where.cursor()
        if cursor is None or cursor.stream != before.stream:
            raise Restored(f"job {where.job}: another process has begun to pull it again")
        seq, mark = rows.seqs[-1], rows.marks[-1]
        if seq <= cursor.seq:
            return 0, cursor  # another process was quicker
        if known is NOTHING and min(rows.marks) < 0:
            raise GivenAgain(f"job {where.job}: the hub was given events again: try again")
        lines, aside = _chosen(where, cursor, rows.behind(cursor.seq), known)
        if aside:
            set_aside.put(*where.name, aside, where.say)
        sizes = dict(cursor.sizes)
        boot = cursor.boot
        items = cursor.items or any(
            shared_items.NAMED in b"\n".join(some) for some in lines.values()
        )
        if lines:
            sizes |= pulled_files.append(*where.name, lines)
            boot = job_cursor.boot()
            told_conflicts.take(where, (line for some in lines.values() for line in some))
        skipped = cursor.skipped and tuple(
            one for one in cursor.skipped if UUID(one).bytes not in set(rows.ids)
        )
        cursor = replace(
            cursor, seq=seq, mark=mark, sizes=sizes, boot=boot, skipped=skipped, items=items
        )
        where.save(cursor)
    return sum(map(len, lines.values())), cursor


def passed_over(where: Where, before: Cursor, stream: Stream) -> Cursor:
    """Go to a stream's end, since its last events were removed from the hub; return the cursor."""
    with where.log_held():
        cursor = where.cursor()
        if cursor is None or cursor.stream != before.stream:
            raise Restored(f"job {where.job}: another process has begun to pull it again")
        if cursor.seq < stream.seq:
            cursor = replace(cursor, seq=stream.seq, mark=stream.mark)
            where.save(cursor)
    return cursor


def _chosen(
    where: Where, cursor: Cursor, rows: Rows, known: Known
) -> tuple[dict[UUID, list[bytes]], list[Aside]]:
    """Return the lines of rows that are to be written, by their hosts; and what is to be set aside."""
    own = where.host.id.bytes
    wanted: Sequence[int]
    if own not in rows.hosts and not known.ids:  # mostly
        wanted = range(len(rows.seqs))
    else:
        wanted = [
            number
            for number, (seq, mark, host, step, identity) in enumerate(
                zip(rows.seqs, rows.marks, rows.hosts, rows.steps, rows.ids, strict=True)
            )
            if (seq <= known.upto or step or host != own)
            and (identity not in known.ids or not _is_again(seq, mark, known))
        ]
    hosts = {raw: UUID(bytes=raw) for raw in {rows.hosts[number] for number in wanted}}
    there = _interrupted(where, cursor, hosts.values())
    there.update(UUID(one).bytes for one in cursor.skipped)
    mine = {rows.ids[n] for n in wanted if rows.hosts[n] == own} if own in hosts else None
    if mine:
        # Of steps, mostly; or this host has shipped it, the hub has lost it, and another host has given
        # it back.
        there |= mine & {
            border.id_of(line, where.job) for line in pulled_files.other_lines(*where.name)
        }
    if there:
        wanted = [number for number in wanted if rows.ids[number] not in there]
    lines: dict[UUID, list[bytes]] = {}
    aside: list[Aside] = []
    faults = _faults(rows, wanted, where.job)
    if len(hosts) == 1 and not faults and not known.cleaned:
        whole = [line for line in map(rows.lines.__getitem__, wanted) if line is not None]
        return (dict.fromkeys(hosts.values(), whole) if whole else {}), []
    for number in wanted:
        line, host = rows.lines[number], hosts[rows.hosts[number]]
        if number in faults or line is None:
            place = f"event {rows.seqs[number]} of host {host} on the hub"
            aside.append(Aside(place, faults[number], line))
        elif not (
            known.cleaned
            and _is_again(rows.seqs[number], rows.marks[number], known)
            and _moment(line, where.job) <= known.cleaned
        ):
            lines.setdefault(host, []).append(line)
    return lines, aside


def _is_again(seq: int, mark: int, known: Known) -> bool:
    return mark < 0 or seq <= known.upto


def _faults(rows: Rows, wanted: Sequence[int], job: str) -> dict[int, str]:
    """Return what is wrong with those rows that are no events of the job."""
    lines = [rows.lines[number] or b"" for number in wanted]
    short: Sequence[int] = wanted
    doubtful: list[int] = []
    if lines and not 0 < min(map(len, lines)) <= max(map(len, lines)) < border.QUICK:
        fits = [0 < len(line) < border.QUICK for line in lines]
        short = [number for number, one in zip(wanted, fits, strict=True) if one]
        doubtful = [number for number, one in zip(wanted, fits, strict=True) if not one]
        lines = [line for line, one in zip(lines, fits, strict=True) if one]
    checked = border.ours(lines, job)
    ids = b"".join([rows.ids[number] for number in short])
    if checked is None or "".join(checked[0]).replace("-", "") != ids.hex():
        doubtful += short
    faults = {}
    for number in doubtful:
        fault = border.fault(rows.lines[number], rows.ids[number], job)
        if fault is not None:
            faults[number] = fault
    return faults


def _moment(line: bytes, job: str) -> int:
    """Return when an event was, in microseconds since 1970; very late where it does not say."""
    at = border.known(line, job).at
    return (clock.parse(at) if at is not None else None) or 1 << 62


def _interrupted(where: Where, cursor: Cursor, hosts: Iterable[UUID]) -> set[bytes | None]:
    """Return the ids of what a pull has written of hosts whose end it did not note."""
    beyond = pulled_files.beyond(*where.name, cursor.sizes, hosts)
    return {border.id_of(line, where.job) for line in beyond}


def wrote(where: Where, stream: Stream, lines: list[bytes]) -> None:
    """Write this host's own events of a step that is committed; the caller holds the claims lock.

    ``stream`` is as `job_streams.append` has returned it. What cannot be written now comes with the
    next pull. Raises `OSError`.
    """
    with where.log_held():
        cursor = where.cursor()
        if (
            cursor is None
            or cursor.again
            or (cursor.hub, cursor.job) != (str(stream.hub), stream.job)
            or cursor.seq != stream.seq - len(lines)
            or any(pulled_files.beyond(*where.name, cursor.sizes, [where.host.id]))
        ):
            return
        sizes = cursor.sizes | pulled_files.append(*where.name, {where.host.id: lines})
        boot = job_cursor.boot()
        where.save(replace(cursor, seq=stream.seq, mark=stream.mark, sizes=sizes, boot=boot))


def shipped(
    where: Where, before: Stream, after: Stream, sent: dict[str, int], elsewhere: dict[str, int]
) -> None:
    """Pass over what this host has just put at the end of a stream out of its own files.

    ``before`` and ``after`` are the stream as it was held, and as it was committed; ``sent`` the bytes
    of files that the hub has by now. Where something was not pulled yet, all is met in its order.
    ``elsewhere`` are events that another host has recorded too, with their numbers: they are here
    already. Raises `OSError`.
    """
    with where.log_held():
        cursor = where.cursor()
        if cursor is None or (cursor.hub, cursor.job) != (str(before.hub), before.job):
            return
        seq, mark = cursor.seq, cursor.mark
        if not cursor.again and (seq, mark) == (before.seq, before.mark):
            seq, mark = after.seq, after.mark
        to_come = [one for one, number in elsewhere.items() if number > cursor.seq]
        skipped = (*cursor.skipped, *(one for one in to_come if one not in cursor.skipped))
        where.save(replace(cursor, seq=seq, mark=mark, sent=cursor.sent | sent, skipped=skipped))


def sync(where: Where) -> None:
    """Make what was pulled survive a loss of power, and note that. Raises `OSError`."""
    cursor = where.cursor()
    if cursor is None or cursor.boot is None or cursor.lost_power():
        return
    pulled_files.sync(*where.name, cursor.sizes)
    with where.log_held():
        if where.cursor() == cursor:
            where.save(replace(cursor, boot=None), durably=True)
