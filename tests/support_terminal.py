"""A program on a real pseudo-terminal: what it has written so far, waited for, never slept for."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from support_cli import environment

PATIENCE = 60.0  # seconds; a program that hangs fails the test
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()=>78].?")


def _as_from_a_shell() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Ignored in what a script starts with '&', these tests perhaps among it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A pseudo-terminal of a size, and a process that has it as its controlling terminal."""

    def __init__(self, *arguments: str, cwd: Path, columns: int = 80, lines: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        env = environment(TERM="xterm-256color")
        for name in (
            "COLUMNS",
            "LINES",
        ):  # pytest's workers have them, and they win over the terminal
            env.pop(name, None)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "prodigy_git", *arguments],
            cwd=cwd, stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env=env, start_new_session=True,
            preexec_fn=_as_from_a_shell,
        )  # fmt: skip

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def text(self, since: int = 0) -> str:
        return _ESCAPES.sub(b"", self.written[since:]).decode("utf-8", "replace")

    def until(self, wanted: str, since: int = 0) -> str:
        """Read until ``wanted`` has been written; return all that was, without escape sequences."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.text(since):
            left = deadline - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.text(since)[-2000:]!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.written += os.read(self.master, 1 << 16)
                except OSError as error:
                    raise AssertionError(f"ended: {self.text(since)[-2000:]!r}") from error
        return self.text(since)

    def press(self, keys: str) -> int:
        """Press keys; return how much had been written before."""
        at = len(self.written)
        os.write(self.master, keys.encode())
        return at

    def end(self) -> int:
        """Wait for the end of the process, taking what it writes; return its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.child.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            if select.select([self.master], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.written += os.read(self.master, 1 << 16)
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.written += os.read(self.master, 1 << 16)
            except OSError:
                break
        return self.child.returncode

    def hang_up(self) -> None:
        """Close the terminal's other end, as a window that is closed does."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
