"""One command, from its start to the end of its last process: streamed, logged, timed, signalled.

Copying its output, watching the clock, its end and signals do not wait for each other: what may wait
for somebody else, writing to our own standard output, is done by threads (`sinks`).
"""

import contextlib
import errno
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil

from prodigy_git.lifecycle import pseudo_terminal
from prodigy_git.lifecycle.command_process import GRACE
from prodigy_git.lifecycle.interrupts import Signals
from prodigy_git.lifecycle.lastline import KEPT, last_line, telling_line
from prodigy_git.lifecycle.pseudo_terminal import Keyboard, PseudoTerminal
from prodigy_git.lifecycle.sinks import PATIENCE, Ours
from prodigy_git.lifecycle.streams import Stream, WholeLines
from prodigy_git.store.redacted_output import PAUSE, Redacted
from prodigy_git.store.runlog import RunLog

_INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)
_LONGEST = 3600.0  # seconds; epoll_wait(2) takes no more than a few weeks


@dataclass(frozen=True)
class Ran:
    """How a command ended: ``status`` is negative for the signal it died by, as Popen's.

    ``interrupted`` is the signal that came to us before its end; ``left`` how many of its processes
    went on after it and were ended, ``last`` the line that says why, mostly its last on
    standard error.
    """

    status: int
    timed_out: bool
    interrupted: int | None
    left: int
    last: str

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
    log: RunLog,
    redact: bool,
    inherited: int,
    signals: Signals,
    ours: Ours,
    stdin: bool = False,
    pty: bool = False,
    timeout: float | None = None,
    grace: float = GRACE,
    whole_lines: Callable[[], WholeLines] | None = None,
    started: Callable[[int, bool], None] | None = None,
    due: Callable[[], tuple[float, int | None]] | None = None,
) -> Ran:
    """Run a command to its end; its output goes to ``log``, and where ours goes.

    There as it comes, or as lines that ``whole_lines`` puts together; to the log, with ``redact``,
    without what looks like a secret. ``started`` is told its process id, and whether it has a session
    of its own.

    It inherits the descriptor ``inherited``, and with ``stdin`` our standard input; with ``pty`` it has
    a terminal (`pseudo_terminal`). It gets a session of its own, and all its processes are ended with
    it; but with ``stdin`` at a terminal it stays in our process group, since another would not be let
    read there. After ``timeout`` seconds it is asked to end, ``grace`` seconds later it is ended.
    ``due`` says what signal else is due, and after how many seconds it is to be asked again. The first
    signal that we are sent is passed on, the second ends it. Raises `OSError` where it cannot be
    started.
    """
    interactive = not pty and stdin and sys.stdin is not None and sys.stdin.isatty()
    with contextlib.ExitStack() as stack:
        terminal, keyboard = None, None
        how: dict[str, Any] = {
            "stdin": None if stdin else subprocess.DEVNULL, "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT if ours.one else subprocess.PIPE,
        }  # fmt: skip
        if pty:
            terminal, keyboard = stack.enter_context(pseudo_terminal.opened(stdin=stdin))
            # Called between fork and exec: it does nothing but one ioctl, whatever threads there are.
            how = dict.fromkeys(how, terminal.slave) | {"preexec_fn": terminal.take}
        child = _start(
            command, cwd, env, pass_fds=(inherited,), start_new_session=not interactive, **how
        )
        family = _Family(child, alone=not interactive)
        signals.pass_on = partial(_pass_on, family, terminal, due)
        if started is not None:
            started(child.pid, not interactive)
        stack.callback(setattr, signals, "pass_on", None)
        ends = [] if terminal is None else [(terminal.master, ours.out)]
        for pipe, sink in ((child.stdout, ours.out), (child.stderr, ours.err)):
            if pipe is not None:
                stack.callback(pipe.close)
                ends.append((pipe.fileno(), sink))
        streams: list[Stream] = []
        kept: list[Redacted] = []
        for number, sink in ends:
            lines = None if whole_lines is None else whole_lines()
            keep = log.write
            if redact:
                kept.append(Redacted(log.write, env))
                stack.callback(kept[-1].close)
                keep = kept[-1].add
            streams.append(Stream(number, sink, log=keep, kept=KEPT, lines=lines))
            sink.has_room = signals.wake
            stack.callback(setattr, sink, "has_room", lambda: None)
        if terminal is not None:
            terminal.started()
        timed_out, interrupted = _attend(
            child, family, streams, kept, keyboard, signals, timeout, grace, interactive, due
        )
        if keyboard is not None and keyboard.interrupted and child.returncode in _INTERRUPTED:
            # Its terminal made a signal of it; at ours it would have reached us as well.
            signals.came.append(signal.SIGINT)
        left = family.end(signals, due)
        for one in streams:
            one.finish()
        if child.returncode != 0 and interrupted is None:
            # It may have been sent the same signal as we, and have been quicker.
            interrupted = next((n for n in signals.came if child.returncode in (-n, 128 + n)), None)
        known = env if redact else None
        return Ran(
            child.returncode, timed_out, interrupted, left,
            last_line(streams[-1].end, known) or telling_line(streams[0].end, known),
        )  # fmt: skip


def _pass_on(
    family: "_Family",
    terminal: PseudoTerminal | None,
    due: Callable[[], tuple[float, int | None]] | None,
    number: int,
) -> None:
    """Stop a command, or have it go on; a terminal of its own: ours is as it was meanwhile.

    Before it goes on it is looked whether it still may.
    """
    if terminal is not None and number == signal.SIGSTOP:
        terminal.cooked()
    elif terminal is not None and number == signal.SIGCONT:
        terminal.raw()
    if number == signal.SIGCONT and due is not None:
        instead = due()[1]
        if instead is not None:
            family.send(instead)
        if instead in (signal.SIGKILL, signal.SIGSTOP):
            return
    family.send(number)


