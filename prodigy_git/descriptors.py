"""Standard input, output and error where whoever started this process has closed one of them.

A daemon or a cron wrapper may do so. The next file that is opened would get the free number: a lock, or
a file of the store, would be what a child process takes for its standard input or output. Standard
library only: a prompt comes through here.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Nowhere(io.RawIOBase):
    """What is written to a closed descriptor: nobody gets it, and that is remembered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def write(self, data: Any) -> int:
        size = len(memoryview(data))
        self.lost = self.lost or size > 0
        return size


_stdout: _Nowhere | None = None


def reserve() -> None:
    """Take those of the descriptors 0, 1 and 2 that are closed for ``/dev/null``.

    Called before anything opens a file. `sys.stdin`, `sys.stdout` and `sys.stderr` are None then; they
    become streams, so that nothing that prints has to ask.
    """
    global _stdout
    for number in (0, 1, 2):
        try:
            os.fstat(number)
            continue
        except OSError:
            pass
        # The lowest free number is the one that is missing: those below it are there by now.
        os.open(os.devnull, os.O_WRONLY if number else os.O_RDONLY)
        os.set_inheritable(number, True)
        if number == 0:
            sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            continue
        raw = _Nowhere(number)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", write_through=True
        )
        if number == 1:
            sys.stdout, _stdout = stream, raw
        else:
            sys.stderr = stream


def is_closed() -> bool:
    """Whether standard output was closed at the start: what is printed reaches nobody."""
    return _stdout is not None


def lost() -> bool:
    """Whether something was printed that reached nobody."""
    if _stdout is not None and sys.stdout is not None:
        sys.stdout.flush()
    return _stdout is not None and _stdout.lost
