"""A child process leaves connections to its parent, and takes none of them for its own."""

import os
import weakref
from typing import Protocol


class _Connected(Protocol):
    def leave(self) -> None:
        """Let go without a farewell, which would end the parent's, too.

        The descriptor is closed: with it open anywhere, the server does not notice the parent's death,
        and keeps its locks.
        """


_all: "weakref.WeakSet[_Connected]" = weakref.WeakSet()


def leaves(one: _Connected) -> None:
    """Have something that is connected leave that to its parent in each child process to come."""
    _all.add(one)


def _leave_all() -> None:
    for one in list(_all):
        one.leave()


os.register_at_fork(after_in_child=_leave_all)
