"""How many events there are of each kind, agent, item …, and when the first and the last was.

Counting needs no order in time, so files are read as they lie, a block at a time; large logs by
several processes at once.
"""

import contextlib
import os
import signal
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from prodigy_git.model.blocks import decoded
from prodigy_git.model.event import Event, parse_line
from prodigy_git.model.selection import Selection
from prodigy_git.record import archived, clock, files
from prodigy_git.store.stream import Broken, blocks, unordered

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

By = Literal["type", "agent", "hour", "day", "item", "session", "job"]
Log = tuple[str, str]
"""(what to call its job, path of the file)."""


@dataclass
class Tally:
    """How many events, and when (in the form that we write) the first and the last of them was."""

    count: int = 0
    first: str | None = None
    last: str | None = None

    def add(self, count: int, first: str | None, last: str | None) -> None:
        """Take in what another stretch of the log has."""
        self.count += count
        if first is not None and (self.first is None or first < self.first):
            self.first = first
        if last is not None and (self.last is None or last > self.last):
            self.last = last


Tallies = dict[str | None, Tally]
"""By key; None is for the events that have none."""

_LARGE = 48 << 20
"""From this size on, in bytes, a log is worth a second process."""
_SHARE = 8 << 20
"""What a process takes at a time, in bytes."""
_NAMED = 100
"""How many broken lines of a share are reported one by one."""
_LONG = 4000  # as in `model.event`, which says what longer lines could hide
_FEW = 16
_decode_lines = msgspec.json.Decoder(Event).decode_lines


_FIELD: dict[By, str] = {"agent": "agent_id", "item": "item_id", "session": "session_id"}
"""Which field is counted by."""


@lru_cache
def _decoder(field: str | None) -> Callable[[bytes], list[Event]]:
    """Return what decodes lines into as little of an event as counting needs.

    All events counted, that is type, time and ``field``: a third less to do. What other fields
    hold is not looked at then, as long as it is JSON.
    """
    seen = msgspec.defstruct(
        "Seen",
        [(name, str, "") for name in ("type", "event_type", "timestamp")]
        + ([] if field is None else [(field, str | None, None)]),
        gc=False,
    )
    return msgspec.json.Decoder(seen).decode_lines  # type: ignore[return-value]


