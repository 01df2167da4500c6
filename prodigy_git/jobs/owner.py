"""Who has claimed an item, and whether they are still there.

An owner is a process; or the processes that hold a lock together: `hold` takes one, and whatever
inherits its descriptor holds it on, also when the process that took it is killed (flock(2): the lock
goes when the last descriptor of that opening is closed).

A claim of a shared job also names the store that it was made from. Whoever stands at another store can
see nothing of it but its lease, by the server's clock; and at its own store, too, it ends with that.
"""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, liveness
from prodigy_git.record import clock, cursor, files, locks

UNSEEN = 24 * 3600 * clock.SECOND
"""How long a process that nobody can see has what it claimed, unless it says or renews otherwise."""


@dataclass(frozen=True)
class Owner:
    """A process, as `liveness.described`; with ``lock``, all that hold it; its file says ``nonce``."""

    process: dict[str, Any]
    lock: int | None = None
    nonce: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what AgentStarted's ``owner`` holds."""
        own = {} if self.lock is None else {"lock": self.lock, "nonce": self.nonce}
        return {**self.process, **own}


def of_process(pid: int) -> Owner:
    """Return a process as an owner. Raises `ProdigyError` where there is none."""
    found = liveness.described(pid)
    if found is None:
        raise ProdigyError(f"no process {pid} to own the item")
    return Owner(found)


def hold(store: str, repo: str, job: str) -> tuple[Owner, int]:
    """Take one of the job's owner locks; return the owner and the descriptor that holds the lock.

    The descriptor is not inherited unless it is passed on. There are as many locks as ever were held
    at once. Raises `OSError`.
    """
    slot = 0
    while True:
        path = layout.owner_lock(store, repo, job, slot)
        try:
            descriptor = locks.take(path, 0)
        except locks.Busy:
            slot += 1
            continue
        nonce = os.urandom(8).hex()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, nonce.encode("ascii"), 0)
        return Owner(of_process(os.getpid()).process, slot, nonce), descriptor


def alive(store: str, repo: str, job: str, owner: dict[str, Any]) -> bool | None:
    """Whether an owner, as an event has it, is still there; None where that cannot be told here.

    It often cannot for a process of another host, or of a container. A lock can be asked wherever the
    store is.
    """
    lock = owner.get("lock")
    if lock is None:
        return liveness.alive(store, owner)
    nonce = owner.get("nonce")
    if isinstance(lock, int) and 0 <= lock < 1 << 31 and isinstance(nonce, str):
        return _is_held(layout.owner_lock(store, repo, job, lock), nonce)
    return None


def has(store: str, repo: str, job: str, start: books.Start, now: int) -> tuple[bool | None, str]:
    """Return whether a claim is still its agent's (None: that cannot be told), and why not.

    A lease lasts until its time; a process as long as it lives, and where it cannot be seen as long as
    its lease, or a day. A shared job's claim never outlives its lease. ``now`` is in microseconds since
    1970, by the clock that leases go by.
    """
    if start.owner is not None and "store" in start.owner:
        return _has_shared(store, repo, job, start, now)
    until = None if start.lease is None else clock.parse(start.lease)
    if start.owner is None:
        if until is None:
            return None, ""
        return until >= now, f"its lease ended at {start.lease}"
    found = alive(store, repo, job, start.owner)
    if found is not None or start.owner.get("lock") is not None:
        return found, "the process that owned it is gone"
    if until is None:
        until = (clock.parse(start.at) or now) + UNSEEN
    if until >= now:
        return None, ""
    over = clock.stamp(until)
    return False, f"its process cannot be seen from here, and its time was over at {over}"


def whose(store: str, host: str) -> dict[str, Any]:
    """Return what the owner of a shared job's claim says more: ``host`` is the store's id on the hub.

    A copy of a store has its id, but not its place: it asks no process and no lock of the other's.
    Raises `OSError`.
    """
    return {"store": host, "place": place(store)}


def of_here(store: str, owner: dict[str, Any] | None) -> bool:
    """Whether a claim was made from this store; one of a job that is not shared was."""
    return owner is None or "store" not in owner or owner.get("place") == place(store)


def other_host(store: str, start: books.Start | None) -> str | None:
    """Return the id of the host that a claim was made on, where that is another one than this store."""
    if start is None or start.owner is None or of_here(store, start.owner):
        return None
    return str(start.owner["store"])


def session_here(store: str, start: books.Start | None) -> str | None:
    """Return the session that a claim was made in, if that is one of this store's.

    Another host's may have the name of one of ours.
    """
    if start is None or not of_here(store, start.owner):
        return None
    return start.worktree or start.session


def place(store: str) -> str:
    """Return where a store is, which a copy of it is not. Raises `OSError`."""
    about = os.stat(store)
    return f"{about.st_dev:x}:{about.st_ino:x}"


def _has_shared(
    store: str, repo: str, job: str, start: books.Start, now: int
) -> tuple[bool | None, str]:
    owner = start.owner or {}
    until = None if start.lease is None else clock.parse(start.lease)
    if until is None:
        until = (clock.parse(start.at) or now) + UNSEEN
    if until < now:
        return False, f"its lease ended at {clock.stamp(until)}"
    if not of_here(store, owner):
        return None, ""
    if "pid" not in owner:
        return True, ""
    # Another machine may have this store at the same place, or a copy of it.
    here = owner.get("boot") == (cursor.boot_id() or None)
    found = alive(store, repo, job, owner) if here else None
    return found, "the process that owned it is gone"


def _is_held(path: str, nonce: str) -> bool | None:
    try:
        descriptor = files.open_regular(path)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        with contextlib.suppress(BlockingIOError):
            # Shared: two who look at once do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        # The lock may have had another holder since.
        return os.pread(descriptor, 64, 0) == nonce.encode("ascii", "replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
