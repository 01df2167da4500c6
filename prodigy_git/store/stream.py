"""Reading logs that are larger than memory: block by block, in time order, past what is broken.

A log of a gigabyte is listed in as much memory as one of a megabyte. Files whose own order is time
order (ours are) are merged as they are read. Whether one is has to be known before its first event is
passed on, so each is looked through first, at its timestamps alone; the few events that a filter
leaves are kept from that look instead of read again.
"""

import contextlib
import errno
import heapq
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, repeat
from operator import itemgetter
from typing import IO

import msgspec

from prodigy_git.model.blocks import are_ours
from prodigy_git.model.event import Event, parse_line, parse_lines
from prodigy_git.model.selection import Selection
from prodigy_git.record import archived, clock, files, log
from prodigy_git.store import many_logs
from prodigy_git.store.broken import Broken as Broken

Placed = tuple[int, int, int, Event]
"""An event with its place: moment (microseconds since 1970), number of the file, offset of the line."""

_BLOCK = 1 << 17
"""In bytes. What is made of a block fits into a processor's cache; 1 MiB takes 1.7 times as long."""
_KEPT = 20_000
"""How many events may be kept in memory to be sorted there, all files of a merge together."""

_UNREADABLE = (OSError, EOFError, zlib.error)


def blocks(path: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, block) of a file's text: whole lines, but for what an unfinished last one has.

    From ``start``, which a line begins at, and no byte from ``end`` on. Raises as reading does.
    """
    stream, plain = opened(path)
    return blocks_of(many_logs.of(stream, path, plain=plain), plain, start, end)


def blocks_of(
    stream: many_logs.Text, plain: bool, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield what `blocks` does of an open file, ``plain`` or an archive; close it at the end."""
    pieces: list[bytes] = []  # of a line that is longer than a block
    with stream:
        stream.seek(start)
        position = start
        while not stream.closed:
            size = _BLOCK if end is None else min(_BLOCK, end - position)
            data = stream.read(size)
            position += len(data)
            if not data or (plain and len(data) < _BLOCK):
                stream.close()  # its end: thousands of small files may be open in a merge
            cut = data.rfind(b"\n") + 1
            if cut:
                block = b"".join((*pieces, data[:cut]))
                pieces = [data[cut:]] if cut < len(data) else []
                yield start, block
                start += len(block)
            elif data:
                pieces.append(data)
                if len(pieces) * _BLOCK > log.LONGEST:
                    raise OSError(errno.EFBIG, "no line ends here: it has a hole, or is no log")
    if pieces:
        yield start, b"".join(pieces)


