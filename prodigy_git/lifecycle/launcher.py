"""Who started us: the process that a new session, or one that goes on, is said to belong to."""

import contextlib
import os
from typing import Any

import psutil


def described() -> dict[str, Any]:
    """Return host, pid and pid_started of the process that started this one, for a session's file."""
    parent = os.getppid()
    started = None
    with contextlib.suppress(psutil.Error):  # in a container the parent may be outside: pid 0
        # So that one which gets its id later is not taken for it.
        started = psutil.Process(parent).create_time()
    return {"host": os.uname().nodename, "pid": parent, "pid_started": started}
