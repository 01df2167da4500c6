"""What the starter of a pool does until its workers have ended: pass on, notice, and tell them.

If it is killed, each of its workers hears that, ends its command and gives its item back.
"""

import os
import selectors
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle import command_process
from prodigy_git.lifecycle.failing_alike import InARow
from prodigy_git.lifecycle.interrupts import NO_MORE, Signals
from prodigy_git.lifecycle.pool import GO_ON, STOP, Pool, Seat
from prodigy_git.lifecycle.run import Attempt
from prodigy_git.lifecycle.sinks import PATIENCE, Ours
from prodigy_git.lifecycle.streams import Stream, WholeLines

_LONGEST = 3600.0  # seconds; epoll_wait(2) takes no more than a few weeks
_LINE = 1 << 23  # bytes: a worker's own lines are shorter


class View(Protocol):
    """Where the workers' lines go, and where it is shown what they do."""

    every: float | None
    """After how many seconds `refresh` is to be called, whatever happens."""

    def out(self, lines: bytes) -> None:
        """Write lines to standard output."""

    def err(self, lines: bytes) -> None:
        """Write lines to standard error."""

    def refresh(self, seats: list[Seat]) -> None:
        """Show how it stands; called after anything has happened."""

    def ended(self, attempt: dict[str, object]) -> None:
        """Take an attempt's end, as `Attempt.as_json`."""


@dataclass(frozen=True)
class Outcome:
    """How a pool ended: the workers' exit statuses, and the signal that it was asked to end by."""

    statuses: list[int]
    interrupted: int | None


