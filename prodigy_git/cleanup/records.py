"""Cleaning session files and event logs by age, into the trash; a running job's are never touched.

Age is what the data says, the time of an event or of a session's end, never a file's mtime.
"""

import os
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.record import clock, files, jsonline
from prodigy_git.store import events, sessions
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Removed:
    """A file that went to the trash (or would): its kind, what it is called, its size in bytes."""

    kind: str
    name: str
    bytes: int
    trash_path: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``clean --json`` prints them."""
        return asdict(self)


def clean_sessions(store: str, older_than: int, *, dry_run: bool, broken: Broken) -> list[Removed]:
    """Move the files of sessions that ended more than ``older_than`` microseconds ago to the trash.

    A session that still has its worktree keeps its file: the worktree is enrolled under it.
    """
    removed = []
    limit = clock.now() - older_than
    for found in sessions.load_all(store, broken):
        ended = found.ended_at
        if ended is None or ended > limit or sessions.enrolled_place(found) is not None:
            continue
        path = layout.session(store, found.id)
        folder = layout.trash(store, found.text("repo") or "unknown", found.id)
        target = _free(f"{folder}/session.json")
        removed.append(Removed("session", found.id, os.path.getsize(path), target))
        if not dry_run:
            lock = files.lock(layout.session_lock(store, found.id))
            try:
                files.make_private(os.path.dirname(target))
                os.rename(path, target)
            finally:
                os.close(lock)
    return removed


def clean_events(store: str, older_than: int, *, dry_run: bool, broken: Broken) -> list[Removed]:
    """Move log files whose every event is older than ``older_than`` microseconds to the trash.

    The log of a job with a session that has not ended is left whole, as is one with a broken line.
    """
    removed = []
    limit = clock.now() - older_than
    troubles: list[str] = []
    running = {
        (f.text("repo"), f.job) for f in sessions.load_all(store, troubles.append) if not f.ended
    }
    for text in troubles:
        broken(f"{text}; no event log is cleaned before that, since its job may be running")
    if troubles:
        return []
    for repo, job in events.jobs(store):
        # Prodigy's own sessions do not say which repository's.
        if (repo, job) in running or (None, job) in running:
            continue
        lock = None if dry_run else files.lock(layout.log_lock(store, repo, job))
        try:
            for path in events.log_files(store, repo, job):
                newest = _newest_if_all_older(path, limit, broken)
                if newest is None:
                    continue
                target = _free(f"{layout.trash(store, repo, job)}/events/{os.path.basename(path)}")
                name = f"{repo}/{job}/{os.path.basename(path)}"
                removed.append(Removed("events", name, os.path.getsize(path), target))
                if not dry_run:
                    _remember(store, repo, job, newest)
                    files.make_private(os.path.dirname(target))
                    os.rename(path, target)
        finally:
            if lock is not None:
                os.close(lock)
    return removed


def _newest_if_all_older(path: str, limit: int, broken: Broken) -> int | None:
    """Return a file's newest moment if it has events, all of them dated and older than ``limit``."""
    troubles: list[str] = []
    newest: int | None = None
    for _, event in events.read_file(path, troubles.append):
        if event.moment is None or event.moment > limit:
            return None
        newest = max(event.moment, newest or 0)
    if troubles and newest is not None:
        broken(f"{troubles[0]}: the file is kept")
    return None if troubles else newest


def _remember(store: str, repo: str, job: str, newest: int) -> None:
    """Note up to when a job's events are gone, so that `verify` does not miss them.

    Before they go: a kill in between only makes `verify` ask for less. The caller holds the log's lock.
    """
    path = layout.cleaned_events(store, repo, job)
    newest = max(newest, cleaned_before(store, repo, job))
    files.replace(path, (jsonline.encode({"before": clock.stamp(newest)}) + "\n").encode("ascii"))


def cleaned_before(store: str, repo: str, job: str) -> int:
    """Return up to when a job's events have been cleaned away, in microseconds since 1970; else 0."""
    try:
        fields = jsonline.decode_object(files.read(layout.cleaned_events(store, repo, job)))
        return clock.parse(str(fields["before"])) or 0
    except (OSError, ValueError, KeyError):
        return 0


def _free(path: str) -> str:
    """Return ``path``, or a name beside it where the trash has that one already."""
    return f"{path}.{clock.stamp(clock.now())}" if os.path.lexists(path) else path
