"""One command, from its start to the end of its last process: streamed, logged, timed, signalled."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import psutil

from prodigy_git.record import files

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_GRACE = 10.0  # seconds between asking for the end and enforcing it
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Ran:
    """How a command ended: ``status`` is negative for the signal it died by, as Popen's.

    ``signalled`` is the signal that we were sent and passed on; ``left`` how many of its processes
    went on after it and were ended.
    """

    status: int
    timed_out: bool
    signalled: int | None
    left: int

    @property
    def exit_status(self) -> int:
        """The status that a shell would report; 124 after a timeout, as of timeout(1)."""
        if self.timed_out:
            return 124
        return 128 - self.status if self.status < 0 else self.status


def run(
    command: Sequence[str],
    *,
    cwd: str,
    env: dict[str, str],
    log_path: str,
    inherited: int,
    timeout: float | None = None,
    grace: float = _GRACE,
) -> Ran:
    """Run a command to its end; its output goes where ours goes, and to the file ``log_path``.

    It inherits our standard input and the descriptor ``inherited``. Without a terminal it gets a
    session of its own, and all its processes are ended with it; on one it stays in our process group,
    since another would not be let read from the terminal. After ``timeout`` seconds it is asked to
    end, ``grace`` seconds later it is ended. The first signal that we are sent is passed on, the
    second ends it. Called in the main thread. Raises `OSError` where it cannot be started.
    """
    interactive = sys.stdin is not None and sys.stdin.isatty()
    files.make_private(os.path.dirname(log_path))
    log = files.create(log_path, os.O_WRONLY | os.O_APPEND)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, log)
        woken = stack.enter_context(_woken_by_signals())
        child = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=(inherited,), start_new_session=not interactive,
        )  # fmt: skip
        family = _Family(child, alone=not interactive)
        waiting = stack.enter_context(selectors.DefaultSelector())
        waiting.register(woken.descriptor, selectors.EVENT_READ, None)
        outputs = [(child.stdout, sys.stdout), (child.stderr, sys.stderr)]
        for pipe, ours in outputs:
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            waiting.register(pipe, selectors.EVENT_READ, ours)
        deadline = None if timeout is None else time.monotonic() + timeout
        timed_out, sent, signalled = False, 0, None
        while child.poll() is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, _ in waiting.select(left):
                if key.data is None and key.fileobj == woken.descriptor:
                    woken.drain()
                elif not _pass_on(key.fileobj, key.data, log):  # type: ignore[arg-type]
                    waiting.unregister(key.fileobj)
            while sent < len(woken.signals):
                number = woken.signals[sent]
                sent += 1
                signalled = signalled or number
                # At a terminal Ctrl-C has reached the command already.
                if sent > 1:
                    family.send(signal.SIGKILL)
                elif not (interactive and number == signal.SIGINT):
                    family.send(number)
            if deadline is not None and time.monotonic() >= deadline and child.poll() is None:
                family.send(signal.SIGKILL if timed_out else signal.SIGTERM)
                deadline = None if timed_out else time.monotonic() + grace
                timed_out = True
        left_over = family.end()
        for pipe, ours in outputs:
            assert pipe is not None
            while _pass_on(pipe, ours, log, once=True):
                pass
            pipe.close()
        return Ran(child.returncode, timed_out, signalled, left_over)


class _Woken:
    """Signals as they came, and a descriptor that can be read when there is a new one."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.signals: list[int] = []

    def note(self, number: int, _: object) -> None:
        self.signals.append(number)

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, 512):
                pass


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[_Woken]:
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    woken = _Woken(reading)
    before = {}
    # A child's end wakes us too: so nothing has to look again and again whether it is there.
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            before[number] = signal.signal(number, woken.note)
    try:
        yield woken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken_before)
        os.close(reading)
        os.close(writing)


class _Family:
    """A command's processes: its process group, or at a terminal its descendants."""

    def __init__(self, child: "subprocess.Popen[bytes]", *, alone: bool) -> None:
        self.child = child
        self.alone = alone

    def send(self, number: int) -> None:
        """Send all of them a signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.alone:
                os.killpg(self.child.pid, number)
                return
        for process in self._descendants():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.child.pid)
            return [first, *first.children(recursive=True)]
        return []

    def end(self) -> int:
        """End what goes on after the command; return how many those were."""
        if not self.alone:
            return 0  # whose they are cannot be told once their parent is gone
        left = self._members()
        if left:
            self.send(signal.SIGTERM)
            _, alive = psutil.wait_procs(left, timeout=_GRACE / 2)
            if alive:
                self.send(signal.SIGKILL)
                psutil.wait_procs(alive, timeout=_GRACE / 2)
        return len(left)

    def _members(self) -> list[psutil.Process]:
        try:
            os.killpg(self.child.pid, 0)
        except (ProcessLookupError, PermissionError):
            return []
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getpgid(process.pid) == self.child.pid:
                    found.append(process)
        return found


def _pass_on(pipe: IO[bytes], ours: IO[str] | None, log: int, *, once: bool = False) -> bool:
    """Pass on what a pipe holds now; return whether there may be more."""
    try:
        data = os.read(pipe.fileno(), _BLOCK)
    except BlockingIOError:
        return not once
    except ValueError:
        return False
    if not data:
        return False
    with contextlib.suppress(OSError):  # a full disk is not the command's fault
        files.write_all(log, data)
    # Whoever reads our output may be gone: the log has it.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        ours.buffer.write(data)  # type: ignore[union-attr]
        ours.buffer.flush()  # type: ignore[union-attr]
    return True
