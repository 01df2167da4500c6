"""Which processes stand where, as far as can be seen: for who asks whether somebody is still there."""

import contextlib
import os
from collections.abc import Iterable


def working_directories() -> list[str]:
    """Return the working directories of all processes that this user may look at."""
    import psutil

    found = []
    for process in psutil.process_iter():
        # Another user's is not told, a zombie has none.
        with contextlib.suppress(psutil.Error, OSError):
            found.append(process.cwd())
    return found


def is_one_in(folders: Iterable[str], top: str) -> bool:
    """Whether one of these folders is ``top``, or in it; ``top`` itself may have been deleted."""
    root = os.path.realpath(top)
    return any(one == root or one.startswith(f"{root}/") for one in folders)
