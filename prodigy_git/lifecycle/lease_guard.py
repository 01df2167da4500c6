"""A process beside `run` that ends a command whose lease is nearly over, if `run` is killed or stopped.

It holds nothing: no lock, no output, none of `run`'s files but a pipe, by which it hears of the command
and of the lease. Where the pipe ends, nobody renews the lease any more: the command may go on until
shortly before that is over. It has a session of its own, so that neither a terminal nor a signal to
`run`'s group reaches it.
"""

import contextlib
import json
import os
import select
import signal
import time
from dataclasses import dataclass
from typing import Any

from prodigy_git.lifecycle import command_process, elapsing
from prodigy_git.lifecycle.elapsing import Moment

_TURN = 0.2  # seconds
_SLOWLY = 1.0  # seconds after which is looked whether a command is still there
_JUMP = 6.0
"""Seconds for which `run` may find out what a jump of the time of day means: longer than it takes."""


class Guard:
    """`run`'s side: what it tells is lost where nobody listens, and never waits."""

    def __init__(self, writing: int, pid: int) -> None:
        """Speak to the process ``pid`` by a pipe."""
        self._writing, self._pid = writing, pid
        os.set_blocking(writing, False)

    def begin(
        self, where: tuple[str, str, str], session: str, granted: Moment, ask: float, make: float
    ) -> None:
        """Tell of a command that is to end ``ask`` seconds after ``granted``, by force at ``make``."""
        self._tell(where=where, session=session, granted=granted, ask=ask, make=make)

    def extend(self, granted: Moment) -> None:
        """Tell that its lease counts from ``granted`` on."""
        self._tell(granted=granted)

    def done(self) -> None:
        """Tell that there is no command any more, or that its claim has ended."""
        self._tell(session=None)

    def close(self) -> None:
        """Let it go."""
        os.close(self._writing)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _tell(self, **what: Any) -> None:
        with contextlib.suppress(OSError):
            os.write(self._writing, json.dumps(what).encode("ascii") + b"\n")


def start() -> Guard:
    """Fork the process. Called while there is no other thread. Raises `OSError`."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        status = 1
        try:
            _alone(reading)
            _watch(3)
            status = 0
        finally:
            os._exit(status)
    os.close(reading)
    return Guard(writing, pid)


def _alone(reading: int) -> None:
    """Have nothing of `run`'s but the pipe, as descriptor 3, and heed none of its signals."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTSTP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(reading, 3)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.closerange(4, 1 << 20)
    os.chdir("/")


@dataclass
class _Watched:
    """A command, and the lease of its item."""

    where: tuple[str, str, str]
    session: str
    granted: Moment
    ask: float
    make: float
    jumped: Moment | None = None
    """Since when only the time of day says that the lease is over."""
    asked: bool = False
    """Whether it was asked to end."""

    def due(self) -> int | None:
        """Return the signal that is due."""
        passed = self.granted.by_boot()
        if self.granted.passed() < self.ask:
            self.jumped = None
            return None
        if passed < self.ask:
            self.jumped = self.jumped or elapsing.now()
            if self.jumped.by_boot() < _JUMP:
                return None
            passed = self.granted.passed()
        return int(signal.SIGKILL if passed >= self.make else signal.SIGTERM)


def _watch(pipe: int) -> None:
    watched: _Watched | None = None
    unread, listening, looked = b"", True, time.monotonic()
    while listening or watched is not None:
        wait = None if watched is None else _TURN
        ready = select.select([pipe] if listening else [], [], [], wait)[0]
        if ready:
            data = os.read(pipe, 1 << 16)
            listening = bool(data)
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                watched = _heard(watched, json.loads(line))
        if watched is None:
            continue
        number = watched.due()
        if number == signal.SIGKILL or (number is not None and not (listening or watched.asked)):
            # To end by itself it is asked once, and by `run`, if that is there.
            watched.asked = True
            there = command_process.send(*watched.where, watched.session, number)
        elif listening or time.monotonic() - looked < _SLOWLY:
            continue
        else:
            looked = time.monotonic()
            there = command_process.send(*watched.where, watched.session, 0)
        if not (there or listening):
            return


def _heard(watched: _Watched | None, told: dict[str, Any]) -> _Watched | None:
    if told.get("session", "") is None:
        return None
    if "session" in told:
        store, repo, job = told["where"]
        return _Watched(
            (store, repo, job), told["session"], Moment(*told["granted"]), told["ask"], told["make"]
        )
    if watched is not None:
        watched.granted = Moment(*told["granted"])
    return watched
