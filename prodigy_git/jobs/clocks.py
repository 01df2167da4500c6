"""Clocks that are apart: two machines that share a store must agree on when a lease is over.

They have one clock in common, that of the store's filesystem: on a network filesystem it is the
server's, elsewhere this machine's own. Leases go by it, so that a machine whose clock is wrong neither
takes a claim too early nor holds one too long.
"""

import os

from prodigy_git.jobs import books
from prodigy_git.record import clock
from prodigy_git.store.events import Broken

TOLERANCE = 5 * clock.SECOND
"""Less than this apart is nothing, in microseconds: a filesystem's clock may lag by a tick."""
_WRONG = 24 * 3600 * clock.SECOND  # further ahead is no clock, and would be said for ever
_said: set[tuple[str, str]] = set()


def ahead(descriptor: int) -> int:
    """Return by how many microseconds the store's clock is ahead of ours, of an open file there.

    0 within `TOLERANCE`, and where the filesystem does not say. The file's time is set.
    """
    try:
        os.utime(descriptor)  # to now, of whoever keeps the file
        there = os.fstat(descriptor).st_mtime_ns // 1000
    except OSError:
        return 0
    apart = there - clock.now()
    return apart if abs(apart) > TOLERANCE else 0


def words(apart: int) -> str:
    """Return how far a clock is ahead of ours, in words."""
    way = "ahead of" if apart > 0 else "behind"
    return f"{abs(apart) // clock.SECOND} seconds {way} this machine's"


def note(store: str, apart: int, job: books.Job, broken: Broken) -> None:
    """Say that clocks are apart, each once in a process; ``apart`` is as `ahead`."""
    if apart:
        _say(
            (store, ""), f"the store's clock is {words(apart)}: leases go by the store's, "
            "set the clocks of all machines that share it", broken,
        )  # fmt: skip
    newest = clock.parse(job.updated_at)
    early = 0 if newest is None else newest - clock.now() - apart
    if TOLERANCE < early < _WRONG:
        _say(
            (store, job.job_id), f"the newest event of job {job.job_id} is {words(early)} clock: "
            "set the clocks of all machines that work on it", broken,
        )  # fmt: skip


def _say(what: tuple[str, str], text: str, broken: Broken) -> None:
    if what not in _said:
        _said.add(what)
        broken(text)
