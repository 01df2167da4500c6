"""A wire that can be cut: what one host has between itself and the server.

    with Proxy(server.port) as wire:
        url = server.url(database, port=wire.port)
        wire.stall()   # nothing passes, nothing is refused, nothing is lost: a network that went
        wire.pass_on() # all that was held arrives
        wire.mute()    # what is asked arrives, and no answer does
    wire.drop()    # what is open is reset, what is new refused: a server that went

A thread of the process that asks for it; no command returns before it holds.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from support_postgres import hold_port

_SIZE = 1 << 16
_ENOUGH = 1 << 22
"""Bytes that are held of one direction: then no more is read, and the sender waits."""


class _Way:
    """One direction of a connection: bytes that were read here, and when they may go on there."""

    def __init__(self, source: socket.socket, target: socket.socket, *, answers: bool) -> None:
        self.source, self.target = source, target
        self.answers = answers  # it comes from the server
        self.held: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.at_end = False  # nothing comes any more
        self.is_reset = False  # for the connection was reset
        self.told = False  # and the other side knows


class Proxy:
    """Passes on what is sent to `port`, to a port of 127.0.0.1, until told otherwise."""

    def __init__(self, to: int) -> None:
        """Pass all on to the port ``to``, where perhaps nobody listens yet."""
        self._to = to
        self._held, self.port = hold_port()
        self._state: Literal["pass", "stall", "mute", "drop"] = "pass"
        self._delay = 0.0
        self._left: int | None = None
        self._listening: socket.socket | None = None
        self._ways: list[_Way] = []
        self._commands: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._waker, self._wake = socket.socketpair()
        self._ends = False
        self.passed = 0
        """Bytes that went on, both ways together."""
        self.cut = threading.Event()
        """Set when `cut_after` has cut."""
        self._listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pass_on(self) -> None:
        """Pass all on again, what was held first."""
        self._command(self._passing)

    def stall(self) -> None:
        """Take connections and bytes and keep them, both ways. Nothing is lost."""
        self._command(lambda: setattr(self, "_state", "stall"))

    def mute(self) -> None:
        """Pass on what is asked, and keep what is answered."""
        self._command(lambda: setattr(self, "_state", "mute"))

    def drop(self) -> None:
        """Reset all connections, with what is held of them, and refuse new ones."""
        self._command(self._dropping)

    def reset(self) -> None:
        """Reset all connections; new ones are taken as before."""
        self._command(self._resetting)

    def delay(self, seconds: float) -> None:
        """Have each byte arrive so much later, in both directions."""
        self._command(lambda: setattr(self, "_delay", seconds))

    def cut_after(self, count: int) -> None:
        """Pass so many bytes more, both ways together, then `drop`; see `cut`."""
        self.cut.clear()
        self._command(lambda: setattr(self, "_left", count))

    def close(self) -> None:
        """End it, and each connection."""
        self._command(self._dropping)
        self._ends = True
        self._wake.send(b".")
        self._thread.join()
        for one in (self._held, self._waker, self._wake):
            one.close()

    def __enter__(self) -> "Proxy":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _command(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self._commands.append((what, done))
        self._wake.send(b".")
        assert done.wait(60), "the proxy's thread has ended"

    # What follows runs in the thread.

    def _listen(self) -> None:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self.port))
        self._listening.listen(256)

    def _passing(self) -> None:
        self._state, self._left = "pass", None
        if self._listening is None:
            self._listen()

    def _dropping(self) -> None:
        self._state, self._left = "drop", None
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self._resetting()

    def _resetting(self) -> None:
        for way in list(self._ways):
            _reset(way.source)
        self._ways = []

    def _serve(self) -> None:
        while not self._ends:
            ready, able = self._watch()
            if self._waker in ready:
                self._waker.recv(1 << 10)
                while self._commands:
                    what, done = self._commands.popleft()
                    what()
                    done.set()
                continue  # what was ready is of the state before
            if self._listening is not None and self._listening in ready:
                self._accept()
            for way in list(self._ways):
                if way in self._ways and way.source in ready:
                    self._read(way)
            for way in list(self._ways):
                if way in self._ways and way.target in able:
                    self._write(way)

    def _watch(self) -> tuple[set[Any], set[Any]]:
        """Wait until something can be done; return what can be read, and what written."""
        masks: dict[socket.socket, int] = {self._waker: selectors.EVENT_READ}
        # Stalled, the kernel takes connections by itself.
        if self._listening is not None and self._state != "stall":
            masks[self._listening] = selectors.EVENT_READ
        now, soonest = time.monotonic(), None
        for way in self._ways:
            if not way.at_end and way.size < _ENOUGH:
                masks[way.source] = masks.get(way.source, 0) | selectors.EVENT_READ
            if self._keeps(way) or way.told or not (way.held or way.at_end):
                continue
            due = way.held[0][0] if way.held else now
            if due <= now:
                masks[way.target] = masks.get(way.target, 0) | selectors.EVENT_WRITE
            else:
                soonest = due if soonest is None else min(soonest, due)
        with selectors.DefaultSelector() as selector:
            for one, mask in masks.items():
                selector.register(one, mask)
            found = selector.select(None if soonest is None else soonest - now)
        ready = {key.fileobj for key, mask in found if mask & selectors.EVENT_READ}
        return ready, {key.fileobj for key, mask in found if mask & selectors.EVENT_WRITE}

    def _keeps(self, way: _Way) -> bool:
        return self._state == "stall" or (self._state == "mute" and way.answers)

    def _accept(self) -> None:
        assert self._listening is not None
        near, _ = self._listening.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to), 60)
        except OSError:
            _reset(near)  # as far as a proxy can say that nobody is there
            return
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways += [_Way(near, far, answers=False), _Way(far, near, answers=True)]

    def _read(self, way: _Way) -> None:
        try:
            text = way.source.recv(_SIZE)
        except BlockingIOError:
            return
        except OSError:
            # That, too, is heard on the other side only when the wire is whole.
            way.held.clear()
            way.at_end = way.is_reset = self._other(way).told = True
            return
        if text:
            way.held.append((time.monotonic() + self._delay, text))
            way.size += len(text)
        else:
            way.at_end = True

    def _write(self, way: _Way) -> None:
        try:
            if way.is_reset:
                self._lost(way)
                return
            if not way.held:
                way.target.shutdown(socket.SHUT_WR)
                way.told = True
                self._perhaps_over(way)
                return
            due, text = way.held.popleft()
            way.size -= len(text)
            part = text if self._left is None else text[: self._left]
            try:
                sent = way.target.send(part) if part else 0
            except BlockingIOError:
                sent = 0
        except OSError:
            self._lost(way)
            return
        self.passed += sent
        if sent < len(text):
            way.held.appendleft((due, text[sent:]))
            way.size += len(text) - sent
        if self._left is not None:
            self._left -= sent
            if self._left == 0:
                self._dropping()
                self.cut.set()

    def _other(self, way: _Way) -> _Way:
        return next(one for one in self._ways if one.source is way.target)

    def _perhaps_over(self, way: _Way) -> None:
        other = self._other(way)
        if way.told and other.told:
            self._forget(way, other)
            way.source.close()
            way.target.close()

    def _lost(self, way: _Way) -> None:
        self._forget(way, self._other(way))
        _reset(way.source)
        _reset(way.target)

    def _forget(self, *ways: _Way) -> None:
        self._ways = [one for one in self._ways if one not in ways]


def _reset(one: socket.socket) -> None:
    """Close a connection by RST: with a linger of nothing, close(2) sends no FIN."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
