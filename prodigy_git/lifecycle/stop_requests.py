"""That a command is to be stopped, and what is to become of its item: a file beside its log.

Who stops it writes this first and then ends its processes; who started it takes it when they have
ended. It is of one session, so a request that comes too late stops nothing else.
"""

import contextlib
import os

from prodigy_git import layout
from prodigy_git.record import files

GIVE_BACK, FAIL = "give back", "fail"
WORDS = "stopped by 'prodigy-git stop'"
"""The reason or error that is recorded."""


def _path(store: str, repo: str, job: str, session: str) -> str:
    return f"{layout.run_log(store, repo, job, session).removesuffix('.log')}.stop"


def put(store: str, repo: str, job: str, session: str, *, fail: bool) -> None:
    """Ask for a session's command to be stopped, and its item to fail, or be given back.

    Raises `OSError`.
    """
    files.replace(_path(store, repo, job, session), (FAIL if fail else GIVE_BACK).encode("ascii"))


def take(store: str, repo: str, job: str, session: str) -> str | None:
    """Take a request away; return `GIVE_BACK`, `FAIL`, or None where there is none."""
    path = _path(store, repo, job, session)
    try:
        said = files.read(path, len(GIVE_BACK)).decode("ascii", "replace")
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.unlink(path)
    return FAIL if said == FAIL else GIVE_BACK
