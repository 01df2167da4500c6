"""Reading a transcript: all of it, its last entries, or what has been added since."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from prodigy_git.record import files
from prodigy_git.transcripts import complete_lines, plain, which_program
from prodigy_git.transcripts.complete_lines import Line
from prodigy_git.transcripts.plain import Entry, Record
from prodigy_git.transcripts.which_program import Form

Broken = Callable[[str], None]
_LOOKED_AT = 50
"""Lines at the beginning of a file that may say whose it is."""
_CHECKED = 256
"""Bytes before a place that tell whether the file is still the one that was read up to there."""
_QUIET = 2.0
"""Seconds after which nobody seems to be in the middle of a line."""


@dataclass
class Place:
    """How far a file has been read. ``program`` is whose it should be, where somebody has said so."""

    path: str
    program: str | None = None
    form: Form | None = None
    offset: int = 0
    inode: tuple[int, int] | None = None
    mark: str | None = None
    """What was before ``offset``; None where nobody has looked."""
    told: bool = False
    """Whether something was said to be wrong with it."""
    state: dict[str, Any] = field(default_factory=dict)
    """What its lines so far have told, for the sake of those that follow."""

    def complain(self, broken: Broken, what: str) -> None:
        """Say what is wrong, once for a file."""
        if not self.told:
            self.told = True
            broken(f"{self.path}: {what}")


def mark(place: Place, descriptor: int) -> str:
    """Return what goes with a place; another one later says that the file was written anew."""
    if not place.offset:
        return ""
    size = min(_CHECKED, place.offset)
    return plain.digest(os.pread(descriptor, size, place.offset - size))


@contextlib.contextmanager
def _gone_on(place: Place) -> Iterator[tuple[int, os.stat_result]]:
    """Open a file where ``place`` is, or at its beginning if it was replaced, cut or written anew."""
    with files.solid(place.path) as stream:
        descriptor = stream.fileno()
        about = os.fstat(descriptor)
        file = about.st_dev, about.st_ino
        if (
            place.inode != file
            or about.st_size < place.offset
            or place.mark not in (None, mark(place, descriptor))
        ):
            place.inode, place.offset, place.form = file, 0, None
        try:
            yield descriptor, about
        finally:
            place.mark = mark(place, descriptor)


def recognise(place: Place, descriptor: int) -> Form | None:
    """Return the form of a file, by its first lines; None as long as they do not say."""
    if place.form is None:
        any_object = False
        for line in islice(complete_lines.lines(descriptor), _LOOKED_AT):
            record = None if line.data is None else plain.decoded(line.data)
            any_object |= record is not None
            if record is not None and (found := which_program.of_record(record)) is not None:
                place.form = found
                return found
        record = whole(descriptor)
        if record is not None:
            place.form = which_program.of_record(record)
        elif any_object:
            place.form = which_program.FORMS.get(place.program or "")
    return place.form


def whole(descriptor: int) -> Record | None:
    """Return a file that is one object on many lines; None for any other."""
    size = os.fstat(descriptor).st_size
    first = os.pread(descriptor, 4096, 0)
    head = first.partition(b"\n")[0].strip()
    if not head.startswith(b"{") or plain.decoded(head) is not None or size > files.LARGEST:
        return None
    if len(head) == len(first):  # a long line
        return None
    parts, at = [], 0
    while at < size and (part := os.pread(descriptor, 1 << 20, at)):
        parts.append(part)
        at += len(part)
    return plain.decoded(b"".join(parts))


def records(place: Place, found: Iterator[Line], broken: Broken) -> Iterator[tuple[Record, bytes]]:
    """Yield the objects on lines, each with the line, and note how far that was.

    A last line without newline counts if it is an object: then it is all there. If it is none, somebody
    is writing it, or was cut off: it is read again next time.
    """
    for line in found:
        record = None if line.data is None else plain.decoded(line.data)
        if record is None and not line.whole:
            return
        place.offset = line.end
        if record is not None and line.data is not None:
            yield record, line.data
        elif line.data is None:
            place.complain(broken, f"a line at byte {line.begin} is too long, and left out")
        elif line.data.strip():
            place.complain(broken, f"a line at byte {line.begin} is damaged, and left out")


def entries(
    place: Place, seen: dict[str, Any], broken: Broken, *, last: int | None = None
) -> Iterator[Entry]:
    """Yield what was added to a file since ``place``; with ``last`` only so many from its end.

    A file that was replaced, cut or written anew is read from its beginning; ``seen``, which the
    entries of a session's files share, keeps from telling the same twice. Raises `OSError`, as
    `files.NotRegular` for what is no file and `files.TooLarge` for a file with a hole.
    """
    with _gone_on(place) as (descriptor, about):
        form = recognise(place, descriptor)
        if form is None:
            # As long as its first line is not whole, somebody is about to write it.
            if any(line.whole for line in islice(complete_lines.lines(descriptor), 1)):
                place.complain(broken, "no transcript of a program that is known: --raw shows it")
            return
        if place.offset == 0 and (record := whole(descriptor)) is not None:
            # Its writer makes it anew each time: it has another inode then, or is looked at again.
            yield from _ending(_told(place, record, seen, broken), last)
        elif last is None:
            found = complete_lines.lines(descriptor, place.offset)
            for record, _ in records(place, found, broken):
                yield from _told(place, record, seen, broken)
        else:
            yield from _last(place, descriptor, about.st_size, seen, broken, last)


def _told(place: Place, record: Record, seen: dict[str, Any], broken: Broken) -> list[Entry]:
    assert place.form is not None
    try:
        return place.form.entries(record, seen)
    except RecursionError:
        place.complain(broken, "a line is nested too deeply, and left out")
        return []


def added(place: Place, broken: Broken, *, waiting: bool = False) -> Iterator[bytes]:
    """Yield the lines that were added to any file since ``place``, as they are. Raises as `entries`.

    Who is ``waiting`` for more gets what has no newline yet when it has one, or when nothing was
    written for a while.
    """
    with _gone_on(place) as (descriptor, about):
        for line in complete_lines.lines(descriptor, place.offset):
            if waiting and not line.whole and time.time() - about.st_mtime < _QUIET:
                return
            place.offset = line.end
            if line.data is None:
                place.complain(broken, f"a line at byte {line.begin} is too long, and left out")
            else:
                yield line.data


def _ending(found: list[Entry], last: int | None) -> list[Entry]:
    return found if last is None else found[max(0, len(found) - last) :]


def _last(
    place: Place,
    descriptor: int,
    size: int,
    seen: dict[str, Any],
    broken: Broken,
    last: int,
) -> list[Entry]:
    """Return the last entries: of a file of hundreds of millions of bytes only the end is read."""
    found: list[Entry] = []
    for some in complete_lines.last_lines(descriptor, size):
        before, found = dict(seen), []
        for record, _ in records(place, iter(some), broken):
            found += _told(place, record, before, broken)
        if len(found) >= last:
            break
    seen.update(before)
    return _ending(found, last)
