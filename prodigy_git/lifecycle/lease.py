"""The lease of a shared job's item: renewed while its command runs, which is ended before the lease.

No two hosts may work on one item. So a lease counts from before it was asked for, by our own clocks
(`elapsing`), and what cannot be renewed in time is ended before it is over: asked to, then made to.
Whoever wakes up, from a stop or from the sleep of the machine, looks first.

Two see to it: `run` itself, and a process beside it (`lease_guard`), which does so too where `run` was
killed, or is stopped.
"""

import signal
import sqlite3
import threading
from dataclasses import dataclass

from prodigy_git import duration
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.jobs import leases
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import command_process, elapsing
from prodigy_git.lifecycle.elapsing import Moment
from prodigy_git.lifecycle.lease_guard import Guard
from prodigy_git.record import clock
from prodigy_git.store.broken import Broken

SETTING = "prodigy.lease"
DEFAULT = 5 * 60 * clock.SECOND
"""How long a claim of `run` lives without being renewed, in microseconds."""
SHORTEST = 2 * clock.SECOND
_MARGIN = 20.0
"""Seconds before a lease's end at which its command is asked to end; at half as many it has to."""
_TURN = 0.2  # seconds after which is looked again whether a clock has jumped
_AGAIN = 5.0  # seconds after which what could not be renewed is tried again, at most
_ASKING = 5.0
"""Seconds for which a command is held where the time of day has jumped, until the hub has said more."""
_LAST = (
    2.0  # seconds between asking for the end and enforcing it, where the item is another's already
)


def length(cwd: str, asked: int | None) -> int:
    """Return how long a claim is to live, in microseconds: as ``asked``, else as git config says.

    Raises `ProdigyError` where that is no length of time, or too short to be renewed in.
    """
    text = None if asked is not None else repository.config(cwd, SETTING)
    found = asked if text is None else duration.parse(text)
    if text is None and found is None:
        return DEFAULT
    if found is None:
        raise ProdigyError(f"git config {SETTING} {text!r} is no duration: write 30s or 5m")
    if found < SHORTEST:
        raise ProdigyError(
            "a lease of less than 2 seconds cannot be renewed in time: write 30s or 5m"
        )
    return found


@dataclass(frozen=True)
class Terms:
    """On which terms items are claimed; ``lease`` is in microseconds."""

    lease: int
    guard: Guard | None
    """Who ends a command in time if we cannot; None: it goes on when its lease is lost."""

    @property
    def margin(self) -> float:
        """Seconds before the lease's end at which a command is asked to end."""
        return min(_MARGIN, self.lease / clock.SECOND / 4)


class Lease:
    """A claim's lease, kept by a thread from `start` to `stop`."""

    def __init__(
        self, where: tuple[str, str, str], claim: Claim, terms: Terms, asked: Moment, say: Broken
    ) -> None:
        """Begin with the claim that was ``asked`` for; ``where`` is (store, repository, job)."""
        self.terms = terms
        self._where, self._claim, self._say = where, claim, say
        self._granted = asked
        """Before the last request that was granted: from then on the lease counts."""
        self._tried = asked
        self._session: str | None = None
        self._taken = False
        self._ended = False
        self._trouble = ""
        self._held: Moment | None = None
        """Since when the command is held, since the time of day has jumped."""
        self._asked_to_end: Moment | None = None
        self._wake = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Begin to renew it."""
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more: it is about to be ended, or has been."""
        self._done = True
        self._wake.set()
        if self.terms.guard is not None:
            self.terms.guard.done()
        self._thread.join(_ASKING)  # one that waits for the hub does not keep us

    def command(self, session: str) -> None:
        """Take a session's command under guard, which is about to be started."""
        self._session = session
        if self.terms.guard is not None:
            seconds = self.terms.lease / clock.SECOND
            self.terms.guard.begin(
                self._where, session, self._granted, seconds - self.terms.margin,
                seconds - self.terms.margin / 2,
            )  # fmt: skip

    def lost(self) -> str | None:
        """Return why a command has to end, or had to: the item is another's, or will be soon."""
        if self.terms.guard is None or self._ended:
            return None
        if self._taken:
            return "its lease was lost: others may have the item by now"
        if self._asked_to_end is not None or self._left() <= self.terms.margin:
            why = f" ({self._trouble})" if self._trouble else ""
            return f"its lease could not be renewed in time{why}"
        return None

    def due(self) -> tuple[float, int | None]:
        """Return after how many seconds this is to be asked again, and the signal that is due now."""
        if self.terms.guard is None or self._ended:
            return 3600.0, None
        left, margin = self._left(), self.terms.margin
        if self._taken:
            self._asked_to_end = self._asked_to_end or elapsing.now()
            over = self._asked_to_end.by_boot() >= _LAST
            return _TURN, self._kill() if over else signal.SIGTERM
        jumped = left <= margin < self._left_by_boot()
        if jumped and (self._held is None or self._held.by_boot() < _ASKING):
            if self._held is None:
                self._held = elapsing.now()
                self._wake.set()
                return _TURN, signal.SIGSTOP
            return _TURN, None
        if left <= margin:
            if self._asked_to_end is None:
                self._asked_to_end = elapsing.now()
                self._say(f"item {self._claim.item_id}: {self.lost()}: its command is ended")
            return _TURN, self._kill() if left <= margin / 2 else signal.SIGTERM
        if self._held is not None:
            self._held = None
            return _TURN, signal.SIGCONT
        return min(_TURN, left - margin), None

    def _kill(self) -> int:
        """End what has left the command's session, too; return the signal that is due."""
        if self._session is not None:
            command_process.send(*self._where, self._session, signal.SIGKILL)
        return signal.SIGKILL

    def _left(self) -> float:
        return self.terms.lease / clock.SECOND - self._granted.passed()

    def _left_by_boot(self) -> float:
        return self.terms.lease / clock.SECOND - self._granted.by_boot()

    def _next(self) -> float:
        """Return after how many seconds it is to be renewed."""
        third = self.terms.lease / clock.SECOND / 3
        if self._held is not None and self._tried.boot < self._held.boot:
            return 0.0
        if self._tried != self._granted:
            return min(_AGAIN, third / 4) - self._tried.by_boot()
        return third - self._granted.passed()

    def _keep(self) -> None:
        while not (self._done or self._ended or self._taken):
            wait = self._next()
            if wait > 0:
                # Not for long: while the machine sleeps, so does the clock of this.
                self._wake.wait(min(wait, 1.0))
                self._wake.clear()
                continue
            self._try()

    def _try(self) -> None:
        asked = elapsing.now()
        try:
            standing = leases.keep(*self._where, self._claim, self.terms.lease, self._say)
        except (ProdigyError, OSError, sqlite3.Error) as trouble:
            self._tried = asked
            if not self._trouble and not self._done:
                what = (
                    "its command is ended" if self.terms.guard is not None else "others may have it"
                )
                self._say(
                    f"item {self._claim.item_id}: its lease cannot be renewed ({trouble}); unless it "
                    f"can be within {max(0, self._left()):.0f} seconds, {what}"
                )
            self._trouble = str(trouble)
            return
        if standing == "kept":
            self._granted = self._tried = asked
            self._trouble = ""
            if self.terms.guard is not None:
                self.terms.guard.extend(asked)
        elif standing == "ended":
            self._ended = True
            if self.terms.guard is not None:
                self.terms.guard.done()
        elif not self._done:
            self._taken = True
            if self._asked_to_end is None:
                becomes = "is ended" if self.terms.guard is not None else "goes on"
                self._say(f"item {self._claim.item_id}: its lease was lost, its command {becomes}")