def raw_lines(
    path: str, start: int = 0, unfinished: Callable[[int, bytes], None] | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield (offset of its end, line without newline) of a plain or gzipped file, blank lines too.

    Offsets are in bytes of the text; reading goes on at ``start``, the end of a line. A last line
    without newline is not yielded, since its writer may be about to go on; ``unfinished`` gets its
    offset and what there is of it. Raises `OSError`, `EOFError`, `zlib.error` as reading does.
    """
    for offset, block in blocks(path, start):
        *lines, rest = block.split(b"\n")
        for line in lines:
            offset += len(line) + 1
            yield offset, line
        if rest and unfinished is not None:
            unfinished(offset, rest)


def read_file(path: str, broken: Broken) -> Iterator[tuple[int, Event]]:
    """Yield (line number, event) of one file in its own order.

    A line that is no event is reported and skipped. A last line without newline is not yet an event:
    its writer may be about to go on.
    """
    number = 0
    lines = raw_lines(
        path,
        unfinished=lambda *_: broken(f"{path}:{number + 1}: unfinished last line, not read yet"),
    )
    try:
        for _, line in lines:
            number += 1
            if line and not line.isspace():
                try:
                    event = parse_line(line)
                except ValueError as error:
                    broken(f"{path}:{number}: not an event ({error}), skipped")
                else:
                    yield number, event
    except _UNREADABLE as error:
        broken(f"{path}: cannot be read ({error})")


def unordered(path: str, broken: Broken, wanted: Selection | None = None) -> Iterator[Event]:
    """Yield the events of one file in its own order, as `merge` does, which sorts them."""
    return map(itemgetter(3), _placed(_File(path, wanted), broken, timed=False))


def merge(
    paths: Iterable[str],
    broken: Broken,
    wanted: Selection | None = None,
    ends: Mapping[str, int] | None = None,
) -> Iterator[Event]:
    """Yield the events of files by timestamp, then by the files' order, then by position.

    An event without a readable timestamp keeps its place behind the one before it in its file. All
    events, or those ``wanted``. Where these are of one type, agent, session or item, most lines are
    passed over unread, and what is broken in them goes unnoticed. Of each file what lies before the
    offset in ``ends``; without them what there is now.
    """
    found: list[_Known] = []
    room = _KEPT
    for number, path in enumerate(paths):
        end = None if ends is None else ends.get(path, 0)
        known = _look(_File(path, wanted, number, end), room, broken)
        if known is not None:
            room -= len(known.kept)
            found.append(known)
    found.sort(key=lambda known: (known.first, known.file.number))
    begin = 0
    while begin < len(found):
        # Those that overlap in time go together; most often it is one alone.
        last = found[begin].last
        behind = begin + 1
        while behind < len(found) and found[behind].first <= last:
            last = max(last, found[behind].last)
            behind += 1
        streams = [
            _in_order(known, broken, timed=behind - begin > 1) for known in found[begin:behind]
        ]
        yield from map(itemgetter(3), heapq.merge(*streams) if len(streams) > 1 else streams[0])
        begin = behind


@dataclass(frozen=True)
class _File:
    """What is to be read: of which file, up to which offset, which events."""

    path: str
    wanted: Selection | None = None
    number: int = 0
    end: int | None = None


@dataclass(frozen=True)
class _Known:
    """What a first look has found out: when a file's events begin and end, perhaps the events."""

    file: _File
    first: int
    last: int
    ordered: bool
    kept: list[Placed]


def _look(file: _File, room: int, broken: Broken) -> _Known | None:
    """Look through a file; None where it has none of the events."""
    if file.end is None and not file.path.endswith(archived.ENDING):
        # What is appended from here on is not part of it. An archive does not grow.
        with contextlib.suppress(OSError):
            file = replace(file, end=os.stat(file.path).st_size)
    reports: list[str] = []
    kept = list(islice(_placed(file, reports.append), room + 1))
    if len(kept) > room:
        return _survey(file)
    for report in reports:
        broken(report)
    kept.sort()
    return _Known(file, kept[0][0], kept[-1][0], True, kept) if kept else None


def _survey(file: _File) -> _Known:
    """Find out when a file's events begin and end and whether they are in order, keeping none."""
    span = _quick(file) if file.wanted is None else None
    if span is not None:
        return _Known(file, *span, True, [])
    events = _placed(file, lambda _: None)
    first = last = next(events)[0]
    ordered = True
    for moment, _, _, _ in events:
        ordered = ordered and moment >= last
        first, last = min(first, moment), max(last, moment)
    return _Known(file, first, last, ordered, [])


class _Stamp(msgspec.Struct, gc=False):
    timestamp: str


_stamp_of = msgspec.json.Decoder(_Stamp).decode


def _quick(file: _File) -> tuple[int, int] | None:
    """Return first and last moment of a file whose every line has a stamp of our form, in order.

    None for any other. Stamps of that form sort as text, which is looked at for a block at a time:
    this sees every line of the largest logs.
    """
    first = last = ""
    try:
        for _, block in blocks(file.path, end=file.end):
            stamps = [_stamp_of(line).timestamp for line in block.split(b"\n")[:-1]]
            if not are_ours(stamps):
                return None
            # Such as have the right form and are no time, as the 99th hour: in tens of seconds, since
            # these are few.
            for tens in {stamp[:18] for stamp in stamps}:
                datetime.fromisoformat(f"{tens}0")
            if sorted([last, *stamps]) != [last, *stamps]:
                return None
            first, last = first or stamps[0], stamps[-1] if stamps else last
    except (*_UNREADABLE, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    low, high = clock.parse(first), clock.parse(last)
    return None if low is None or high is None else (low, high)


def _in_order(known: _Known, broken: Broken, *, timed: bool) -> Iterator[Placed]:
    """Yield a file's events sorted by moment and position."""
    if known.kept:
        return iter(known.kept)
    if known.ordered:
        return _placed(known.file, broken, timed=timed)
    return _by_index(known.file, broken)


def _by_index(file: _File, broken: Broken) -> Iterator[Placed]:
    """Yield the events of a file that is in no order: an index in memory, the lines on disk."""
    # One number for both, since tuples would take four times the memory.
    index = [moment << 48 | start for moment, _, start, _ in _placed(file, broken)]
    index.sort()
    try:
        with _seekable(file.path) as stream:
            for entry in index:
                start = entry & (1 << 48) - 1
                stream.seek(start)
                yield entry >> 48, file.number, start, parse_line(stream.readline())
    except (*_UNREADABLE, ValueError) as error:  # it was readable a moment ago
        broken(f"{file.path}: cannot be read ({error})")


def _seekable(path: str) -> IO[bytes]:
    """Open a file's text; that of an archive as a temporary file, as far as it can be read."""
    stream, plain = opened(path)
    if plain:
        return stream
    stream.close()
    import tempfile

    text = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    with contextlib.suppress(*_UNREADABLE):
        for _, block in blocks(path):
            text.write(block)
    return text


def _placed(file: _File, broken: Broken, *, timed: bool = True) -> Iterator[Placed]:
    """Yield a file's events in its own order; with moment 0 unless ``timed``."""
    wanted = file.wanted
    needle = None if wanted is None else wanted.needle()
    moment = lines = 0
    try:
        for offset, block in blocks(file.path, end=file.end):
            if wanted is None and not timed:
                events = parse_lines(block.split(b"\n")[:-1]) if block.endswith(b"\n") else None
                if events is not None:
                    yield from zip(repeat(0), repeat(file.number), repeat(offset), events)
                    lines += len(events)
                    continue
            known = counted = 0  # up to where in the block ``moment`` holds, and lines are counted
            for start, line in _lines(block, needle):
                try:
                    event = parse_line(line)
                except ValueError as error:
                    lines += block.count(b"\n", counted, start)
                    counted = start
                    broken(f"{file.path}:{lines + 1}: not an event ({error}), skipped")
                    continue
                if timed:
                    own = event.moment
                    if own is not None:
                        moment = own
                    elif needle is not None:
                        moment = _moment_before(block, start, known, moment)
                    known = start
                if wanted is None or wanted.fits(event):
                    yield moment, file.number, offset + start, event
            lines += block.count(b"\n", counted)
            if timed and needle is not None:
                moment = _moment_before(block, len(block), known, moment)
            if not block.endswith(b"\n"):
                broken(f"{file.path}:{lines + 1}: unfinished last line, not read yet")
    except _UNREADABLE as error:
        broken(f"{file.path}: cannot be read ({error})")


def _moment_before(block: bytes, stop: int, known: int, moment: int) -> int:
    """Return the moment of the last dated event that begins in ``block[known:stop]``; else ``moment``.

    This is how an event without timestamp gets its place where those before it were passed over.
    """
    while stop > known:
        start = block.rfind(b"\n", 0, stop - 1) + 1
        try:
            found = parse_line(block[start:stop]).moment if block[stop - 1] == 0x0A else None
        except ValueError:
            found = None
        if found is not None:
            return found
        stop = start
    return moment


def _lines(block: bytes, needle: bytes | None) -> Iterator[tuple[int, bytes]]:
    """Yield (start, line) of a block's whole lines; of those that may hold ``needle``, if it is given.

    A line may also hold it in escapes, as ``\\u0041gent``: any with an escaped letter is yielded.
    """
    if needle is None:
        start = 0
        for line in block.split(b"\n")[:-1]:
            if line and not line.isspace():
                yield start, line
            start += len(line) + 1
        return
    stop = 0
    plain = block.find(needle)
    # Searched for a byte is ten times as fast, and most blocks of most logs have none.
    escaped = block.find(_ESCAPE) if b"\\" in block else -1
    while plain >= 0 or escaped >= 0:
        at = min(plain, escaped) if plain >= 0 and escaped >= 0 else max(plain, escaped)
        start, stop = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at) + 1
        if not stop:
            return
        yield start, block[start : stop - 1]
        if 0 <= plain < stop:
            plain = block.find(needle, stop)
        if 0 <= escaped < stop:
            escaped = block.find(_ESCAPE, stop)


_ESCAPE = b"\\u00"


def opened(path: str) -> tuple[IO[bytes], bool]:
    """Open a log file; say whether it is a plain one. Raises `OSError`."""
    if not path.endswith(archived.ENDING):
        try:
            return files.stream(path), True
        except FileNotFoundError:
            path += archived.ENDING  # archived since the folder was listed, or gone
            if not os.path.exists(path):
                raise
    return archived.stream(path), False  # type: ignore[return-value]
