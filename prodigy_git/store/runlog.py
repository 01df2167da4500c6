"""The file that a command's output is kept in: all of it, or its beginning and its end.

Past half of a limit, what comes goes in turn to two files beside it, of a quarter each: the older one
is emptied for the newer. At the end they are put behind the beginning. Whoever is killed in between
leaves what he has written, in two or three files.
"""

import contextlib
import os
from collections.abc import Iterator

from prodigy_git.record import files

LIMIT = 100 * 1000 * 1000
"""Bytes, where nothing else is wished."""
SMALLEST = 1000
_BLOCK = 1 << 16


class RunLog:
    """A log that is being written; ``trouble`` is why something is missing, if anything is."""

    def __init__(self, path: str, limit: int) -> None:
        """Make the file, or go on in it: then its beginning is all that it had.

        ``limit``, in bytes, 0 for none, counts for what is added; what a killed run left in the files
        beside it goes. Raises `OSError`.
        """
        files.make_private(os.path.dirname(path))
        self.trouble: OSError | None = None
        self._path = path
        self._limit = limit
        self._head = files.create(path, os.O_RDWR | os.O_APPEND)
        self._current = self._head
        self._begun = os.fstat(self._head).st_size  # bytes of the beginning
        self._room = max(1, limit // 2 - self._begun) if limit else None
        self._parts: list[
            tuple[str, int]
        ] = []  # the files beside it, the newest last, and their sizes
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Keep a piece of output. A full disk is not the command's fault: it is noted, not raised."""
        view = memoryview(data)
        try:
            while view:
                if self._room is not None and not self._room:
                    self._turn()
                written = os.write(self._current, view[: self._room])
                view = view[written:]
                if self._room is not None:
                    self._room -= written
                if self._parts:
                    path, size = self._parts[-1]
                    self._parts[-1] = path, size + written
                else:
                    self._begun += written
        except OSError as error:
            self.trouble = self.trouble or error

    def _turn(self) -> None:
        """Go on in the next of the files beside the log."""
        path = f"{self._path}.tail-1"
        if self._parts and self._parts[-1][0] == path:
            path = f"{self._path}.tail-2"
        # It may fail, and is tried again with what comes next: until it is there all stays as it is.
        following = files.create(path, os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
        if self._current != self._head:
            os.close(self._current)
        if len(self._parts) == 2:
            self._left_out += self._parts.pop(0)[1]
        self._current = following
        self._parts.append((path, 0))
        self._room = max(1, self._limit // 4)
        if len(self._parts) == 1:
            text = (
                f"\n[prodigy-git: more than half of {self._limit} bytes; what follows is in "
                f"{os.path.basename(path)} and -2 until the command has ended]\n"
            )
            os.write(self._head, text.encode())

    def close(self) -> None:
        """Put the end behind the beginning, with a line between that says how much was left out."""
        try:
            if self._parts:
                os.close(self._current)
                self._current = self._head
                self._join()
        except OSError as error:  # the files beside it stay
            self.trouble = self.trouble or error
        finally:
            os.close(self._head)

    def _join(self) -> None:
        os.ftruncate(self._head, self._begun)
        if self._left_out:
            text = f"\n[prodigy-git: {self._left_out} bytes left out here: see --log-limit]\n"
            files.write_all(self._head, text.encode())
        for path, _ in self._parts:
            for piece in _pieces(path):
                files.write_all(self._head, piece)
        for path, _ in self._parts:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while piece := stream.read(_BLOCK):
            yield piece
