"""Waiting for the hub of a shared job: what is asked of it is tried again until it is reached."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from prodigy_git.errors import Away
from prodigy_git.record import clock
from prodigy_git.store.events import Broken

_FIRST, _LONGEST = 0.25, 10.0  # seconds between two tries
_T = TypeVar("_T")


def outlast(work: Callable[[], _T], patience: int | None, broken: Broken) -> _T:
    """Do ``work``, again while the hub is away, for ``patience`` microseconds; None: once.

    The first time it is away is a word to ``broken``. Nothing is held meanwhile. Raises what ``work``
    does, and `Away` where the time is over.
    """
    if patience is None:
        return work()
    until, pause = time.monotonic() + patience / clock.SECOND, _FIRST
    said = False
    while True:
        try:
            return work()
        except Away as error:
            left = until - time.monotonic()
            if left <= 0:
                raise
            if not said:
                broken(f"{error.why}; waiting for it")
                said = True
        # Not all hosts at once, when it is there again.
        time.sleep(min(left, pause * (0.5 + os.getpid() % 64 / 128)))
        pause = min(pause * 2, _LONGEST)
