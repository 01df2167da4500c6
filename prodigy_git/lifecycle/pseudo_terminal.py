"""A terminal for a command, between it and ours: what is typed, its size, and its end.

While the command runs ours is raw: each key goes to the command's terminal, which makes the signals.
Afterwards it is as it was, also where we are killed: a process of its own sees to that then.
"""

import contextlib
import errno
import fcntl
import os
import select
import selectors
import signal
import struct
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

_SIZE = struct.pack("HHHH", 24, 80, 0, 0)  # lines and columns, where there is no terminal of ours
_END, _INTERRUPT = b"\x04", b"\x03"  # Ctrl-D, Ctrl-C
_BLOCK = 1024
AGAIN = 0.1
"""After how many seconds it is looked whether the end of what was typed has been read."""
_RESTORE = 'read -r done || stty "$1" <&1'
"""For sh: at the end of its input, without a line, the terminal is put back."""


class Keyboard:
    """What is typed, on its way to the command's terminal; without a source there is an end at once.

    A terminal has no end that stays: one Ctrl-D ends one reading, and none after a line that is not
    whole. So it is given again as often as it was taken.
    """

    held = False

    def __init__(self, source: int | None, made: "PseudoTerminal", *, ends: bool) -> None:
        """Begin with nothing; ``ends``: the source is no terminal, so its end is one for good."""
        self.interrupted = False
        """Whether Ctrl-C was typed."""
        self.pipe = -1 if source is None else source
        self._open = source is not None
        self._waits = b"" if self._open else _END
        # A number of its own: the other one is waited for by who reads.
        self._target = os.dup(made.master)
        os.set_blocking(self._target, False)
        self._other_end = os.dup(made.slave) if ends else -1

    @property
    def ended(self) -> bool:
        """Whether all is written, and the end of it may have to be again."""
        return self._other_end >= 0 and not self._open and not self._waits

    def _end_again(self) -> None:
        if not self.ended or select.select([self._other_end], [], [], 0)[0]:
            return  # the last one has not been read yet
        # To who reads single keys it is one of them, and may mean anything.
        if termios.tcgetattr(self._other_end)[3] & termios.ICANON:
            self._waits = _END

    def copy(self) -> None:
        """Read what there is, once what was read before is written."""
        if not self._waits and self._open:
            try:
                data = os.read(self.pipe, _BLOCK)
            except OSError:  # the terminal is gone
                data = b""
            self._open = bool(data)
            self._waits = data or _END
            self.interrupted = self.interrupted or _INTERRUPT in data
        try:
            self._waits = self._waits[os.write(self._target, self._waits) :]
        except BlockingIOError:
            pass
        except OSError:  # the command has closed its side
            self._waits, self._open = b"", False

    def hold(self, waiting: selectors.BaseSelector) -> None:
        """Wait for the source, or for room to write."""
        self._end_again()
        _wait_for(waiting, self._target, selectors.EVENT_WRITE, self, wanted=bool(self._waits))
        if self.pipe < 0:
            return
        try:
            wanted = self._open and not self._waits
            _wait_for(waiting, self.pipe, selectors.EVENT_READ, self, wanted=wanted)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            self.copy()  # a file, which can be read at any time

    def close(self) -> None:
        """Let go of the command's terminal."""
        os.close(self._target)
        if self._other_end >= 0:
            os.close(self._other_end)


def _wait_for(
    waiting: selectors.BaseSelector, number: int, what: int, who: Keyboard, *, wanted: bool
) -> None:
    known = number in waiting.get_map()
    if wanted and not known:
        waiting.register(number, what, who)
    elif known and not wanted:
        waiting.unregister(number)


class PseudoTerminal:
    """The two ends of the command's terminal, and ours, if there is one."""

    def __init__(self, ours: int | None) -> None:
        """Make one of the size and with the settings of ours."""
        self.master, self.slave = os.openpty()
        self._ours = ours
        self._before = None if ours is None else termios.tcgetattr(ours)
        if self._before is not None:
            termios.tcsetattr(self.slave, termios.TCSANOW, self._before)
        self.resize()

    def resize(self, *_: int | FrameType | None) -> None:
        """Have the command's terminal as large as ours is; the kernel tells it."""
        size = _SIZE
        with contextlib.suppress(OSError):
            if self._ours is not None:
                size = fcntl.ioctl(self._ours, termios.TIOCGWINSZ, _SIZE)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def raw(self) -> None:
        """Have each key pass through ours as it is."""
        if self._ours is not None:
            with contextlib.suppress(termios.error):
                tty.setraw(self._ours)

    def cooked(self) -> None:
        """Have ours as it was before."""
        if self._ours is None or self._before is None:
            return
        # In the background it is not refused only to who has this signal blocked (tcsetattr(3)).
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._ours, termios.TCSANOW, self._before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def take(self) -> None:
        """Make the standard input of a process, which has begun a session, its terminal."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def started(self) -> None:
        """Let go of the command's end: it has it now."""
        os.close(self.slave)
        self.slave = -1


@contextlib.contextmanager
def opened(*, stdin: bool) -> Iterator[tuple[PseudoTerminal, Keyboard]]:
    """Make a terminal within a ``with``; afterwards ours is as it was.

    Ours, where standard input is one, is what is typed at; else, with ``stdin``, what comes from there.
    """
    number = None if sys.stdin is None else sys.stdin.fileno()
    ours = number if number is not None and os.isatty(number) else None
    made = PseudoTerminal(ours)
    source = number if stdin or ours is not None else None
    keyboard = Keyboard(source, made, ends=ours is None)
    before = signal.signal(signal.SIGWINCH, made.resize)
    try:
        with _guarded(ours):
            made.raw()
            try:
                yield made, keyboard
            finally:
                made.cooked()
    finally:
        signal.signal(signal.SIGWINCH, before)
        keyboard.close()
        os.close(made.master)
        if made.slave >= 0:
            os.close(made.slave)


@contextlib.contextmanager
def _guarded(terminal: int | None) -> Iterator[None]:
    """Have a process put a terminal back where this one is killed within the ``with``."""
    if terminal is None:
        yield
        return
    try:
        said = subprocess.run(["stty", "-g"], stdin=terminal, capture_output=True, check=True)
        # A session of its own: no key and no hang-up reaches it.
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _RESTORE, "sh", said.stdout.decode("ascii").strip()],
            stdin=subprocess.PIPE, stdout=terminal, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):  # there is no stty here
        yield
        return
    try:
        yield
    finally:
        guard.communicate(b"done\n")
