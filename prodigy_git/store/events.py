"""Reading job logs: every file of a job, every dialect, in time order, past what is broken."""

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from prodigy_git import layout, names
from prodigy_git.model.event import Event, parse_line

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.rotated")

Broken = Callable[[str], None]
"""Called with one line of text for everything that could not be read."""


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
    """Return the paths of a job's log files, sorted by name; names that others chose included."""
    folder = layout.job_log(store, repo, job)
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [f"{folder}/{name}" for name in sorted(found) if _is_log(name)]


def _is_log(name: str) -> bool:
    # What a rotation left may have any name.
    return name.endswith(_ENDINGS[1:]) or (name.startswith("events-") and name.endswith(".jsonl"))


def read_job(store: str, repo: str, job: str, broken: Broken) -> list[Event]:
    """Return a job's events by timestamp, then by position; never by file name.

    An event without a readable timestamp keeps its place behind the one before it in its file.
    """
    placed = []
    for number, path in enumerate(log_files(store, repo, job)):
        moment = 0
        for line, event in read_file(path, broken):
            moment = event.moment if event.moment is not None else moment
            placed.append((moment, number, line, event))
    placed.sort(key=lambda entry: entry[:3])
    return [event for _, _, _, event in placed]


def read_file(path: str, broken: Broken) -> Iterator[tuple[int, Event]]:
    """Yield (line number, event) of one log file.

    A line that does not parse is reported and skipped. A last line without newline is not yet an
    event: its writer may be about to go on.
    """
    try:
        with _open(path) as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    broken(f"{path}:{number}: unfinished last line, not read yet")
                elif line.strip():
                    try:
                        yield number, parse_line(line)
                    except ValueError as error:
                        broken(f"{path}:{number}: not an event ({error}), skipped")
    except (OSError, EOFError, zlib.error) as error:
        broken(f"{path}: cannot be read ({error})")


def _open(path: str) -> IO[bytes]:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # type: ignore[return-value]
