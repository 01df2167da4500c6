"""Shipping what was recorded on this host to the hub: each event once, whatever is repeated.

How far each file has been shipped stands on the hub, and is changed in the transaction that inserts
the events. Where it does not fit the file (somebody edited it, or the hub is another one), the whole
file is offered, and the hub asked which of its events it has. Where the hub knows more of a file than
there is in it, this store is not the one that shipped it, or was restored from a backup: it needs
another id.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from prodigy_git.errors import ProdigyError
from prodigy_git.hub import (
    border,
    connection,
    job_streams,
    pulled_files,
    pulling,
    set_aside,
    taken_rows,
)
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.job_streams import Row, Stream
from prodigy_git.hub.set_aside import Aside
from prodigy_git.hub.where import Where
from prodigy_git.record import archived, clock, files, log
from prodigy_git.store import events, host_files, stream

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_ROWS = 10_000
_BYTES = 1 << 22
"""What a transaction takes at most, about: it holds the job's row, and others wait for that."""
_WITHIN = 60.0


class Copied(ProdigyError):
    """The hub has more of a file than is in it: this store is a copy, or was restored."""


@dataclass(frozen=True)
class Mark:
    """How far a file was shipped: its size then, and the id of the last event before."""

    size: int = 0
    last_id: str | None = None


Marks = dict[str, Mark]
"""How far each of a job's files was shipped, by `key_of`."""


class _Stale(Exception):
    """Another process has shipped meanwhile."""


@dataclass
class _Batch:
    """What one transaction inserts; ``before`` and ``after`` say how far its files are shipped."""

    rows: dict[str, Row] = field(default_factory=dict)
    before: Marks = field(default_factory=dict)
    after: Marks = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)
    bytes: int = 0
    asking: bool = False
    """Some of it may be on the hub."""

    def begin(self, key: str, before: Mark, after: Mark) -> None:
        """Go on to a file."""
        self.before[key], self.after[key] = before, after

    def is_full(self) -> bool:
        return len(self.rows) >= _ROWS or self.bytes >= _BYTES


def key_of(path: str) -> str:
    """Return the name by which the hub knows a file; an archive has its original's."""
    return os.fsencode(events.position_name(path)).decode("utf-8", "backslashreplace")


def own_files(where: Where) -> list[str]:
    """Return the paths of a job's log files that this host ships, those of other programs too."""
    paths = pulled_files.log_files(*where.name)
    return [path for path in paths if host_files.tag_in(path) is None]


def is_due(where: Where) -> bool:
    """Whether anything was appended since the last time, as far as is known here; asks no server."""
    cursor = where.cursor()
    if cursor is None:
        return True
    return any(cursor.sent.get(key_of(path)) != text_length(path) for path in own_files(where))


def text_length(path: str) -> int:
    """Return how many bytes of text a log file has, in an archive too; -1: it cannot be read."""
    try:
        return archived.length(path) if path.endswith(archived.ENDING) else os.stat(path).st_size
    except OSError:
        return -1


def ship(
    conn: Connection, where: Where, repository: int | None = None, *, most: int | None = None
) -> int:
    """Ship what a job's own files have and the hub has not; return how many events it has taken.

    ``repository`` and the job's stream are as `pulling.stream_of` has it; ``most`` is after how many
    events no more are begun with. Raises `Away`, `Refused`; `Copied`; `OSError`. What was committed by
    then stays.
    """
    done = 0
    while is_due(where):
        there = pulling.stream_of(conn, where, repository)
        pulling.entered(where, there)
        with connection.transaction(conn, within=_WITHIN) as tx:
            marks = marks_of(tx, where.host.id, there.job)
        check_for_copies(where, marks)
        asking = False
        try:
            for batch in _batches(where, marks):
                batch.asking = batch.asking or asking
                count, asking = _committed(conn, where, there, batch)
                done += count
                if most is not None and done >= most:
                    break
        except _Stale:
            continue
        break
    return done


def marks_of(tx: "Raw", host: UUID, job: int) -> Marks:
    """Return how far a host has shipped its files of a job."""
    rows = tx.execute(
        "SELECT file, size, last_id FROM prodigy_hub.shipped WHERE host = %s AND job = %s",
        (host, job),
    )
    return {file: Mark(size, None if one is None else str(one)) for file, size, one in rows}


def check_for_copies(where: Where, marks: Marks) -> None:
    """Raise `Copied` where a file that this host has shipped is not there, and was not cleaned."""
    cleaned = where.cleaned_before()
    last_day = clock.stamp(cleaned)[:10].replace("-", "") if cleaned else ""
    there = {key_of(path) for path in own_files(where)}
    for file in marks:
        if file not in there and log.is_own(file) and file[7:15] > last_day:
            raise Copied(f"job {where.job}: the hub has {file} from this host, and it is not here")


def _batches(where: Where, marks: Marks) -> Iterator[_Batch]:
    """Yield what the files have more than was shipped; the last says which have nothing more."""
    batch = _Batch()
    for path in own_files(where):
        key = key_of(path)
        mark = marks.get(key, Mark())
        try:
            start, anew = _start(where, path, mark)
            if start == text_length(path):
                batch.sent[key] = start
                continue
            if not path.endswith(archived.ENDING):
                _sync(path)
            batch.begin(key, mark, Mark(0 if anew else mark.size, None if anew else mark.last_id))
            batch.asking = batch.asking or anew
            for offset, block in stream.blocks(path, start):
                if batch.is_full():
                    yield batch
                    reached = batch.after[key]
                    batch = _Batch(asking=anew)
                    batch.begin(key, reached, reached)
                _add(where, batch, key, offset, block)
        except FileNotFoundError:
            continue  # archived or cleaned since the folder was listed: another time
        except (OSError, EOFError, zlib.error) as error:
            where.say(f"{path}: not shipped ({error})")
    yield batch