def count(
    logs: Iterable[Log], by: By, wanted: Selection, broken: Broken, workers: int = 1
) -> Tallies:
    """Count the events of log files that are ``wanted``, by one of their properties.

    With more than one of ``workers``, large logs are read by so many processes: only for a caller
    without threads. What cannot be read is reported, file by file and line by line.
    """
    found: Tallies = {}
    shares: list[_Share] = []
    for job, path in logs:
        if wanted.needle() is not None:
            # Most lines are passed over unread, which no number of processes beats.
            events = unordered(path, broken, wanted)
            while some := list(islice(events, 1000)):
                _one_by_one(found, some, job, by)
        else:
            shares += _shares(job, path)
    workers = min(workers, sum(share.size for share in shares) // _LARGE + 1)
    known = _by_many(shares, by, wanted, workers, found) if workers > 1 else {}
    lines = _Lines()
    for number, share in enumerate(shares):
        reports = known.pop(number, None)
        if reports is None:
            reports = _of_share(share, by, wanted, found)
        for offset, text in reports:
            where = "" if offset is None else f":{lines.at(share.path, offset)}"
            broken(f"{share.path}{where}: {text}")
    return found


class _Share(NamedTuple):
    """A stretch of a file that begins and ends with a line; to its end where ``end`` is None."""

    job: str
    path: str
    start: int
    end: int | None
    size: int


_Reports = list[tuple[int | None, str]]
"""(offset of the line, or None; text) of what is broken."""


class _Lines:
    """The numbers of lines at given offsets, which are worked out only where something is broken."""

    def __init__(self) -> None:
        self._path, self._number = "", 1
        self._blocks: Iterator[tuple[int, bytes]] = iter(())
        self._block: tuple[int, bytes] = (0, b"")

    def at(self, path: str, offset: int) -> int:
        """Return the number of the line at an offset, behind that of the call before."""
        if path != self._path:
            self._path, self._number, self._block = path, 1, (0, b"")
            self._blocks = blocks(path)
        start, block = self._block
        while start + len(block) < offset:
            self._number += block.count(b"\n")
            start, block = self._block = next(self._blocks)
        return self._number + block.count(b"\n", 0, offset - start)


def _shares(job: str, path: str) -> Iterator[_Share]:
    """Yield a file's shares; an archive, which can be read from its beginning only, is one."""
    with contextlib.suppress(OSError):
        size = os.stat(path).st_size
        start = 0
        if not path.endswith(archived.ENDING):
            with files.stream(path) as stream:
                while size - start > 2 * _SHARE:
                    stream.seek(start + _SHARE)
                    stream.readline()
                    end = stream.tell()
                    yield _Share(job, path, start, end, end - start)
                    start = end
        if size > start or start == 0:
            yield _Share(job, path, start, None, max(0, size - start))
        return
    # Archived since the folder was listed, or not to be read: which of them, reading says.
    yield _Share(job, path, 0, None, 0)


def _of_share(share: _Share, by: By, wanted: Selection, found: Tallies) -> _Reports:
    """Add what a share has to ``found``; return what is broken."""
    reports: _Reports = []
    unnamed = 0
    everything = wanted == Selection()
    decode = _decoder(_FIELD.get(by)) if everything else _decode_lines
    try:
        for offset, block in blocks(share.path, share.start, share.end):
            events = decoded(block, decode, _LONG)
            if events is not None:
                if not everything:
                    events = list(filter(wanted.fits, events))
                _together(found, events, share.job, by)
                continue
            slowly = []
            *whole, rest = block.split(b"\n")
            for line in whole:
                start, offset = offset, offset + len(line) + 1
                if not line or line.isspace():
                    continue
                try:
                    event = parse_line(line)
                except ValueError as error:
                    if len(reports) < _NAMED:
                        reports.append((start, f"not an event ({error}), skipped"))
                    else:
                        unnamed += 1
                else:
                    if everything or wanted.fits(event):
                        slowly.append(event)
            _one_by_one(found, slowly, share.job, by)
            if rest:
                reports.append((offset, "unfinished last line, not read yet"))
    except (OSError, EOFError, zlib.error) as error:
        reports.append((None, f"cannot be read ({error})"))
    if unnamed:
        reports.append((None, f"{unnamed} more lines are not events, skipped"))
    return reports


def _together(found: Tallies, events: list[Event], job: str, by: By) -> None:
    """Count events that all have a timestamp in the form that we write."""
    stamps: list[str] = [event.timestamp for event in events]  # type: ignore[misc]  # all have one
    keys: list[str | None]
    if by == "type":
        keys = [event.type for event in events]
    elif by in ("hour", "day"):
        keys = [_span(stamp, by) for stamp in stamps]
    elif by == "job":
        keys = [job] * len(events)
    else:
        keys = list(map(attrgetter(_FIELD[by]), events))
    if sorted(stamps) == stamps:  # then the first of a key comes first
        numbers = Counter(keys)
        firsts = _where(keys, numbers)
        keys.reverse()
        lasts = _where(keys, numbers)
        for key, number in numbers.items():
            first, last = stamps[firsts[key]], stamps[-1 - lasts[key]]
            found.setdefault(key, Tally()).add(number, first, last)
    else:
        for key, stamp in zip(keys, stamps, strict=True):
            found.setdefault(key, Tally()).add(1, stamp, stamp)


def _where(keys: list[str | None], which: Iterable[str | None]) -> dict[str | None, int]:
    """Return the place of the first of each of ``which`` in a list."""
    which = list(which)
    if len(which) < _FEW:
        return {key: keys.index(key) for key in which}
    places = range(len(keys) - 1, -1, -1)
    return dict(zip(reversed(keys), places, strict=True))


def _one_by_one(found: Tallies, events: list[Event], job: str, by: By) -> None:
    for event in events:
        moment = event.moment
        stamp = None if moment is None else clock.stamp(moment)
        if by == "type":
            key: str | None = event.type
        elif by in _FIELD:
            key = getattr(event, _FIELD[by])
        elif by == "job":
            key = job
        else:
            key = None if stamp is None else _span(stamp, by)
        found.setdefault(key, Tally()).add(1, stamp, stamp)


def _span(stamp: str, by: By) -> str:
    return f"{stamp[:13]}:00Z" if by == "hour" else stamp[:10]


_TICKET = struct.Struct("<I")


def _by_many(
    shares: list[_Share], by: By, wanted: Selection, workers: int, found: Tallies
) -> dict[int, _Reports]:
    """Add to ``found`` what shares have; ``workers`` processes, this one among them, work at once.

    Returns what was read, by the share's number. Which is next is read from a pipe that has all the
    numbers: nobody waits for anybody, so nobody hangs whoever is killed. What a process that was
    killed had taken is missing from the result, and has to be read again.
    """
    import multiprocessing  # takes longer to import than a small log to be read

    tickets, numbers = os.pipe()
    # So few that any system's pipe holds them. Of larger logs the rest is read by this process.
    many = range(min(len(shares), 1000))
    os.write(numbers, b"".join(map(_TICKET.pack, many)))
    os.close(numbers)
    fork = multiprocessing.get_context("fork")
    children = []
    try:
        for _ in range(workers - 1):
            here, there = fork.Pipe(duplex=False)
            child = fork.Process(target=_tell, args=(tickets, shares, by, wanted, there))
            child.start()
            there.close()
            children.append((child, here))
        read = _work(tickets, shares, by, wanted, found)
        for _, here in children:
            with contextlib.suppress(EOFError, OSError):
                tallies, more = here.recv()
                for key, values in tallies:
                    found.setdefault(key, Tally()).add(*values)
                read |= more
    finally:
        os.close(tickets)
        for child, here in children:
            here.close()
            child.terminate()
            child.join()
    return read


def _work(
    tickets: int, shares: list[_Share], by: By, wanted: Selection, found: Tallies
) -> dict[int, _Reports]:
    read = {}
    while ticket := os.read(tickets, _TICKET.size):
        (number,) = _TICKET.unpack(ticket)
        read[number] = _of_share(shares[number], by, wanted, found)
    return read


def _tell(
    tickets: int, shares: list[_Share], by: By, wanted: Selection, there: "Connection"
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent gets it too, and ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    found: Tallies = {}
    read = _work(tickets, shares, by, wanted, found)
    with contextlib.suppress(OSError):
        there.send(([(k, (t.count, t.first, t.last)) for k, t in found.items()], read))
