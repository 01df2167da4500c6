"""Our own output, where its reader may stall: Ctrl-S at a terminal, a pipe that nobody reads.

A thread of its own writes it, from a buffer of bounded size: writing without waiting (O_NONBLOCK)
would be a setting of the terminal or pipe, and so of everybody who has it; and asking whether there is
room (poll) is no promise where others write there too.
"""

import contextlib
import io
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

_ROOM = 1 << 20  # bytes
_BLOCK = 4096
"""What is written at once. A reader who takes less in `PATIENCE` seconds counts as stalled."""
PATIENCE = 10.0
"""For how many seconds a reader may take nothing before the rest is left out for him."""
_LAST = 2.0, 30.0
"""At the end: how many seconds he may take nothing, and how many we wait in all."""


class Sink:
    """Where output goes: a descriptor's number, or a stream that has none."""

    def __init__(self, target: int | IO[bytes]) -> None:
        """Begin with nothing; the thread begins with the first output."""
        self.left_out = 0
        """How many bytes nobody got."""
        self.has_room: Callable[[], None] = lambda: None
        """Called, from the thread, when there is room again."""
        self._target = target
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._moved = 0.0
        self._gone = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def full(self) -> bool:
        """Whether more than a bounded amount waits to be written."""
        return self._size >= _ROOM

    @property
    def stalled(self) -> bool:
        """Whether it is full, and nobody has read for a while."""
        return self.full and time.monotonic() - self._moved > PATIENCE

    def put(self, data: bytes) -> None:
        """Have something written; it is left out where far too much waits already."""
        with self._changed:
            if self._gone:
                return
            if self._size >= 2 * _ROOM:
                self.left_out += len(data)
                return
            if not self._size:
                self._moved = time.monotonic()
            self._pieces.append(data)
            self._size += len(data)
            self._changed.notify_all()
        if self._thread is None:
            # A daemon: one that waits for a reader does not keep the process from ending.
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def flush(self) -> bool:
        """Wait, for a bounded time, until all is written; return whether it is."""
        quiet, longest = _LAST
        begun = time.monotonic()
        with self._changed:
            while self._size:
                now = time.monotonic()
                left = min(max(self._moved, begun) + quiet, begun + longest) - now
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._pieces:
                    self._changed.wait()
                view = memoryview(self._pieces.popleft())
            while view:
                try:
                    written = self._emit(view[:_BLOCK])
                except (OSError, ValueError):
                    # Whoever read it is gone, or the disk is full: the log has it.
                    with self._changed:
                        self._gone = True
                        self._pieces.clear()
                        self._size = 0
                        self._changed.notify_all()
                    self.has_room()
                    return
                view = view[written:]
                with self._changed:
                    before = self._size
                    self._size -= written
                    self._moved = time.monotonic()
                    self._changed.notify_all()
                    room = before >= _ROOM // 2 > self._size
                if room:
                    self.has_room()

    def _emit(self, data: memoryview) -> int:
        if not isinstance(self._target, int):
            self._target.write(data)
            self._target.flush()
            return len(data)
        while True:
            try:
                return os.write(self._target, data)
            except BlockingIOError:  # somebody else has set O_NONBLOCK
                select.select([], [self._target], [])


@dataclass(frozen=True)
class Ours:
    """Our standard output and error; ``one``: they are one pipe, file or terminal."""

    out: Sink
    err: Sink
    one: bool


class _Through(io.RawIOBase):
    """What this process itself prints goes the same way as what it passes on."""

    def __init__(self, sink: Sink, number: int | None) -> None:
        self._sink = sink
        self._number = number

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._number is not None and os.isatty(self._number)

    def write(self, data: Any) -> int:
        self._sink.put(bytes(data))
        return len(memoryview(data))


@contextlib.contextmanager
def ours() -> Iterator[Ours]:
    """Have all that is printed, here and by what is called, go through sinks within a ``with``.

    At the end the readers get a bounded time to take the rest. Of one who does not the stream stays as
    it is: whatever is printed then does not wait for him either.
    """
    before = sys.stdout, sys.stderr
    numbers = _number_of(sys.stdout), _number_of(sys.stderr)
    made = [
        Sink(stream.buffer if number is None else number)
        for stream, number in zip(before, numbers, strict=True)
    ]
    for stream in before:
        stream.flush()
    one = are_one()
    if one:
        made[1] = made[0]  # or two threads would change the order
    streams = [
        io.TextIOWrapper(
            io.BufferedWriter(_Through(sink, number)), encoding=stream.encoding,
            errors="backslashreplace", line_buffering=True,
        )
        for sink, number, stream in zip(made, numbers, before, strict=True)
    ]  # fmt: skip
    sys.stdout, sys.stderr = streams
    try:
        yield Ours(made[0], made[1], one)
    finally:
        for stream in streams:
            with contextlib.suppress(ValueError):
                stream.flush()
        taken = [sink.flush() for sink in made]
        sys.stdout = before[0] if taken[0] else sys.stdout
        sys.stderr = before[1] if taken[1] else sys.stderr


def are_one() -> bool:
    """Whether standard output and error lead to one place in which their order can be seen."""
    out, err = _number_of(sys.stdout), _number_of(sys.stderr)
    return out is not None and err is not None and _is_one(out, err)


def _number_of(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return None


def _is_one(first: int, second: int) -> bool:
    try:
        one, other = os.fstat(first), os.fstat(second)
        nowhere = os.stat(os.devnull)
    except OSError:
        return False
    if stat.S_ISCHR(one.st_mode) and one.st_rdev == nowhere.st_rdev:
        return False  # nobody sees it; and apart, standard error's last line is known
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