class _Supervisor:
    def __init__(
        self, where: tuple[str, str, str], pool: Pool, ours: Ours, signals: Signals,
        in_a_row: InARow, view: View, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.where, self.pool, self.signals = where, pool, signals
        self.in_a_row, self.view, self.say = in_a_row, view, say
        self.streams: dict[int, list[Stream]] = {}
        self.no_more = False
        self.asked = 0
        """How many of the signals that came have been seen to."""
        self.endings: list[command_process.Ending] = []
        """Commands of workers that have died: these have to be ended from here."""
        for seat in pool.seats:
            ends = zip(seat.pipes, (ours.out, ours.err), (view.out, view.err), strict=False)
            self.streams[seat.number] = [
                Stream(pipe, sink, lines=WholeLines(longest=_LINE), put=put)
                for pipe, sink, put in ends
            ]

    def live(self) -> list[Seat]:
        return [seat for seat in self.pool.seats if seat.status is None]

    def tell_all(self, number: int) -> None:
        for seat in self.live():
            seat.send(number)

    def pass_on(self, number: int) -> None:
        # A worker stops its command with itself; it has no terminal that would tell it to.
        self.tell_all(signal.SIGTSTP if number == signal.SIGSTOP else number)

    def take_no_more(self) -> None:
        if not self.no_more:
            self.no_more = True
            self.tell_all(NO_MORE)

    def hear(self, seat: Seat) -> None:
        for told in seat.told():
            kind = told.pop("kind")
            if kind == "ready":
                seat.ready = True
                if self.no_more:
                    seat.send(NO_MORE)
                if self.asked > 1 or (self.asked and self.signals.came[0] != signal.SIGINT):
                    seat.send(signal.SIGTERM)
            elif kind == "began":
                seat.state, seat.attempt = "working", told
            elif kind == "ended":
                seat.state, seat.attempt = "looking", {}
                self.view.ended(told)
                if self.in_a_row.note(_attempt(told)):
                    self.take_no_more()
                seat.answer(STOP if self.no_more else GO_ON)
            else:
                seat.state = kind
                seat.looked = seat.looked or kind == "looking"

    def see_whether_all_are_idle(self) -> None:
        live = self.live()
        if live and not self.endings and all(one.state == "idle" and one.looked for one in live):
            self.take_no_more()

    def look_again(self) -> None:
        # What one that has ended had may be had again. What the others have told by now, they may have
        # found out before that.
        for one in self.live():
            self.hear(one)
            one.looked = False

    def see_to_signals(self) -> None:
        while self.asked < len(self.signals.came):
            number = self.signals.came[self.asked]
            self.asked += 1
            if number == signal.SIGINT and self.asked == 1:
                working = sum(one.state == "working" for one in self.live())
                self.take_no_more()
                self.say(
                    f"no other item is taken; {working} in progress go on: Ctrl-C again ends them "
                    "and gives them back"
                )
            else:
                self.take_no_more()
                self.tell_all(signal.SIGTERM)

    def reap(self, waiting: selectors.BaseSelector) -> None:
        for seat in self.live():
            pid, status = os.waitpid(seat.pid, os.WNOHANG)
            if pid == 0:
                continue
            self.hear(seat)
            seat.status = os.waitstatus_to_exitcode(status)
            waiting.unregister(seat.channel)
            seat.channel.close()
            for one in self.streams[seat.number]:
                one.finish()
                if one.pipe in waiting.get_map():
                    waiting.unregister(one.pipe)
                os.close(one.pipe)
            if seat.status < 0 or seat.state == "working":
                self.say(self.of_the_dead(seat))
            seat.state = "gone"
            self.look_again()

    def of_the_dead(self, seat: Seat) -> str:
        status = seat.status or 0
        how = f"died by signal {-status}" if status < 0 else f"ended with exit status {status}"
        text = f"worker {seat.number} {how}; {len(self.live())} go on"
        if seat.state != "working":
            return text
        item, session = str(seat.attempt["item_id"]), str(seat.attempt["session_id"])
        try:
            command = command_process.find(*self.where, session)
            if command is not None:
                self.endings.append(command_process.Ending(command))
        except ProdigyError as trouble:
            text += f"; its command may go on ({trouble})"
        return f"{text}. It worked on item {item}, which is tried again as after a failure"

    def end_what_was_left(self) -> None:
        for one in list(self.endings):
            try:
                if one.go_on():
                    self.endings.remove(one)
                    self.look_again()
            except ProdigyError as trouble:
                self.say(str(trouble))
                self.endings.remove(one)


def _attempt(told: dict[str, Any]) -> Attempt:
    fields = dict(told)
    fields["interrupted"] = fields.pop("signal")
    return Attempt(**fields)


def supervise(
    where: tuple[str, str, str], pool: Pool, ours: Ours, signals: Signals, in_a_row: InARow,
    view: View, say: Callable[[str], None],
) -> Outcome:  # fmt: skip
    """Attend to a pool until all its workers have ended; ``where`` is (store, repository, job).

    The first INT has no other item taken; a second, and any other signal that asks for the end, ends
    the commands, and the workers give their items back. One more enforces it. Once all workers are
    idle, or enough items failed alike, no other item is taken either. A worker that dies is not
    replaced; what its command left is ended.
    """
    mind = _Supervisor(where, pool, ours, signals, in_a_row, view, say)
    signals.pass_on = mind.pass_on
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(signals.descriptor, selectors.EVENT_READ)
            for seat in pool.seats:
                waiting.register(seat.channel, selectors.EVENT_READ, seat)
            while mind.live() or mind.endings:
                wait = _LONGEST if view.every is None else view.every
                streams = [one for seat in mind.live() for one in mind.streams[seat.number]]
                for one in streams:
                    one.hold(waiting)
                if any(one.held for one in streams):
                    wait = min(wait, PATIENCE / 10)
                if mind.endings:
                    wait = min(wait, 0.1)
                for key, _ in waiting.select(wait):
                    if key.data is None:
                        signals.drain()
                    elif isinstance(key.data, Seat):
                        mind.hear(key.data)
                    else:
                        key.data.copy()
                mind.see_to_signals()
                mind.reap(waiting)
                mind.end_what_was_left()
                mind.see_whether_all_are_idle()
                view.refresh(pool.seats)
    finally:
        signals.pass_on = None
        os.close(pool.life)
    statuses = [seat.status or 0 for seat in pool.seats]
    return Outcome(statuses, signals.came[0] if signals.came else None)
