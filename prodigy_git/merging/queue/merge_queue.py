"""The merge queue: results brought into a branch one after the other, each checked before it counts.

Who calls it holds no lock. The lock of the branch is taken for the whole call; everything is tried in
the workplace, and the branch moves, by `branch_moves.move`, only when a check has passed on the very
tree that it gets. What conflicts or fails is noted and passed over.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle.interrupts import Signals
from prodigy_git.merging.queue import (
    branch_moves,
    checking,
    choosing,
    culprits,
    giving_back,
    joining,
    outcomes,
    resolving,
    steadily,
    workplace,
)
from prodigy_git.merging.queue import target as targets
from prodigy_git.merging.queue.branch_moves import Moved
from prodigy_git.merging.queue.checking import Command
from prodigy_git.merging.queue.choosing import Order
from prodigy_git.merging.queue.joining import Joined, Way, Work
from prodigy_git.merging.queue.outcomes import Outcome
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.queue.workplace import Workplace
from prodigy_git.merging.results.results import Result
from prodigy_git.store.events import Broken

_AGAIN = 10
"""How often something is merged anew since the branch was moved meanwhile."""


@dataclass(frozen=True)
class Wish:
    """How is merged, what has to pass, and what becomes of what conflicts."""

    way: Way = "merge"
    check: Command | None = None
    resolve: Command | None = None
    requeue: bool = False
    bisect: bool = False
    trailers: bool = False
    """Whether commits name the session and the job, as git config ``prodigy.trailers`` wants it."""


@dataclass
class Done:
    """What came of a call: ``moved`` and ``finished`` (begun by a call that was killed) in order."""

    old: str
    outcomes: list[Outcome] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    finished: list[Moved] = field(default_factory=list)
    interrupted: int | None = None


@dataclass
class _Bench:
    """What the steps of one call have in common."""

    target: Target
    place: Workplace
    wish: Wish
    signals: Signals
    broken: Broken
    lock: int
    run: str
    done: Done
    told: Callable[[Outcome], None]
    doing: Callable[[str], None]

    def note(self, outcome: Outcome) -> None:
        """Keep what came of a result, and tell it."""
        self.done.outcomes.append(outcome)
        self.told(outcome)

    def leave(self, results: Sequence[Result], why: str) -> None:
        """Say of those of which nothing was said yet that they were not tried."""
        said = [outcome.result for outcome in self.done.outcomes]
        for one in results:
            if not any(one is other for other in said):
                self.note(Outcome(one, "not_tried", reason=why))


@dataclass(frozen=True)
class _Link:
    """A result, and the commit that brings it onto the one before."""

    result: Result
    commit: str
    resolved: bool


def merge(
    target: Target,
    results: Sequence[Result],
    wish: Wish,
    *,
    order: Order | None,
    signals: Signals,
    told: Callable[[Outcome], None],
    doing: Callable[[str], None] = lambda _: None,
    broken: Broken,
) -> Done:
    """Bring results into the branch, in an order as `choosing.plan`; return what came of each.

    ``told`` is called with each as it is known, ``doing`` with a line on what may take long. What an
    earlier call has left half-done is finished first. After a signal no more is begun. Raises
    `ProdigyError` where another merge into the branch is under way, or git fails as such; `OSError`.
    What was merged until then stays.
    """
    lock = targets.lock(target)
    try:
        done = Done(target.tip())
        done.finished = branch_moves.settle(target, lock, broken)
        workplace.sweep(target)
        plan = choosing.plan(target, results, order, keep=True, broken=broken)
        for _, outcome in sorted(plan.known.items()):
            done.outcomes.append(outcome)
            told(outcome)
        giving_back.forget(
            target,
            [
                outcomes.merged(one.result, "")
                for one in plan.known.values()
                if one.state == "already_merged"
            ],
        )
        todo = [one for n, one in enumerate(plan.results) if n not in plan.known]
        if todo:
            place = workplace.make(target, target.tip())
            try:
                bench = _Bench(
                    target,
                    place,
                    wish,
                    signals,
                    broken,
                    lock,
                    names.fresh("run"),
                    done,
                    told,
                    doing,
                )
                for batch in [todo] if wish.bisect else [[one] for one in todo]:
                    _batch(bench, batch)
            finally:
                workplace.remove(place)
        if signals.came:
            done.interrupted = signals.came[0]
        return done
    finally:
        os.close(lock)


def _batch(bench: _Bench, results: Sequence[Result]) -> None:
    """Merge some results, check them together, and move the branch; halve them where that fails."""
    for _ in range(_AGAIN):
        if bench.signals.came:
            return bench.leave(results, "interrupted")
        tip = bench.target.tip()
        try:
            chain, later = _chained(bench, tip, results)
            results = [*(link.result for link in chain), *later]
            if not results:
                return None
            if bench.signals.came or not chain:
                continue
            passed = _check(bench, chain)
        except ProdigyError:
            if bench.signals.came:  # a Ctrl-C at the terminal has ended git, too
                continue
            raise
        if passed is None:  # interrupted
            continue
        try:
            if passed:
                _move(bench, tip, chain)
            elif len(chain) > 1:
                _halves(bench, chain)
        except branch_moves.Elsewhere as error:
            bench.broken(f"{error}: merged and checked again")
            continue
        except branch_moves.Refused as error:
            if len(chain) > 1:
                _halves(bench, chain)
            else:
                bench.note(Outcome(chain[0].result, "refused", reason=str(error)))
        return _batch(bench, later) if later else None
    return bench.leave(results, f"{bench.target.branch} was moved {_AGAIN} times meanwhile")


def _halves(bench: _Bench, chain: Sequence[_Link]) -> None:
    middle = len(chain) // 2
    for half in (chain[:middle], chain[middle:]):
        _batch(bench, [link.result for link in half])


def _chained(
    bench: _Bench, tip: str, results: Sequence[Result]
) -> tuple[list[_Link], list[Result]]:
    """Bring results onto each other; return the links, and what may conflict with these alone."""
    chain: list[_Link] = []
    later = []
    onto = tip
    for one in results:
        if bench.signals.came:
            later.append(one)
            continue
        work = _work(bench, one)
        joined = joining.join(bench.place, onto, work, bench.wish.way, bench.target.branch)
        resolved = False
        if joined.state in ("conflict", "refused") and bench.signals.came:
            later.append(one)  # a Ctrl-C at the terminal has ended git, too
            continue
        if joined.state == "conflict" and chain:
            # Perhaps with one that is not merged in the end: decided when that is known.
            later.append(one)
            continue
        if joined.state == "conflict" and bench.wish.resolve is not None:
            joined = _resolve(bench, onto, one, work, joined)
            resolved = joined.state == "joined"
            if not resolved and bench.signals.came:
                later.append(one)
                continue
        if joined.state == "joined":
            onto = str(joined.commit)
            chain.append(_Link(one, onto, resolved))
        elif joined.state == "conflict":
            _note_conflict(bench, tip, one, joined)
        elif joined.state == "refused":
            bench.note(Outcome(one, "refused", reason=joined.text))
        else:
            bench.note(Outcome(one, _why_nothing(bench, one)))
    return chain, later


def _work(bench: _Bench, one: Result) -> Work:
    trailers: list[str] = []
    if bench.wish.trailers:
        if one.session_id is not None:
            trailers.append(f"Prodigy-Session: {one.session_id}")
        trailers.append(f"Prodigy-Job: {one.job_id}")
    return Work(str(one.head), one.branch, one.name, tuple(trailers))


def _why_nothing(bench: _Bench, one: Result) -> Literal["empty", "already_merged"]:
    if one.head == one.base:
        return "empty"
    cwd, head = bench.place.top, str(one.head)
    base = one.base or steadily.look(cwd, "merge-base", bench.done.old, head)[1].strip()
    same = steadily.look(cwd, "diff", "--quiet", base, head, "--")[0] == 0
    return "empty" if same else "already_merged"


def _resolve(bench: _Bench, onto: str, one: Result, work: Work, stopped: Joined) -> Joined:
    """Have a conflict resolved by the command that was given for that."""
    command = bench.wish.resolve
    assert command is not None

    def run(now: Joined) -> str | None:
        bench.doing(f"resolving {one.name}: {command.text}")
        path = f"{bench.place.private}/conflict.json"
        giving_back.write(path, _told(bench, onto, one, now))
        ended = checking.run(
            bench.target, bench.place, command, [one], bench.signals, PRODIGY_CONFLICT=path
        )
        if ended.status == 0:
            return None
        said = f": {ended.last[-1]}" if ended.last else ""
        return f"the command failed ({ended.why}){said}"

    return resolving.resolve(
        bench.place, onto, work, bench.wish.way, bench.target.branch, stopped, run
    )


def _told(bench: _Bench, onto: str, one: Result, stopped: Joined) -> dict[str, Any]:
    found = culprits.of(bench.target, bench.place.top, onto, str(one.head), stopped.files)
    return giving_back.describe(
        bench.target, one, "conflict", onto, files=list(stopped.files), text=stopped.text,
        **{"with": found},
    )  # fmt: skip


def _note_conflict(bench: _Bench, tip: str, one: Result, stopped: Joined) -> None:
    told = _told(bench, tip, one, stopped)
    outcome = Outcome(
        one, "conflict", files=stopped.files, culprits=told["with"], reason=stopped.text
    )
    _record(bench, outcome, told)


def _record(bench: _Bench, outcome: Outcome, told: dict[str, Any]) -> None:
    """Put an event into the log, and the item back into its job where that is wished."""
    outcomes.record(bench.target, outcome, told)
    if bench.wish.requeue:
        why = giving_back.give_back(bench.target, outcome.result, told, bench.broken)
        outcome.requeued = why is None
        if why is not None:
            bench.broken(f"{outcome.result.name} is not given back: {why}")
    bench.note(outcome)


def _check(bench: _Bench, chain: Sequence[_Link]) -> bool | None:
    """Run the check on what a chain comes to; None where it was interrupted.

    Whose failure it is, is known only where it is one result's.
    """
    command = bench.wish.check
    if command is None:
        return True
    # What was tried last has left its own state there, if it came to nothing.
    workplace.reset(bench.place, chain[-1].commit)
    results = [link.result for link in chain]
    whose = results[0].name if len(results) == 1 else f"{len(results)} together"
    bench.doing(f"checking {whose}: {' '.join(command.text.split())}")
    ended = checking.run(bench.target, bench.place, command, results, bench.signals)
    if ended.status == 0:
        return True
    if ended.interrupted is not None or bench.signals.came:
        return None
    if len(chain) == 1:
        one, tip = results[0], bench.target.tip()
        told = giving_back.describe(
            bench.target, one, "check", tip, check=command.text, error=ended.why, log=ended.log,
            text="\n".join(ended.last), files=[], **{"with": []},
        )  # fmt: skip
        outcome = Outcome(one, "check_failed", reason=ended.why, log=ended.log, last=ended.last)
        _record(bench, outcome, told)
    return False


def _move(bench: _Bench, tip: str, chain: Sequence[_Link]) -> None:
    items = [outcomes.merged(link.result, link.commit) for link in chain]
    moved = branch_moves.move(
        bench.target, bench.place.top, "merge", bench.run, tip, chain[-1].commit, items,
        lock=bench.lock,
    )  # fmt: skip
    bench.done.moved.append(moved)
    for link in chain:
        log = None
        if bench.wish.check is not None and link.result.session_id is not None:
            log = layout.check_log(
                bench.target.store, bench.target.repo, link.result.job_id, link.result.session_id
            )
        bench.note(
            Outcome(
                link.result, "merged", commit=link.commit, resolved=link.resolved,
                log=log if log is not None and os.path.exists(log) else None,
            )
        )  # fmt: skip


def undo(target: Target, *, broken: Broken) -> tuple[Moved, list[Moved]]:
    """Take back what the last call has merged; return that, and what was finished before.

    Raises as `branch_moves.undo`; `ProdigyError` where a merge into the branch is under way.
    """
    lock = targets.lock(target)
    try:
        finished = branch_moves.settle(target, lock, broken)
        workplace.sweep(target)
        if finished and finished[-1].move.kind == "undo":
            # Called again since it was killed: not what was merged before that is to go, too.
            return finished[-1], finished[:-1]
        place = workplace.make(target, target.tip(), checked_out=False)
        try:
            return branch_moves.undo(target, place.top, lock=lock, broken=broken), finished
        finally:
            workplace.remove(place)
    except branch_moves.Elsewhere as error:
        raise ProdigyError(f"{error}: nothing is undone") from None
    finally:
        os.close(lock)
