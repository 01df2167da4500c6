"""Working on one item until it is done, or on item after item: trying again, waiting for more."""

import os
import time
from collections.abc import Callable

from prodigy_git.errors import Away, ProdigyError
from prodigy_git.jobs import books, claims, endings
from prodigy_git.lifecycle import ready
from prodigy_git.lifecycle.run import Attempt, NoWorktree, Worker, attempt
from prodigy_git.record import clock

_TURN = 1.0  # seconds after which one of a pool looks again whether there is an item
_LONGEST_TURN = 15.0
"""Seconds after which one that waits looks again, at most: it asks a server that others work with."""
_TROUBLES = 2
"""How often in a row a worktree cannot be made before the worker stops."""


class _Patience:
    """How long a worker waits on: for an item that comes back, for a hub that is away."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.anew()

    def anew(self) -> None:
        """Begin to count anew: something was to be had."""
        self._since: float | None = None
        self._turn = _TURN
        self._said = False

    def more(self, why: str | None = None) -> bool:
        """Wait for a while; False where it is not to be waited, or has been for long enough.

        ``why`` is said the first time. Raises `Interrupted`.
        """
        most = self._worker.wish.wait
        now = time.monotonic()
        self._since = self._since or now
        left = 0.0 if most is None else self._since + most - now
        if left <= 0 or self._worker.signals.no_more:
            return False
        if why is not None and not self._said:
            self._worker.broken(f"{why}; waiting for it")
            self._said = True
        # Not all workers of all hosts at once.
        turn = self._turn * (0.5 + os.getpid() % 64 / 128)
        self._worker.signals.sleep(min(turn, left), at_most_for_more=True)
        self._turn = min(self._turn * 1.5, _LONGEST_TURN)
        return True


def until_done(
    worker: Worker, item: str | None, after: Callable[[Attempt], None]
) -> Attempt | None:
    """Work on one item, again and again until it is completed or given up; None if there is none.

    ``after`` is called with each attempt. Raises as `attempt`; `Interrupted` only while nothing runs.
    """
    last: Attempt | None = None
    troubles, patience = 0, _Patience(worker)
    while True:
        try:
            done = attempt(worker, item)
            if done is None and last is None and _may_come(_left(worker)) and patience.more():
                continue
        except NoWorktree as trouble:
            troubles = _once_more(worker, trouble, troubles)
            continue
        except Away as trouble:
            if patience.more(str(trouble)):
                continue
            if last is None:
                raise
            worker.broken(f"item {last.item_id} is not tried again: {trouble}")
            return last
        except (ProdigyError, OSError) as trouble:
            if last is None or isinstance(trouble, ready.CannotStart):
                raise
            # Somebody else has taken it, or ended it: that is not this attempt's end.
            worker.broken(f"item {last.item_id} is not tried again: {trouble}")
            return last
        if done is None:
            if last is not None:
                worker.broken(
                    f"item {last.item_id} is not tried again: job {worker.job} hands out none"
                )
            return last
        troubles = 0
        patience.anew()
        last = done
        after(done)
        item = done.item_id
        if worker.signals.came or done.ready_at is None:
            return done
        _sleep_until(worker, done.ready_at)


def until_none_is_left(
    worker: Worker, after: Callable[[Attempt], None]
) -> tuple[int, claims.Waiting]:
    """Work on item after item; return how many this worker failed for good, and what is left.

    Where all that is pending waits for its next try, or for items that others have in progress, this
    waits too; not for those themselves, unless the others are of the same pool, or `Wish.wait` says
    so. Ends early where no other item is to be taken (`Signals.no_more`). Raises as `attempt`;
    `Interrupted` after the attempt during which a signal came.
    """
    given_up = troubles = 0
    patience = _Patience(worker)
    while True:
        done = None
        try:
            if not worker.signals.no_more:
                done = attempt(worker, None)
            left = None if done is not None else _left(worker)
        except NoWorktree as trouble:
            troubles = _once_more(worker, trouble, troubles)
            continue
        except Away as trouble:
            if patience.more(str(trouble)):
                continue
            raise
        if done is not None:
            troubles = 0
            patience.anew()
            after(done)
            given_up += done.state in ("dead", "failed")
            worker.signals.check()
            continue
        assert left is not None
        is_open = left.status == "running" and not left.stuck
        if worker.signals.no_more or not (is_open or _may_come(left)):
            return given_up, left
        if is_open and left.pending:
            if left.ready_at is not None:
                _sleep_until(worker, left.ready_at)
        elif _may_come(left) and worker.wish.wait is not None:
            if not patience.more():
                return given_up, left
        # The others may give theirs back, or add some.
        elif worker.member is None or not (is_open and left.in_progress):
            return given_up, left
        else:
            worker.member.tell("idle")
            worker.signals.sleep(_TURN, at_most_for_more=True)
            worker.member.tell("looking")


def _left(worker: Worker) -> claims.Waiting:
    return claims.waiting(worker.store, worker.repo, worker.job, worker.broken)


def _may_come(left: claims.Waiting) -> bool:
    """Whether there may be an item again, if it is waited for."""
    return left.status not in books.ENDED and bool(left.pending or left.in_progress)


def _once_more(worker: Worker, trouble: NoWorktree, troubles: int) -> int:
    """Wait before another worktree is tried; where the one before could not be made either, raise."""
    if troubles + 1 >= _TROUBLES:
        raise trouble
    worker.broken(str(trouble))
    worker.signals.sleep(endings.backoff(1, worker.wish.backoff) / 1000)
    return troubles + 1


def _sleep_until(worker: Worker, moment: int) -> None:
    seconds = max(0, moment - clock.now()) / clock.SECOND
    if worker.wish.terms is not None:  # it is a moment by the server's clock
        seconds = min(max(seconds, _TURN / 4), _LONGEST_TURN)
    worker.signals.sleep(seconds, at_most_for_more=True)