def _sync(path: str) -> None:
    """Make what is shipped survive a loss of power: the hub must not know more of a file than it has.

    Whoever has written it did so, but perhaps has not come to it yet.
    """
    descriptor = files.open_regular(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _start(where: Where, path: str, mark: Mark) -> tuple[int, bool]:
    """Return from where on a file is to be shipped, and whether all of it is offered anew.

    Raises `Copied` where the hub has events of it that it never had.
    """
    length = text_length(path)
    if mark.size == 0:
        return 0, False
    # An archive does not change, and to look into it costs as much as to unpack it.
    if mark.size == length and path.endswith(archived.ENDING):
        return length, False
    wanted = None if mark.last_id is None else UUID(mark.last_id).bytes
    if mark.size <= length and (wanted is None or _last_before(where, path, mark.size) == wanted):
        return mark.size, False
    if where.cleaned_before() or wanted in _ids(where, path):
        return 0, True  # another file of the same name; or somebody has edited it
    raise Copied(
        f"job {where.job}: the hub has events of {os.path.basename(path)} that it never had"
    )


def _last_before(where: Where, path: str, end: int) -> bytes | None:
    """Return the id of the last event that ends before an offset of a file."""
    if path.endswith(archived.ENDING):
        return next((one for one in reversed(list(_ids(where, path, end))) if one), None)
    descriptor = files.open_regular(path)
    try:
        if os.pread(descriptor, 1, end - 1) != b"\n":
            return None
        found = (border.id_of(line, where.job) for line in log.lines_backwards(descriptor, end))
        return next((one for one in found if one is not None), None)
    finally:
        os.close(descriptor)


def _ids(where: Where, path: str, end: int | None = None) -> Iterator[bytes | None]:
    for _, block in stream.blocks(path, 0, end):
        yield from (border.id_of(line, where.job) for line in block.split(b"\n")[:-1])


def _add(where: Where, batch: _Batch, key: str, offset: int, block: bytes) -> None:
    """Add a block's whole lines to a batch, and how far the file is shipped with them."""
    *lines, rest = block.split(b"\n")
    host = where.host.id
    last = batch.after[key].last_id
    checked = border.ours(lines, where.job)
    if checked is not None:
        for line, identity, at in zip(lines, *checked, strict=True):
            batch.rows.setdefault(identity, Row(host, False, identity, at, line))
        last = checked[0][-1] if lines else last
    else:
        place = offset
        for line in lines:
            last = _add_one(where, batch, f"{key} at {place}", line) or last
            place += len(line) + 1
    end = offset + len(block) - len(rest)
    batch.after[key] = Mark(end, last)
    batch.sent[key] = end
    batch.bytes += len(block)


def _add_one(where: Where, batch: _Batch, place: str, line: bytes) -> str | None:
    """Add one line to a batch, and return its id; None where it is no event."""
    if not line or line.isspace():
        return None
    try:
        found = border.known(line, where.job)
    except ValueError as error:
        batch.aside.append(Aside(f"the line of {place}", f"{error}, so it is not shipped", line))
        return None
    at = found.at or clock.stamp(clock.now())
    batch.rows.setdefault(found.id, Row(where.host.id, False, found.id, at, line))
    return found.id


def _committed(conn: Connection, where: Where, there: Stream, batch: _Batch) -> tuple[int, bool]:
    """Insert a batch; return how many events the hub had not, and whether it had some."""
    if batch.aside:
        with where.log_held():
            set_aside.put(*where.name, batch.aside, where.say)
    before = after = there
    elsewhere: dict[str, int] = {}
    count, asking = 0, batch.asking
    while batch.before:
        try:
            with connection.transaction(conn, within=_WITHIN) as tx:
                before = job_streams.held(tx, there.job)
                if (before.hub, before.name) != (there.hub, there.name):
                    raise _Stale
                if _marks_now(tx, where.host.id, there.job, batch.before) != batch.before:
                    raise _Stale
                rows = batch.rows
                if asking:
                    known = job_streams.there(tx, there.job, rows)
                    rows = {one: row for one, row in rows.items() if one not in known}
                    own = {where.host.id, *where.host.earlier}
                    elsewhere = {one: n for one, (n, host) in known.items() if host not in own}
                after = job_streams.append(tx, before, list(rows.values()), again=asking)
                _note(tx, where.host.id, there.job, batch.after)
            count = len(rows)
            break
        except job_streams.Repeated:
            asking = True
    taken_rows.shipped(where, before, after, batch.sent, elsewhere)
    return count, asking


def _marks_now(tx: "Raw", host: UUID, job: int, wanted: Marks) -> Marks:
    now = marks_of(tx, host, job)
    return {file: now.get(file, Mark()) for file in wanted}


def _note(tx: "Raw", host: UUID, job: int, marks: Marks) -> None:
    """Note on the hub how far files are shipped."""
    for file, mark in marks.items():
        tx.execute(
            "INSERT INTO prodigy_hub.shipped (host, job, file, size, last_id)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (host, job, file)"
            " DO UPDATE SET size = excluded.size, last_id = excluded.last_id",
            (host, job, file, mark.size, mark.last_id),
        )
