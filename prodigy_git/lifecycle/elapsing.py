"""How much time has passed, by whichever of a machine's clocks says more.

`CLOCK_BOOTTIME` goes on while the machine sleeps, and nobody sets it. It stands still while a virtual
machine is paused: then the time of day jumps, once somebody has told that machine what time it is.
"""

import time
from typing import NamedTuple

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Moment(NamedTuple):
    """A moment, in seconds by both clocks; it means something to processes of one boot."""

    boot: float
    day: float

    def passed(self) -> float:
        """Return how many seconds have passed since, at least."""
        return max(self.by_boot(), time.time() - self.day)

    def by_boot(self) -> float:
        """Return how many seconds have passed since by the clock that nobody sets."""
        return time.clock_gettime(_BOOT) - self.boot


def now() -> Moment:
    """Return this moment."""
    return Moment(time.clock_gettime(_BOOT), time.time())