def _attend(
    child: "subprocess.Popen[bytes]",
    family: "_Family",
    streams: list[Stream],
    kept: list[Redacted],
    keyboard: Keyboard | None,
    signals: Signals,
    timeout: float | None,
    grace: float,
    interactive: bool,
    due: Callable[[], tuple[float, int | None]] | None,
) -> tuple[bool, int | None]:
    """Attend to a command until it has ended; return whether its time was up, and a signal to us."""
    begun, stopped = time.monotonic(), signals.stopped
    limit, timed_out, passed, interrupted = timeout, False, 0, None
    sent: int | None = None
    with selectors.DefaultSelector() as waiting:
        waiting.register(signals.descriptor, selectors.EVENT_READ)
        for one in streams:
            waiting.register(one.pipe, selectors.EVENT_READ, one)
        if keyboard is not None:
            keyboard.hold(waiting)
        while child.poll() is None:
            # While we were stopped its clock stood still, as it did itself.
            spent = time.monotonic() - begun - (signals.stopped - stopped)
            wait = _LONGEST if limit is None else min(_LONGEST, max(0.0, limit - spent))
            if due is not None:
                again, number = due()
                if number is not None and (number != sent or number == signal.SIGKILL):
                    sent = number
                    family.send(number)
                wait = min(wait, again)
            if any(one.held for one in streams):
                wait = min(wait, PATIENCE / 10)
            if keyboard is not None and keyboard.ended:
                wait = min(wait, pseudo_terminal.AGAIN)
            if any(one.waits for one in kept):
                wait = min(wait, PAUSE)
            for key, _ in waiting.select(wait):
                if key.data is None:
                    signals.drain()
                else:
                    key.data.copy()
            for one in streams:
                one.hold(waiting)
            for output in kept:
                output.pause()
            if keyboard is not None:
                keyboard.hold(waiting)
            if child.poll() is not None:
                break  # what it did counts: what comes now is too late to change it
            while passed < len(signals.came):
                number = signals.came[passed]
                interrupted = interrupted or number
                passed += 1
                # At a terminal Ctrl-C has reached the command already.
                if passed > 1:
                    family.send(signal.SIGKILL)
                elif not (interactive and number == signal.SIGINT):
                    family.send(number)
            spent = time.monotonic() - begun - (signals.stopped - stopped)
            if limit is not None and spent >= limit:
                family.send(signal.SIGKILL if timed_out else signal.SIGTERM)
                limit = None if timed_out else spent + grace
                timed_out = True
    return timed_out, interrupted


def _start(
    command: Sequence[str], cwd: str, env: dict[str, str], **how: object
) -> "subprocess.Popen[bytes]":
    """Start a command as a shell would: a script without ``#!`` is one for sh."""
    try:
        return subprocess.Popen(command, cwd=cwd, env=env, **how)  # type: ignore[call-overload,no-any-return]
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        script = _script(command[0], cwd, env)
        if script is None:
            raise
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        ["/bin/sh", script, *command[1:]], cwd=cwd, env=env, **how
    )


def _script(name: str, cwd: str, env: dict[str, str]) -> str | None:
    """Return the path of a program that the system cannot start; None where it is no text."""
    folders = [""] if "/" in name else os.get_exec_path(env)
    for folder in folders:
        path = os.path.join(cwd, folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            with open(path, "rb") as stream:
                return None if b"\0" in stream.read(512) else path
    return None


class _Family:
    """A command's processes: those of its session, or at a terminal its descendants."""

    def __init__(self, child: "subprocess.Popen[bytes]", *, alone: bool) -> None:
        self.child = child
        self.alone = alone

    def send(self, number: int) -> None:
        """Send all of them a signal."""
        if self.alone:
            # At once, also those that are just being made; then the groups that timeout(1), and a
            # shell with job control, have made of their own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, number)
            for pid in self._of_the_session():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if os.getpgid(pid) != self.child.pid:
                        os.kill(pid, number)
            return
        for process in self._descendants():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.child.pid)
            return [first, *first.children(recursive=True)]
        return []

    def end(
        self, signals: Signals, due: Callable[[], tuple[float, int | None]] | None = None
    ) -> int:
        """End what goes on after the command, at once at a signal; return how many those were.

        Or where ``due`` says so.

        One that leaves the session by itself is none of them: a hook's recorder is in it for the moment
        that it takes to begin a session of its own.
        """
        if not self.alone:
            return 0  # whose they are cannot be told once their parent is gone
        alive, ended = self._members(), 0
        if alive:
            self.send(signal.SIGTERM)
            until, heard = time.monotonic() + GRACE / 2, len(signals.came)
            while alive and time.monotonic() < until and len(signals.came) == heard:
                if due is not None and due()[1] == signal.SIGKILL:
                    break
                gone, alive = psutil.wait_procs(alive, timeout=0.05)
                ended += len(gone)
                alive = [process for process in alive if self._has(process)]
            if alive:
                self.send(signal.SIGKILL)
                psutil.wait_procs(alive, timeout=GRACE / 2)
        return ended + len(alive)

    def _has(self, process: psutil.Process) -> bool:
        try:
            return os.getsid(process.pid) == self.child.pid
        except OSError:  # it has ended
            return True

    def _of_the_session(self) -> list[int]:
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.child.pid:
                    found.append(pid)
        return found

    def _members(self) -> list[psutil.Process]:
        found = []
        for pid in self._of_the_session():
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(pid))
        return found
