"""The logs of the jobs: which there are, which files each has, and its events in time order."""

import os
from collections.abc import Iterator

from prodigy_git import layout, names
from prodigy_git.model.event import Event, parse_line
from prodigy_git.record import archived, clock, files, log
from prodigy_git.store import host_files
from prodigy_git.store.stream import Broken as Broken
from prodigy_git.store.stream import merge
from prodigy_git.store.stream import read_file as read_file

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.rotated", ".jsonl.rotated.gz")


_SLACK = 10 * 60 * clock.SECOND
"""By how much the clocks of a session's writers may differ."""


def jobs(store: str, repo: str | None = None, job: str | None = None) -> list[tuple[str, str]]:
    """Return (repository key, job id) of every job that has a log, sorted; filtered by either."""
    found = []
    root = f"{store}/events"
    for key in _folders(root):
        if repo in (None, key):
            found += [(key, name) for name in _folders(f"{root}/{key}") if job in (None, name)]
    return sorted(found)


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [e.name for e in entries if names.is_safe(e.name) and e.is_dir()]
    except FileNotFoundError:
        return []


def log_files(store: str, repo: str, job: str) -> list[str]:
    """Return the paths of a job's log files, sorted by name; names that others chose included.

    Without archives whose originals are still there.
    """
    folder = layout.job_log(store, repo, job)
    try:
        found = set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        f"{folder}/{name}"
        for name in sorted(found)
        if is_log(name) and not _repeats(folder, name, found)
    ]


def own_log_files(store: str, repo: str, job: str) -> list[str]:
    """Return those of a job's log files that hold what happened on this host, sorted by name.

    What other hosts of a hub wrote is no reason to change anything here: sessions of two hosts may have
    one name, and their paths mean nothing here.
    """
    return host_files.own(store, log_files(store, repo, job))


def _repeats(folder: str, name: str, there: set[str]) -> bool:
    original = name.removesuffix(archived.ENDING)
    return original != name and original in there and archived.is_copy(f"{folder}/{original}")


def position_name(path: str) -> str:
    """Return the name by which positions in a log call a file: an archive has its original's."""
    return os.path.basename(path).removesuffix(archived.ENDING)


def of_session(
    store: str,
    repo: str,
    job: str,
    session: str,
    since: int | None,
    broken: Broken,
    *,
    anybodys: bool = False,
) -> list[Event]:
    """Return a session's events in log order; reads back from the end to where the session began.

    Of a session of this host's: what another host wrote of one that has the same name is not its. With
    ``anybodys`` it is.
    ``since`` is when that was, in microseconds since 1970; None where it is not known. What other
    sessions did before costs nothing, however much that is.
    """
    found: list[list[Event]] = []
    limit = None if since is None else since - _SLACK
    for path in (log_files if anybodys else own_log_files)(store, repo, job):
        if limit is not None and last_change(path) < limit:
            continue
        if path.endswith(_ENDINGS[0]):
            found.append(_backwards(path, session, limit))
        else:
            in_file = (event for _, event in read_file(path, broken))
            found.append([event for event in in_file if event.session_id == session])
    return [event for events in found for event in events]


def last_change(path: str) -> int:
    """Return when a log file was written to last, in microseconds since 1970."""
    try:
        return os.stat(path).st_mtime_ns // 1000
    except FileNotFoundError:
        return 1 << 62  # archived since


def _backwards(path: str, session: str, limit: int | None) -> list[Event]:
    """Return a session's events of one file, in its order, of those behind ``limit``."""
    needle = session.encode()
    found = []
    try:
        descriptor = files.open_regular(path)
    except FileNotFoundError:
        return []
    try:
        for line in log.lines_backwards(descriptor, os.fstat(descriptor).st_size):
            stamp = log.stamp_of(line)
            if limit is not None and stamp is not None and stamp < limit:
                break
            if needle in line:
                try:
                    event = parse_line(line)
                except ValueError:
                    continue  # reading the whole log reports it
                if event.session_id == session:
                    found.append(event)
    finally:
        os.close(descriptor)
    return found[::-1]


def is_log(name: str) -> bool:
    """Whether a file in a job's log folder is called as a log, ours or another program's."""
    # What a rotation left may have any name.
    return name.endswith(_ENDINGS[1:]) or (name.startswith("events-") and name.endswith(".jsonl"))


def read_job(store: str, repo: str, job: str, broken: Broken) -> Iterator[Event]:
    """Yield a job's events by timestamp, then by position; never by file name. See `stream.merge`."""
    return merge(log_files(store, repo, job), broken)
