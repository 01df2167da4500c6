"""Who started us: the process that a new session, or one that goes on, is said to belong to."""

import os
from typing import Any

from prodigy_git.jobs import liveness
from prodigy_git.record.session import PROCESS


def described() -> dict[str, Any]:
    """Return what the process that started this one is known by, for a session's file.

    Every field of it, None where that is not known: they replace those of an earlier process.
    """
    parent = os.getppid()  # in a container it may be outside: 0
    return of(parent) | {"host": os.uname().nodename, "pid": parent}


def of(pid: int | None) -> dict[str, Any]:
    """Return the same of another process; all is None where that is not there, or ``pid`` is None."""
    unknown = dict.fromkeys(PROCESS)
    return unknown | ((None if pid is None else liveness.described(pid)) or {})
