"""Bringing a job's state up to its log: from a position on, or from the beginning."""

import os

import msgspec

from prodigy_git.jobs import books, fold, steps
from prodigy_git.record import archived, files
from prodigy_git.store import events
from prodigy_git.store.events import Broken

_DIGESTED = 256  # bytes before an offset, which tell one log from another


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """How far a file has been read: an offset in bytes, and a digest of what is before it."""

    offset: int
    digest: str
    packed: bool = False
    """It was an archive, which does not grow: all of it has been read."""


Position = dict[str, Mark]
"""How far each of a log's files has been read, by `events.position_name`."""


def whole(store: str, repo: str, job: str, broken: Broken) -> books.State:
    """Return the state that all of a job's log comes to."""
    state = books.State(books.Job(job))
    advance(state, store, repo, {}, broken)
    return state


def advance(
    state: books.State, store: str, repo: str, position: Position, broken: Broken
) -> Position:
    """Bring ``state`` from ``position`` to the end of its job's log, and return that position.

    Lines that hold no event are reported to ``broken`` and skipped; an unfinished last line is left
    for the next time.
    """
    reached: Position = {}
    job = state.job
    for path in events.log_files(store, repo, job.job_id):
        name = events.position_name(path)
        mark = position.get(name)
        packed = path.endswith(archived.ENDING)
        if mark is not None and (mark.packed if packed else mark.offset == _size(path)):
            reached[name] = mark
            continue
        start = mark.offset if mark is not None else 0
        ends = [start]
        for found in steps.read(path, start, broken, ends.append):
            stamps = [step.timestamp for step in found if step.timestamp is not None]
            if stamps:
                first, last = min(stamps), max(stamps)
                job.started_at = min(job.started_at, first) if job.started_at else first
                job.updated_at = max(job.updated_at, last)
            fold.apply(state, found)
        reached[name] = Mark(ends[-1], "" if packed else _digest(path, ends[-1]), packed)
    return reached


def holds(store: str, repo: str, job: str, position: Position) -> bool:
    """Whether a job's log still begins with what was read up to ``position``.

    It does not after a loss of power that took the log's last lines, or where somebody changed them.
    """
    paths = events.log_files(store, repo, job)
    for path in paths:
        mark = position.get(events.position_name(path))
        if mark is None or path.endswith(archived.ENDING):
            continue
        size = _size(path)
        if size < mark.offset:
            return False
        # Files other than the last do not change, and there may be many of them.
        looked_at = (size > mark.offset or path == paths[-1]) and not mark.packed
        if looked_at and _digest(path, mark.offset) != mark.digest:
            return False
    return True


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0  # archived or cleaned since the folder was listed


def _digest(path: str, offset: int) -> str:
    begin = max(0, offset - _DIGESTED)
    try:
        descriptor = files.open_regular(path)
    except FileNotFoundError:
        return ""
    try:
        return files.sha1_hex(os.pread(descriptor, offset - begin, begin))
    finally:
        os.close(descriptor)
