"""Several workers in one command: each a process of its own, and the one that they are started by.

A worker has a session of its own, so that a terminal's Ctrl-C reaches the one alone that started it. It
hears by a pipe that its starter is gone, and does then as at a TERM: its command is told, and its item
given back. What it does it tells by a socket, a line of JSON each.
"""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from prodigy_git.lifecycle.command_process import GRACE
from prodigy_git.lifecycle.interrupts import NO_MORE, Signals

GO_ON, STOP = b"+", b"-"


@dataclass(frozen=True)
class Member:
    """A worker's side."""

    number: int
    channel: socket.socket
    life: int
    """The reading end of the pipe that ends with who started us."""

    def begin(self) -> None:
        """Say that signals are heard from now on, and hear that the starter is gone."""
        main = threading.main_thread().ident

        def watch() -> None:
            while os.read(self.life, 1):
                pass
            # The second one enforces it: nobody else is there who could.
            for wait in (0.0, GRACE):
                time.sleep(wait)
                if main is not None:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pthread_kill(main, signal.SIGTERM)

        # A daemon: it does not keep the worker from ending.
        threading.Thread(target=watch, daemon=True).start()
        self.tell("ready")

    def tell(self, kind: str, **what: Any) -> None:
        """Tell the starter something; nobody may be there any more."""
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps({"kind": kind, **what}).encode("ascii") + b"\n")

    def ended(self, signals: Signals, attempt: dict[str, Any]) -> None:
        """Tell an attempt's end, and wait whether another item is to be taken."""
        self.tell("ended", **attempt)
        answer = STOP
        with contextlib.suppress(OSError):
            answer = self.channel.recv(1)
        if answer != GO_ON:
            signals.no_more = True


@dataclass
class Seat:
    """What the starter knows of a worker."""

    number: int
    pid: int
    channel: socket.socket
    pipes: tuple[int, ...]
    """Reading ends of the worker's standard output and error, or of one for both."""
    state: str = "looking"
    """``looking`` for an item, ``working`` on one, ``idle`` where there is none now, ``gone``."""
    looked: bool = True
    """Whether it has begun to look for an item since another one, which had one, ended."""
    ready: bool = False
    status: int | None = None
    """Its exit status, negative for the signal that it died by."""
    attempt: dict[str, Any] = field(default_factory=dict)
    """What it works on, as it told."""
    _unread: bytes = b""

    def told(self) -> list[dict[str, Any]]:
        """Return what has been told since the last time."""
        try:
            while data := self.channel.recv(1 << 16):
                self._unread += data
        except OSError:  # nothing more for now, or nobody there
            pass
        *whole, self._unread = self._unread.split(b"\n")
        return [json.loads(line) for line in whole]

    def answer(self, word: bytes) -> None:
        """Say whether the worker is to go on."""
        with contextlib.suppress(OSError):
            self.channel.send(word)

    def send(self, number: int) -> None:
        """Send the worker a signal, unless it has ended: its number may be another's then."""
        if self.status is None and (number != NO_MORE or self.ready):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Pool:
    """The starter's side; ``life`` is the pipe that ends with it."""

    seats: list[Seat]
    life: int


def start(count: int, *, one: bool) -> Pool | Member:
    """Fork workers. Return a `Member` in each of them, and the `Pool` where this was called.

    ``one``: standard output and error lead to one place, so a worker's are one pipe, too. Called while
    there is no other thread. Raises `OSError`; the workers that there are by then end.
    """
    reading, writing = os.pipe()
    seats: list[Seat] = []
    try:
        for number in range(1, count + 1):
            ours, theirs = socket.socketpair()
            pipes = [os.pipe() for _ in range(1 if one else 2)]
            pid = os.fork()
            if pid == 0:
                os.setsid()
                os.close(writing)
                ours.close()
                for seat in seats:  # or they would not hear that their starter is gone
                    seat.channel.close()
                    for pipe in seat.pipes:
                        os.close(pipe)
                _stand_in([end for _, end in pipes])
                for end in (end for pair in pipes for end in pair):
                    os.close(end)
                return Member(number, theirs, reading)
            theirs.close()
            for _, end in pipes:
                os.close(end)
            ours.setblocking(False)
            seats.append(Seat(number, pid, ours, tuple(end for end, _ in pipes)))
    except OSError:
        os.close(writing)
        for seat in seats:
            seat.send(signal.SIGTERM)
        raise
    os.close(reading)
    return Pool(seats, writing)


def _stand_in(outputs: list[int]) -> None:
    """Have pipes as standard output and error, and nothing as standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(outputs[0], 1)
    os.dup2(outputs[-1], 2)
