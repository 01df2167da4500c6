"""Waiting for the hub's server: no wait is longer than its deadline, whichever library asks.

The server's own time-outs do not do for that: where the network is gone, or a proxy stalls, nobody says
anything.
"""

import math
import select
import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

UNDO_PATIENCE = 2.0
"""Seconds that a ROLLBACK has; then the connection is ended, which says the same."""


class Late(Exception):
    """The server has not answered by the deadline."""


def now() -> float:
    """Return the seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def ready(socket: int, events: int, deadline: float) -> int:
    """Wait until a socket is ready for any of ``events``; return what for, as poll(2) says it.

    ``deadline`` is a time of `now`. Raises `Late`.
    """
    poll = select.poll()
    poll.register(socket, events)
    while (left := deadline - now()) > 0:
        found = poll.poll(math.ceil(left * 1000))
        if found:
            return found[0][1]
    raise Late


def is_silent(socket: int) -> bool:
    """Whether the server has said nothing unasked, which it mostly does to end the connection."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return not poll.poll(0)
