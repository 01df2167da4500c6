"""Who has claimed an item, and whether they are still there.

An owner is a process; or the processes that hold a lock together: `hold` takes one, and whatever
inherits its descriptor holds it on, also when the process that took it is killed (flock(2): the lock
goes when the last descriptor of that opening is closed).
"""

import contextlib
import fcntl
import os
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files

_CLOCK_TICK = 0.02  # seconds by which two readings of a process's start may differ


@dataclass(frozen=True)
class Owner:
    """A process; with ``lock``, all that hold the lock of this number, whose file says ``nonce``."""

    host: str
    pid: int
    pid_started: float | None
    lock: int | None = None
    nonce: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what AgentStarted's ``owner`` holds."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def of_process(pid: int) -> Owner:
    """Return a process as an owner. Raises `ProdigyError` where there is none."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error as error:
        raise ProdigyError(f"no process {pid} to own the item") from error
    return Owner(os.uname().nodename, pid, started)


def hold(store: str, repo: str, job: str) -> tuple[Owner, int]:
    """Take one of the job's owner locks; return the owner and the descriptor that holds the lock.

    The descriptor is not inherited unless it is passed on. There are as many locks as ever were held
    at once. Raises `OSError`.
    """
    slot = 0
    while True:
        path = layout.owner_lock(store, repo, job, slot)
        try:
            descriptor = files.lock(path, 0)
        except files.Busy:
            slot += 1
            continue
        nonce = os.urandom(8).hex()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, nonce.encode("ascii"), 0)
        mine = of_process(os.getpid())
        return Owner(mine.host, mine.pid, mine.pid_started, slot, nonce), descriptor


def alive(store: str, repo: str, job: str, owner: dict[str, Any]) -> bool | None:
    """Whether an owner, as an event has it, is still there; None where that cannot be told here.

    It cannot for a process of another host. A lock can be asked wherever the store is.
    """
    lock, nonce = owner.get("lock"), owner.get("nonce")
    if isinstance(lock, int) and 0 <= lock < 1 << 31 and isinstance(nonce, str):
        return _is_held(layout.owner_lock(store, repo, job, lock), nonce)
    pid, started = owner.get("pid"), owner.get("pid_started")
    if owner.get("host") != os.uname().nodename or not isinstance(pid, int):
        return None
    try:
        process = psutil.Process(pid)
        begun = process.create_time()
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OverflowError, ValueError):
        return None
    return not isinstance(started, int | float) or abs(begun - started) <= _CLOCK_TICK


def _is_held(path: str, nonce: str) -> bool:
    try:
        descriptor = files.open_regular(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        with contextlib.suppress(BlockingIOError):
            # Shared: two who look at once do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        # The lock may have had another holder since.
        return os.pread(descriptor, 64, 0) == nonce.encode("ascii", "replace")
    finally:
        os.close(descriptor)
