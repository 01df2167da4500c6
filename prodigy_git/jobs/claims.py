"""Claiming a job's items and ending the claims, across processes, each step all or nothing.

A step takes the job's claims lock, brings the index up to the log, decides, and appends its events
with one write: whoever is killed has either done it or not. What a step writes is the log alone; the
index, the checkpoints and the queue's file follow, and are mended by the next step if they do not.

A claim is an AgentStarted that names its owner: a process, the processes that hold a lock, or whoever
renews a lease. One whose owner is gone is ended by the next step on the job.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, endings, next_item, opening, snapshots, totals
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs import owner as owners
from prodigy_git.jobs.endings import (
    Claim,
    Ended,
    Released,
    end_badly,
    end_dead,
    end_well,
    event,
    record,
)
from prodigy_git.jobs.index import Index
from prodigy_git.record import clock
from prodigy_git.store.events import Broken

SHARED_LEASE = 30 * 60 * clock.SECOND
"""How long a claim of a shared job lives, in microseconds, unless its claimer says otherwise.
Each has a lease: nobody at another host sees more of it."""
_SHOWN = 5
_TURN = clock.SECOND  # after which is asked again for what waits for items in progress


@dataclass(frozen=True)
class Waiting:
    """What is left of a job: ``ready_at`` (microseconds since 1970) is when to ask again.

    That is where all that is pending waits, for its time or for other items.
    """

    pending: int
    in_progress: int
    ready_at: int | None
    status: books.Status
    waiting: int = 0
    """How many of those pending are to be after others that are not completed."""
    held_up_by: tuple[str, ...] = ()
    """Items in the queue, or failed, that some of those wait for."""

    @property
    def stuck(self) -> bool:
        """Whether all that is pending waits for items that nobody will do unless they are put back."""
        return not self.in_progress and 0 < self.pending == self.waiting


@contextlib.contextmanager
def step(
    store: str,
    repo: str,
    job: str,
    broken: Broken,
    *,
    sparing: str | None = None,
    ends: bool = False,
) -> Iterator[Index]:
    """Hold the job's claims lock, its index up to date and what it gave up ended.

    But for the claim of the item ``sparing``, which its owner is about to end. With ``ends`` that goes
    on where a shared job's hub is away. Afterwards checkpoint and queue are written where they are due,
    and with a checkpoint what the sessions' files say of the job. Raises as `opening.opened`.
    """
    with opening.opened(store, repo, job, broken, ends=ends) as index:
        # Whose lease is over is the server's to say.
        while not index.away and end_dead(index, broken, sparing=sparing):
            if index.shared is None:
                break
            opening.begin(index, broken)
        yield index
        opening.let_go(index)
        snapshots.write_due(index, broken)
        told = totals.word(index) if index.kept else None
    if told is not None:
        totals.tell(store, told, broken)


def claim(
    store: str,
    repo: str,
    job: str,
    *,
    agent: str,
    item: str | None = None,
    owner: dict[str, Any] | None = None,
    lease: int | None = None,
    worktree: str | None = None,
    broken: Broken,
) -> Claim | None:
    """Claim ``item``, or the next that is pending, for an agent; None where none is to be had now.

    The claim lives as long as its ``owner`` (`Owner.as_json`), or for ``lease`` microseconds unless
    it is renewed; with neither, until it is ended. ``worktree`` is the session that will work on it.
    Raises `ProdigyError` for an unknown item, or one that is not pending; `OSError`.
    """
    names.checked(agent, "agent id")
    with step(store, repo, job, broken) as index:
        if index.job.status != "running":
            return None
        index.require_items()
        if item is None:
            chosen, _ = index.next_pending(opening.moment(index))
            if chosen is None:
                return None
        else:
            chosen = _checked_pending(index, item)
        data = index.data(chosen)  # what cannot be read is not claimed
        found = index.item(chosen) or books.Item()
        attempt = attempts(index, chosen) + 1
        if index.shared is not None:
            owner = {**(owner or {}), **owners.whose(store, str(index.shared.where.host.id))}
            lease = SHARED_LEASE if lease is None else lease
        until = None if lease is None else clock.stamp(index.now() + lease)
        started = event(
            index, "AgentStarted", session_id=worktree, agent_id=agent, item_id=chosen,
            attempt=attempt, worktree=worktree, owner=owner, lease_until=until,
        )  # fmt: skip
        record(index, [*_into_map(index), started], broken)
        last = books.last_attempt(found, index.job.max_attempts)
        return Claim(
            job, chosen, agent, attempt, last, data, worktree, until,
            attempt - books.last_attempt(found, 0),
        )  # fmt: skip


def attempts(index: Index, name: str) -> int:
    """Return the number of the last attempt at an item."""
    item = index.item(name) or books.Item()
    numbered = max((start.attempt for start in item.starts.values()), default=0)
    return max(numbered, books.view(item).attempt)


def _into_map(index: Index) -> list[dict[str, Any]]:
    if index.job.phase != "setup":
        return []
    sequence = index.job.sequence + 1
    return [event(index, "JobPhaseChanged", **{"from": "setup", "to": "map"}, sequence=sequence)]


def _checked_pending(index: Index, item: str) -> str:
    found = index.item(names.checked(item, "item id"))
    if found is None:
        if index.job.opened is not None and (index.job.opened.total_items or index.job.parts):
            raise ProdigyError(f"job {index.job_id} has no item {item}")
        return item  # a job that was given no items knows them by their first agent
    view = books.view(found)
    unfinished = index.rows(next_item.UNFINISHED, (item, _SHOWN)) if index.meta.ordered else []
    if view.state == "pending" and unfinished:
        raise ProdigyError(f"item {item} waits for {', '.join(name for name, _ in unfinished)}")
    if view.state == "in_progress":
        raise ProdigyError(
            f"item {item} is in progress: agent {view.agent or '?'} has it since {view.since}"
        )
    if view.state == "dead":
        raise ProdigyError(f"item {item} is in the queue: 'prodigy-git dlq retry {item}' first")
    if view.state != "pending":
        raise ProdigyError(f"item {item} is {view.state}: there is nothing to do on it")
    return item


def held(index: Index, item: str, agent: str) -> int | None:
    """Return the attempt that an agent has an item in progress with; None where it has not."""
    found = index.item(item)
    view = None if found is None else books.view(found)
    if view is None or view.state != "in_progress" or view.agent != agent:
        return None
    return view.attempt


@dataclass(frozen=True)
class Begun:
    """Which attempt at an item a new session is, and whether the log has its AgentStarted already."""

    attempt: int
    recorded: bool


def begin(
    undo: contextlib.ExitStack,
    store: str,
    repo: str,
    job: str | None,
    agent: str,
    item: str | None,
    session: str,
    broken: Broken,
) -> Begun:
    """Return how the log has, or is to have, that an agent's new session begins.

    It has it where the agent holds a claim, and where the job hands items out: then one is made here,
    and ``undo`` ends it again. Raises as `claim`, and where the job hands out none now.
    """
    if job is None or item is None or not indexes.exists(store, repo, job):
        return Begun(1, False)
    with step(store, repo, job, broken) as index:
        attempt = held(index, item, agent)
        if attempt is not None:
            return Begun(attempt, True)
        if index.job.opened is None:
            return Begun(attempts(index, item) + 1, False)
    made = claim(store, repo, job, agent=agent, item=item, worktree=session, broken=broken)
    if made is None:
        raise ProdigyError(f"job {job} hands out no items now: 'prodigy-git job show {job}'")
    undo.callback(
        fail, store, repo, job, made, error="the worktree could not be made",
        reason="WorktreeError", session=session, broken=broken,
    )  # fmt: skip
    return Begun(made.attempt, True)


def waiting(store: str, repo: str, job: str, broken: Broken) -> Waiting:
    """Return what is left to do of a job. Raises `ProdigyError`, `OSError`."""
    with step(store, repo, job, broken) as index:
        return what_waits(index)


def what_waits(index: Index) -> Waiting:
    """Return what is left to do of an open job."""
    now = opening.moment(index)
    chosen, ready = index.next_pending(now)
    pending, in_progress = index.count("pending"), index.count("in_progress")
    waiting, held_up_by = 0, ()
    if index.meta.ordered:
        waiting = index.rows(next_item.COUNT)[0][0]
        held_up_by = tuple(index.rows(next_item.HOLDING_UP, (_SHOWN,), lambda row: str(row[0])))
    if waiting and in_progress and chosen is None:
        ready = min(now + _TURN, ready or now + _TURN)
    return Waiting(pending, in_progress, ready, index.job.status, waiting, held_up_by)


def complete(store: str, repo: str, job: str, claim: Claim, *, broken: Broken, **how: Any) -> Ended:
    """End a claim well; ``how`` as `end_well` takes it. Raises as `step`."""
    with step(store, repo, job, broken, ends=True) as index:
        return end_well(index, claim, broken=broken, **how)


def fail(store: str, repo: str, job: str, claim: Claim, *, broken: Broken, **how: Any) -> Ended:
    """End a claim badly; ``how`` as `end_badly` takes it. Raises as `step`."""
    with step(store, repo, job, broken, ends=True) as index:
        return end_badly(index, claim, broken=broken, **how)


def release(store: str, repo: str, job: str, claim: Claim, *, broken: Broken, **how: Any) -> Ended:
    """Give a claim back; ``how`` as `endings.release` takes it. Raises as `step`."""
    with step(store, repo, job, broken, ends=True) as index:
        return endings.release(index, claim, broken=broken, **how)


def release_of(
    store: str, repo: str, job: str, session: str, reason: str, broken: Broken
) -> Ended | None:
    """Give back what a session has claimed and not ended, if anything. Raises as `step`."""
    with step(store, repo, job, broken, ends=True) as index:
        for name, item in index.in_state("in_progress"):
            start = books.view(item).start
            if start is not None and start.worktree == session:
                claim = claim_of(index, name, None)
                return endings.release(index, claim, reason=reason, session=session, broken=broken)
    return None


def renew(
    store: str,
    repo: str,
    job: str,
    item: str,
    agent: str | None,
    lease: int,
    broken: Broken,
    *,
    number: int | None = None,
) -> str:
    """Extend a claim by ``lease`` microseconds from now on; return until when, as a timestamp.

    ``number`` is the attempt that it is. Raises `ProdigyError` where the item is not in progress, or
    not with this agent and attempt, or where neither is said and it may be another's.
    """
    with step(store, repo, job, broken) as index:
        found = index.item(names.checked(item, "item id"))
        view = None if found is None else books.view(found)
        if (
            view is None
            or view.state != "in_progress"
            or agent not in (None, view.agent)
            or number not in (None, view.attempt)
        ):
            said = "unknown" if view is None else _how_it_stands(view)
            raise ProdigyError(f"item {item} cannot be renewed: it is {said}")
        if agent is None and number is None:
            _unambiguous(index, item, view)
        until = clock.stamp(index.now() + lease)
        renewed = event(
            index, "ClaimRenewed", agent_id=view.agent, item_id=item, attempt=view.attempt,
            lease_until=until,
        )  # fmt: skip
        record(index, [renewed], broken)
        return until


def _how_it_stands(view: books.View) -> str:
    state = "in progress" if view.state == "in_progress" else f"{view.state}, last had"
    return f"{state} by agent {view.agent}, attempt {view.attempt}"


def _unambiguous(index: Index, item: str, view: books.View) -> None:
    """Raise `ProdigyError` where several attempts were made at an item, and none of them was named."""
    if attempts(index, item) > 1:
        raise ProdigyError(
            f"item {item} has had {attempts(index, item)} attempts, and is {_how_it_stands(view)}; "
            "say which is yours: --attempt N"
        )


def claim_of(index: Index, item: str, agent: str | None) -> Claim:
    """Return the claim that an agent (or whoever has the item) holds. Raises `ProdigyError`."""
    found = index.item(names.checked(item, "item id"))
    view = None if found is None else books.view(found)
    if found is None or view is None or view.attempt == 0 or view.agent is None:
        raise ProdigyError(f"item {item} of job {index.job_id} has not been claimed")
    begun = found.starts.get(agent) if agent is not None else view.start
    if begun is None:
        raise ProdigyError(f"agent {agent} has not claimed item {item} of job {index.job_id}")
    last = books.last_attempt(found, index.job.max_attempts)
    return Claim(
        index.job_id, item, agent or view.agent, begun.attempt, last, None, begun.worktree,
        begun.lease, begun.attempt - books.last_attempt(found, 0),
    )  # fmt: skip


def release_dead(
    store: str, repo: str, job: str, broken: Broken, *, unknown_too: bool = False
) -> list[Released]:
    """End the claims whose owners are gone; with ``unknown_too`` also those that cannot be told.

    Raises `ProdigyError`, `OSError`.
    """
    with opening.opened(store, repo, job, broken) as index:
        return end_dead(index, broken, unknown_too=unknown_too)


def claim_now(
    store: str,
    repo: str,
    job: str,
    item: str,
    agent: str | None,
    number: int | None,
    broken: Broken,
) -> Claim:
    """Return the claim that an agent, or whoever has the item, holds or held last.

    With the ``number`` of an attempt that very one, also where it is over. Raises `ProdigyError` where
    there is none, or where neither is said and it may be another's.
    """
    with step(store, repo, job, broken, ends=True) as index:
        if number is not None:
            return _claim_numbered(index, item, agent, number)
        found = claim_of(index, item, agent)
        if agent is None:
            _unambiguous(index, item, books.view(index.item(item) or books.Item()))
        return found


def _claim_numbered(index: Index, item: str, agent: str | None, number: int) -> Claim:
    found = index.item(names.checked(item, "item id")) or books.Item()
    begun = {who: start for who, start in found.starts.items() if start.attempt == number}
    ended = [end.agent for end in found.failures.values() if end.attempt == number]
    who = agent or next(iter([*begun, *ended]), None)
    if number > attempts(index, item) or (agent not in found.starts and agent is not None):
        whose = "" if agent is None else f" by agent {agent}"
        stands = _how_it_stands(books.view(found))
        raise ProdigyError(f"item {item} has had no attempt {number}{whose}: it is {stands}")
    if who is None:
        raise ProdigyError(f"whose attempt {number} at item {item} was is not known: give --agent")
    if who not in begun and (begun or any(one != who for one in ended)):
        raise ProdigyError(f"attempt {number} at item {item} was not agent {who}'s")
    start = begun.get(who)
    last = books.last_attempt(found, index.job.max_attempts)
    return Claim(
        index.job_id, item, who, number, last, None, None if start is None else start.worktree,
        None if start is None else start.lease, number - books.last_attempt(found, 0),
    )  # fmt: skip
