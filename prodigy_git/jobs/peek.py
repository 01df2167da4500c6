"""Looking at a job's state without keeping anybody from changing it."""

import contextlib
import os
import time
from collections.abc import Iterator

from prodigy_git import glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs import prodigy_runs
from prodigy_git.jobs.index import Index
from prodigy_git.record import files
from prodigy_git.store.events import Broken

_ATTEMPTS = 5
_MOST = 1 << 30  # bytes of an index, which has all of a job's items


@contextlib.contextmanager
def opened(store: str, repo: str, job: str, broken: Broken) -> Iterator[Index]:
    """Open a copy of a job's index in memory, up to its log: no lock is taken, nothing is written.

    For those who only look: no claim waits for them, and what is dead is not ended. A MapReduce of
    Prodigy's is a job, too. Raises `ProdigyError` where there is no such job.
    """
    run = prodigy_runs.find(store, repo, job, broken)
    found = None if run is None else prodigy_runs.index_of(store, repo, run, broken)
    if found is None:
        if not indexes.exists(store, repo, job):
            raise ProdigyError(f"no job {job}: 'prodigy-git job list' shows what there is")
        index = layout.index(store, repo, job)
        found = indexes.in_memory(store, repo, job, *_copied(index), broken)
    try:
        if found.fault is not None:
            broken(found.fault)
        yield found
    finally:
        found.close()


def _copied(path: str) -> tuple[bytes | None, int]:
    """Return the bytes of an index that nobody wrote to meanwhile, and its inode; None: none to be had.

    A reader's lock would make whoever commits wait.
    """
    for _ in range(_ATTEMPTS):
        try:
            inode = os.stat(path).st_ino
            before = glance.generation(path)
            data = files.read(path, _MOST) if before is not None else b""
            unchanged = glance.generation(path) == before and os.stat(path).st_ino == inode
            if before is not None and unchanged:
                return data, inode
        except OSError:
            return None, 0
        time.sleep(0.001)
    return None, 0  # somebody is at it all the time, or was killed and left its journal
