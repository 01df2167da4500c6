"""Which processes stand where, as far as can be seen: for who asks whether somebody is still there."""

import contextlib
import os
import sys

_DELETED = " (deleted)"


class Standing:
    """Where all processes stood at one moment, as far as this user may look at them."""

    def __init__(self) -> None:
        """Look at all processes."""
        self._inside: set[str] = set()
        """The folders that somebody stands in, or below."""
        self._resolved: dict[str, str] = {}
        for path in _working_directories():
            while path not in self._inside:
                self._inside.add(path)
                path = os.path.dirname(path)
                if path in ("/", ""):
                    break

    def is_one_in(self, top: str) -> bool:
        """Whether somebody stands in ``top`` or below it; ``top`` itself may have been deleted."""
        return self._real(top) in self._inside

    def _real(self, path: str) -> str:
        """Return what `os.path.realpath` does; most of what is asked for is in one folder."""
        above, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if above not in self._resolved:
            self._resolved[above] = os.path.realpath(above)
        real = os.path.join(self._resolved[above], name)
        return os.path.realpath(real) if os.path.islink(real) else real


def _working_directories() -> list[str]:
    found = []
    if sys.platform == "linux":
        # What psutil does, too, which takes longer to import than this does.
        for name in filter(str.isdecimal, os.listdir("/proc")):
            # Another user's is not told, a zombie has none.
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/{name}/cwd")
                if path.endswith(_DELETED) and not os.path.lexists(path):
                    path = path.removesuffix(_DELETED)
                found.append(path)
        return found
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            found.append(process.cwd())
    return found
