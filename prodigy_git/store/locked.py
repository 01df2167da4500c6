"""The locks that only the command line takes; hooks never wait for them (DESIGN, section 4)."""

import contextlib
import os
from collections.abc import Iterator

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import locks

_PATIENCE = 120.0  # seconds; a worktree is made in well under one


@contextlib.contextmanager
def repository(store: str, repo: str) -> Iterator[None]:
    """Hold the lock under which worktrees of one repository are made and removed.

    Raises `ProdigyError` where another process holds it for two minutes.
    """
    with _held(layout.repository_lock(store, repo)):
        yield


@contextlib.contextmanager
def job(store: str, repo: str, name: str) -> Iterator[None]:
    """Hold the lock of a job's state, checkpoints and dead letter queue. Raises `ProdigyError`."""
    with _held(layout.job_lock(store, repo, name)):
        yield


@contextlib.contextmanager
def _held(path: str) -> Iterator[None]:
    try:
        lock = locks.take(path, _PATIENCE)
    except locks.Busy:
        raise ProdigyError(
            f"another prodigy-git has held {path} for two minutes: is it stuck?"
        ) from None
    try:
        yield
    finally:
        os.close(lock)
