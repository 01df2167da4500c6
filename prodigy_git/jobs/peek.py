"""Looking at a job's state without keeping anybody from changing it."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator

import msgspec

from prodigy_git import glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs import replay
from prodigy_git.jobs.index import Index
from prodigy_git.record import files
from prodigy_git.store.events import Broken

_ATTEMPTS = 5


@contextlib.contextmanager
def opened(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Open a copy of a job's index in memory, up to its log: no lock is taken, nothing is written.

    For those who only look: no claim waits for them, and what is dead is not ended. Raises
    `ProdigyError` where there is no such job.
    """
    if not indexes.exists(store, repo, job):
        raise ProdigyError(f"no job {job}: 'prodigy-git job list' shows what there is")
    found = None
    copied = _copied(layout.index(store, repo, job))
    if copied:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        try:
            connection.deserialize(copied)
            meta = indexes.meta_of(connection)
            if meta is not None and replay.holds(store, repo, job, meta.position):
                found = Index(store, repo, job, connection, meta)
                indexes.advance(found, broken)
        except (sqlite3.Error, msgspec.MsgspecError, ValueError):
            found = None  # damaged: made anew below
        if found is None:
            connection.close()
    if found is None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        found = indexes.made_anew(store, repo, job, connection, broken)
    try:
        yield found
    finally:
        found.connection.close()


def _copied(path: str) -> bytes | None:
    """Return the bytes of an index that nobody wrote to meanwhile; None where none can be had.

    A reader's lock would make whoever commits wait.
    """
    for _ in range(_ATTEMPTS):
        try:
            before = glance.generation(path)
            data = files.read(path) if before is not None else b""
            if before is not None and glance.generation(path) == before:
                return data
        except OSError:
            return None
        time.sleep(0.001)
    return None  # somebody is at it all the time, or was killed and left its journal
