"""When a job's agents were heard of last: its log read backwards, no further than needed."""

import contextlib
import os
from collections.abc import Iterable, Iterator

from prodigy_git.model.event import Event, parse_line
from prodigy_git.record import files, log
from prodigy_git.store import events

_FURTHER = 2 << 20
"""How many bytes before the limit are read for those who were not heard of since: how long ago it was
is good to know, that it was long ago is known already."""
_FEW = 8  # below which a look for their names costs less than decoding a line


def moments(store: str, repo: str, job: str, wanted: Iterable[str], limit: int) -> dict[str, int]:
    """Return when each of ``wanted`` was heard of last, in microseconds since 1970.

    They are ids of sessions or agents. One that was silent since before ``limit`` may be missing, where
    that was far back in the log. Archives are not looked into.
    """
    names = frozenset(wanted)
    found: dict[str, int] = {}
    if names:
        paths = [p for p in events.log_files(store, repo, job) if not p.endswith(".gz")]
        for changed, path in sorted(((_changed(p), p) for p in paths), reverse=True):
            if len(found) == len(names) and changed < min(found.values()):
                break
            _read_back(path, names, limit, found)
    return found


def names_of(event: Event) -> list[str]:
    """Return whose sign of life an event is: its session's, its agent's."""
    return [name for name in (event.session_id, event.agent_id) if name]


def latest(store: str, jobs: Iterable[tuple[str, str]], count: int) -> list[tuple[str, str, Event]]:
    """Return the last ``count`` events of some (repository, job), in time order, with those."""
    found: list[tuple[int, str, str, Event]] = []
    for repo, job in jobs:
        for path in events.log_files(store, repo, job):
            if not path.endswith(".gz"):
                found += [(event.moment or 0, repo, job, event) for event in _tail(path, count)]
        found.sort(key=lambda one: one[:3])
        del found[:-count]
    return [one[1:] for one in found]


def _tail(path: str, count: int) -> list[Event]:
    """Return the last events of a file, the last one first."""
    some: list[Event] = []
    with contextlib.suppress(FileNotFoundError), _opened(path) as (descriptor, end):
        for line in log.lines_backwards(descriptor, end):
            with contextlib.suppress(ValueError):
                some.append(parse_line(line))
            if len(some) == count:
                break
    return some


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """Give a file's descriptor, and the offset behind its last whole line."""
    descriptor = files.open_regular(path)
    try:
        yield descriptor, _whole(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns // 1000
    except FileNotFoundError:
        return 0  # archived since


def _read_back(path: str, names: frozenset[str], limit: int, found: dict[str, int]) -> None:
    with contextlib.suppress(FileNotFoundError), _opened(path) as (descriptor, end):
        missing = set(names)
        needles = [name.encode() for name in names] if len(names) <= _FEW else []
        left = _FURTHER
        for line in log.lines_backwards(descriptor, end):
            if len(missing) <= _FEW and not any(needle in line for needle in needles):
                left -= len(line)
                if left < 0 and (log.stamp_of(line) or limit) < limit:
                    break
                continue
            try:
                event = parse_line(line)
            except ValueError:
                continue  # whoever reads the log reports it
            moment = event.moment
            if moment is None:
                continue
            if moment < limit:
                left -= len(line)
                if left < 0:
                    break
            if len(found) == len(names) and moment < min(found.values()):
                break
            for name in names.intersection(names_of(event)):
                found[name] = max(moment, found.get(name, 0))
                missing.discard(name)
            if len(missing) <= _FEW:
                needles = [one.encode() for one in missing]
            if not missing:
                break


def _whole(descriptor: int, size: int) -> int:
    """Return the offset behind the last whole line."""
    at = size
    while at > 0:
        begin = max(0, at - 8192)
        cut = os.pread(descriptor, at - begin, begin).rfind(b"\n")
        if cut >= 0:
            return begin + cut + 1
        at = begin
    return 0
