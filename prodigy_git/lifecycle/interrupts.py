"""Signals to a worker: heard at any moment, and acted on where that does no harm."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals that ask for the end."""
NO_MORE = signal.SIGUSR1
"""The signal that asks a worker of a pool to take no other item."""


class Interrupted(BaseException):
    """A signal asked for the end where that can be followed at once."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(f"interrupted by signal {number}")
        self.number = number


class Signals:
    """The signals as they came, and a descriptor that can be read when there is a new one."""

    def __init__(self, descriptor: int, writing: int) -> None:
        """Begin with none; the descriptors are the two ends of a pipe."""
        self.descriptor = descriptor
        self.came: list[int] = []
        self.stopped = 0.0
        """How many seconds we were stopped (Ctrl-Z), and with us what we started."""
        self.pass_on: Callable[[int], None] | None = None
        """Sends a signal to what we started, which a terminal's Ctrl-Z does not reach."""
        self.no_more = False
        """Whether no other item is to be taken: what is being worked on goes on."""
        self._writing = writing
        self._heeded = False

    def check(self) -> None:
        """Raise `Interrupted` where a signal has come."""
        if self.came:
            raise Interrupted(self.came[0])

    @contextlib.contextmanager
    def heeded(self, *, earlier_too: bool = True) -> Iterator[None]:
        """Let a signal raise `Interrupted` within a ``with``; elsewhere it is only noted.

        One that came before raises it at once, unless ``earlier_too`` is False.
        """
        self._heeded = True
        try:
            if earlier_too:
                self.check()
            yield
        finally:
            self._heeded = False

    def sleep(self, seconds: float, *, at_most_for_more: bool = False) -> None:
        """Sleep. Raises `Interrupted` at a signal, also at one that came before.

        With ``at_most_for_more`` it ends where no other item is to be taken.
        """
        until = time.monotonic() + seconds
        with self.heeded():
            while (left := until - time.monotonic()) > 0:
                if at_most_for_more and self.no_more:
                    return
                # The system has a longest time, of a few weeks. Whatever signal comes can be read.
                select.select([self.descriptor], [], [], min(left, 3600.0))
                self.drain()

    def wake(self) -> None:
        """Make the descriptor readable; called from any thread."""
        with contextlib.suppress(OSError):  # full: it is readable
            os.write(self._writing, b"\0")

    def drain(self) -> None:
        """Make the descriptor readable at the next signal only."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, 512):
                pass

    def note(self, number: int, _: object) -> None:
        """Take a signal that asks for the end."""
        self.came.append(number)
        if self._heeded:
            self._heeded = False  # what is undone now is not cut short by the next
            raise Interrupted(number)

    def take_no_more(self, *_: object) -> None:
        """Take no other item."""
        self.no_more = True

    def stop(self, *_: object) -> None:
        """Stop until we are continued, together with what we started."""
        if self.pass_on is not None:
            self.pass_on(signal.SIGSTOP)
        since = time.monotonic()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.stopped += time.monotonic() - since
        if self.pass_on is not None:
            self.pass_on(signal.SIGCONT)


@contextlib.contextmanager
def listening() -> Iterator[Signals]:
    """Hear signals within a ``with``, in the main thread; a child's end wakes too."""
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signals = Signals(reading, writing)
    handlers = dict.fromkeys(ENDING, signals.note) | {signal.SIGTSTP: signals.stop}
    handlers[NO_MORE] = signals.take_no_more
    before = {}
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        # So nothing has to look again and again whether a child is still there.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, handler)
        yield signals
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
        signal.set_wakeup_fd(woken_before)
        os.close(reading)
        os.close(writing)
