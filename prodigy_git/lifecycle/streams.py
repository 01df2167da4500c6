"""What a pipe brings, on its way to a log and to our own output: as it came, or in whole lines."""

import errno
import os
import selectors
from collections.abc import Callable

from prodigy_git.lifecycle.sinks import Sink

_BLOCK = 1 << 16
_REST = 1 << 20
"""Bytes that are still read after the end: a process that went elsewhere may write on."""
_LONGEST = 1 << 22
"""Bytes of a line that are waited for; of a longer one each so many are a line."""


class WholeLines:
    """Puts lines together from pieces, each with a prefix: what several write is then not mixed up.

    A progress bar goes over its line again and again: of that line goes on what one saw last.
    """

    def __init__(
        self, prefix: bytes = b"", longest: int = _LONGEST,
        shown: Callable[[bytes], bytes] = lambda line: line,
    ) -> None:  # fmt: skip
        """Begin with nothing; ``shown`` is called with each line, without prefix and line end."""
        self._prefix = prefix
        self._longest = longest
        self._shown = shown
        self._held = b""

    def add(self, data: bytes) -> bytes:
        """Take a piece; return the lines that are whole by it."""
        *whole, self._held = (self._held + data).split(b"\n")
        found = b"".join(map(self._line, whole))
        over = self._held.rstrip(b"\r").rfind(b"\r")
        if over >= 0:
            self._held = self._held[over + 1 :]
        while len(self._held) > self._longest:
            end = self._longest
            while end > self._longest - 4 and self._held[end] & 0xC0 == 0x80:
                end -= 1  # within a character of UTF-8
            found += self._line(self._held[:end])
            self._held = self._held[end:]
        return found

    def rest(self) -> bytes:
        """Return as a line what came without a line end, if anything."""
        held, self._held = self._held, b""
        return self._line(held) if held else b""

    def _line(self, line: bytes) -> bytes:
        return self._prefix + self._shown(line.rstrip(b"\r").rpartition(b"\r")[2]) + b"\n"


class Stream:
    """What one pipe brings, and where it goes; its last ``kept`` bytes are ``end``."""

    def __init__(
        self, pipe: int, sink: Sink, *, log: Callable[[bytes], None] = lambda _: None,
        lines: WholeLines | None = None, put: Callable[[bytes], None] | None = None, kept: int = 0,
    ) -> None:  # fmt: skip
        """Take a pipe's reading end; ``put`` is what writes into ``sink`` (default: that itself)."""
        self.pipe, self.sink = pipe, sink
        self.open = True
        self.held = False
        """Whether the writer is held back, as by any pipe that is not read, until there is room."""
        self.end = b""
        self._log, self._lines, self._put, self._kept = log, lines, put or sink.put, kept
        os.set_blocking(pipe, False)

    def copy(self) -> int:
        """Pass on what there is now, one block at most; return how much."""
        try:
            data = os.read(self.pipe, _BLOCK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""  # a terminal whose other end nobody has any more
        self.open = bool(data)
        self._log(data)
        if self._kept:
            self.end = (self.end + data)[-self._kept :]
        self._pass_on(data if self._lines is None else self._lines.add(data))
        return len(data)

    def finish(self) -> None:
        """Pass on what is still there, and what came without a line end."""
        rest = _REST
        while rest > 0 and (size := self.copy()):
            rest -= size
        if self._lines is not None:
            self._pass_on(self._lines.rest())

    def _pass_on(self, data: bytes) -> None:
        if self.sink.stalled:
            self.sink.left_out += len(data)  # the log has it, and the writer goes on
        elif data:
            self._put(data)

    def hold(self, waiting: selectors.BaseSelector) -> None:
        """Read on from the pipe, or not, as there is room for what it brings."""
        known = self.pipe in waiting.get_map()
        self.held = self.open and self.sink.full and not self.sink.stalled
        wanted = self.open and not self.held
        if wanted and not known:
            waiting.register(self.pipe, selectors.EVENT_READ, self)
        elif known and not wanted:
            waiting.unregister(self.pipe)
