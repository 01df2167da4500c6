"""What ends a claim, and what becomes of its item: events made and appended under the claims lock."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from prodigy_git import encoding
from prodigy_git.errors import Away, Refused
from prodigy_git.jobs import books, deserted, index_leases, owner, signatures, snapshots
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs.index import Index
from prodigy_git.record import clock, log
from prodigy_git.record.log_position import Position
from prodigy_git.store import reserve
from prodigy_git.store.events import Broken

FIRST_BACKOFF = 1.0
"""Seconds that a failed item waits for its second try, unless somebody says otherwise."""
LONGEST_BACKOFF = 60.0


@dataclass(frozen=True)
class Claim:
    """An item that an agent works on; ``data`` is what the job was given for it."""

    job_id: str
    item_id: str
    agent_id: str
    attempt: int
    max_attempts: int
    """The last attempt that may be made."""
    data: Any
    worktree: str | None = None
    lease_until: str | None = None
    tried: int = 1
    """Which attempt it is since the item was put back from the queue, if it was."""


@dataclass(frozen=True)
class Ended:
    """What became of a claim's item; ``late``: it was somebody else's by then, and nothing did."""

    item_id: str
    attempt: int
    state: books.ItemState
    late: bool


@dataclass(frozen=True)
class Released:
    """A claim whose owner was gone, and what became of its item."""

    item_id: str
    agent_id: str
    attempt: int
    state: books.ItemState
    session_id: str | None = None
    """The session that ended with it."""
    host: str | None = None
    """The id of the other host that had it; None: this one."""


def record(
    index: Index,
    events: list[dict[str, Any]],
    broken: Broken,
    *,
    ends: bool = False,
    before: Callable[[Position], None] | None = None,
) -> None:
    """Append events to the job's log, and bring the index up to it. Raises `OSError`: nothing was done.

    From the write on it is done, whatever follows. With ``ends`` something ends by it, which may take
    of the reserve where the disk is full. ``before`` is called as `log.append` does. A shared job's
    events go to the hub; where that is lost in the midst of an end, it is written here, under the same
    ids. Raises `Away`, `Refused` where it is lost in anything else.
    """
    if not events:
        return
    stamp = None
    if index.shared is not None:
        try:
            index.shared.record(events, before)
        except (Away, Refused) as error:
            if not index.shared.ends:
                raise
            broken(f"{error.why}; what ends here is written here, and goes to the hub later")
            stamp, index.shared, index.away = index.shared.stamp, None, True
        else:
            indexes.advance(index, broken)
            return

    def write() -> None:
        log.append(index.store, index.repo, index.job_id, events, before=before, stamp=stamp)

    if ends:
        reserve.with_room(index.store, write)
    else:
        write()
    try:
        indexes.advance(index, broken)
    except OSError as error:
        broken(f"job {index.job_id} cannot be read after its step, which is done ({error})")


def is_there(index: Index, identity: str) -> bool:
    """Whether an event of a shared job is on its hub, or, where that is away, has come from there."""
    if index.shared is not None:
        return index.shared.holds([identity])
    if not index.away:
        return False
    from prodigy_git.hub import pulled_files

    needle = f'{{"id":"{identity}"'.encode("ascii")
    found: list[bool] = []
    pulled_files.collect(
        index.store, index.repo, index.job_id,
        lambda line: found.append(True) if line.startswith(needle) else None,
    )  # fmt: skip
    return bool(found)


def event(index: Index, kind: str, **fields: Any) -> dict[str, Any]:
    """Return an event of the job; fields that are None are left out, texts made `encoding.valid`."""
    head = {
        "id": log.event_id(index.job_id, os.urandom(16).hex()), "timestamp": "", "type": kind,
        "event_type": kind, "correlation_id": fields.get("session_id") or index.job_id,
        "job_id": index.job_id,
    }  # fmt: skip
    return head | {
        name: encoding.valid(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def end_well(
    index: Index,
    claim: Claim,
    *,
    commits: list[str],
    duration: dict[str, int] | None = None,
    log_path: str | None = None,
    result: Any = None,
    session: str | None = None,
    extra: Iterable[dict[str, Any]] = (),
    before: Callable[[Position], None] | None = None,
    broken: Broken,
) -> Ended:
    """End a claim well: AgentCompleted and WorkItemProcessed, and ``extra``, with one write.

    Also one that was given up for dead, as long as nobody else has the item. ``before`` is called as
    `log.append` does. Raises `OSError`.
    """
    late = not _counts(index, claim, completed=True)
    who = {
        "session_id": session, "agent_id": claim.agent_id, "item_id": claim.item_id,
        "attempt": claim.attempt, "late": late or None,
    }  # fmt: skip
    events = [
        event(
            index, "AgentCompleted", **who, duration=duration or _lasted(index, claim),
            commits=commits, json_log_location=log_path,
        )
    ]  # fmt: skip
    if not late:
        events.append(event(index, "WorkItemProcessed", **who, status="completed", result=result))
    record(index, [*events, *extra], broken, ends=True, before=before)
    return _ended(index, claim, late=late)


def end_badly(
    index: Index,
    claim: Claim,
    *,
    error: str,
    reason: str = "Unknown",
    retry: bool = True,
    backoff_ms: int | None = None,
    duration: dict[str, int] | None = None,
    log_path: str | None = None,
    session: str | None = None,
    artifacts: dict[str, str] | None = None,
    extra: Iterable[dict[str, Any]] = (),
    before: Callable[[Position], None] | None = None,
    broken: Broken,
) -> Ended:
    """End a claim badly: AgentFailed, then AgentRetrying, or DLQItemAdded where it was the last try.

    ``retry`` says whether there may be another try at all, ``backoff_ms`` how long it has to wait
    (None: as `backoff` says); ``artifacts`` is what is left of the worktree. Where the job has ended
    there is no other try, unless it is reopened. Otherwise as `end_well`.
    """
    late = not _counts(index, claim, completed=False)
    events = _failure(
        index, claim, error=error, reason=reason, retry=retry, backoff_ms=backoff_ms,
        late=late, duration=duration or _lasted(index, claim), log_path=log_path,
        session=session, artifacts=artifacts, commits=[],
    )  # fmt: skip
    record(index, [*events, *extra], broken, ends=True, before=before)
    return _ended(index, claim, late=late)


def release(
    index: Index,
    claim: Claim,
    *,
    reason: str,
    session: str | None = None,
    extra: Iterable[dict[str, Any]] = (),
    before: Callable[[Position], None] | None = None,
    broken: Broken,
) -> Ended:
    """Give a claim back, ClaimReleased: its item is pending at once, and the attempt does not count.

    ``reason`` says why it was interrupted. Where the item is somebody else's by now, only ``extra`` is
    recorded. Otherwise as `end_well`.
    """
    late = not _counts(index, claim, completed=False)
    released = event(
        index, "ClaimReleased", session_id=session, agent_id=claim.agent_id,
        item_id=claim.item_id, attempt=claim.attempt, reason=reason,
    )  # fmt: skip
    record(index, [*([] if late else [released]), *extra], broken, ends=True, before=before)
    return _ended(index, claim, late=late)


def backoff(tried: int, first: float = FIRST_BACKOFF) -> int:
    """Return how many milliseconds an item waits that has failed ``tried`` times.

    ``first`` seconds after the first time, twice as long after each more, `LONGEST_BACKOFF` at most.
    """
    return int(min(first * 2 ** min(max(tried, 1) - 1, 20), LONGEST_BACKOFF) * 1000)


def tried(index: Index, claim: Claim) -> int:
    """Return how many of an item's attempts count up to this one."""
    found = index.item(claim.item_id) or books.Item()
    return claim.attempt - books.last_attempt(found, 0)


def _counts(index: Index, claim: Claim, *, completed: bool) -> bool:
    """Whether a claim's end changes anything: the item is still its agent's, or free again."""
    found = index.item(claim.item_id)
    view = books.View("pending", 0) if found is None else books.view(found)
    if view.state == "in_progress":
        return (view.attempt, view.agent) == (claim.attempt, claim.agent_id)
    # An end that others believed in: the item is free again, or would be if the job had not ended.
    failed = view.state == "failed" and view.end is not None and view.end.stage == books.FAILED
    return completed and (view.state == "pending" or failed) and view.attempt == claim.attempt


def _lasted(index: Index, claim: Claim) -> dict[str, int] | None:
    found = index.item(claim.item_id)
    start = None if found is None else found.starts.get(claim.agent_id)
    begun = None if start is None else clock.parse(start.at)
    if begun is None:
        return None
    micros = max(0, index.now() - begun)
    return {"secs": micros // clock.SECOND, "nanos": micros % clock.SECOND * 1000}


def _failure(
    index: Index,
    claim: Claim,
    *,
    error: str,
    reason: str,
    retry: bool,
    backoff_ms: int | None,
    late: bool,
    duration: dict[str, int] | None,
    log_path: str | None,
    session: str | None,
    artifacts: dict[str, str] | None,
    commits: list[str],
) -> list[dict[str, Any]]:
    who: dict[str, Any] = {
        "session_id": session, "agent_id": claim.agent_id, "item_id": claim.item_id,
    }  # fmt: skip
    # What another writer started bears no attempt: it counts as the first.
    again = retry and max(1, claim.attempt) < claim.max_attempts
    # Decided now, and not by what the log comes to later: the fold does not depend on any order.
    over = index.job.status in books.ENDED
    events = [
        event(
            index, "AgentFailed", **who, attempt=claim.attempt, late=late or None, error=error,
            failure_reason=reason, retry_eligible=again and not over, duration=duration,
            json_log_location=log_path, commits=commits or None,
        )
    ]  # fmt: skip
    if late:
        return events
    if again:
        if backoff_ms is None:
            backoff_ms = backoff(tried(index, claim))
        if backoff_ms and not over:
            coming = claim.attempt + 1
            events.append(
                event(index, "AgentRetrying", **who, attempt=coming, backoff_ms=backoff_ms)
            )
        return events
    who["attempt"] = claim.attempt
    found = index.item(claim.item_id) or books.Item()
    failures = len(found.failures.keys() | {str(claim.attempt)})
    added = event(
        index, "DLQItemAdded", **who, error_signature=signatures.of(error),
        failure_count=failures, worktree_artifacts=artifacts or None,
    )  # fmt: skip
    processed = event(index, "WorkItemProcessed", **who, status="failed")
    return [*events, processed, added]


def removed(index: Index, name: str, item: books.Item, reason: str) -> dict[str, Any]:
    """Return the event that takes an item out of the queue: as it was ``cleared``."""
    attempt = books.view(item).attempt or None
    return event(index, "DLQItemRemoved", item_id=name, attempt=attempt, reason=reason)


def _ended(index: Index, claim: Claim, *, late: bool) -> Ended:
    found = index.item(claim.item_id)
    state = "pending" if found is None else books.view(found).state
    return Ended(claim.item_id, claim.attempt, state, late)


def end_dead(
    index: Index, broken: Broken, *, unknown_too: bool = False, sparing: str | None = None
) -> list[Released]:
    """End the claims of an open job whose owners are gone, as `claims.release_dead` and `claims.step`.

    All of them, and the sessions that worked on them, with one write.
    """
    dead = []
    if unknown_too:
        held = list(index.in_state("in_progress"))
    else:
        here = index.now(), owner.place(index.store)
        held = index.rows(
            index_leases.QUESTION, here, lambda row: (row[0], indexes.item_of(row[1]))
        )
    for name, item in held:
        view = books.view(item)
        why = _why_dead(index, view.start, unknown_too=unknown_too)
        if why is not None and name != sparing:
            dead.append((name, item, view, why))
    ending, events = [], []
    for name, item, view, why in dead:
        start = view.start
        claim = Claim(
            index.job_id, name, view.agent or "", view.attempt,
            books.last_attempt(item, index.job.max_attempts), None,
        )  # fmt: skip
        session = start.worktree or start.session if start is not None else None
        gone = deserted.session_of(index, start, name, claim.agent_id, why, broken)
        events += _failure(
            index, claim, error=why, reason="Unknown", retry=True, backoff_ms=0, late=False,
            duration=_lasted(index, claim), log_path=None, session=session,
            artifacts=snapshots.artifacts_of(index.store, owner.session_here(index.store, start)),
            commits=[] if gone is None else gone.commits,
        )  # fmt: skip
        if gone is not None:
            events.append(gone.finished)
        ending.append((claim, gone, why, owner.other_host(index.store, start)))
    record(index, events, broken, ends=True)
    released = []
    for claim, gone, why, of_host in ending:
        if gone is not None:
            deserted.note(index, gone)
        state = _ended(index, claim, late=False).state
        ended = None if gone is None else gone.session_id
        what, who, attempt = claim.item_id, claim.agent_id, claim.attempt
        released.append(Released(what, who, attempt, state, ended, of_host))
        broken(f"item {what}: {why}; agent {who}'s attempt {attempt} failed")
    return released


_GIVEN_UP = (
    "its lease ended at ", "the process that owned it is gone", "its process cannot be seen from here",
    "its agent was given up", "its owner cannot be told",
)  # fmt: skip


def is_given_up(error: str) -> bool:
    """Whether a failure's text says that the claim was given up for dead, as `_why_dead` has it."""
    return error.startswith(_GIVEN_UP)


def _why_dead(index: Index, start: books.Start | None, *, unknown_too: bool) -> str | None:
    """Return why a claim is nobody's any more; None where it is somebody's."""
    if start is None:
        return None
    holds, why = owner.has(index.store, index.repo, index.job_id, start, index.now())
    if holds is False:
        return why
    shared = start.owner is not None and "store" in start.owner
    if holds is None and unknown_too and not shared:  # whose lease may not be over
        unowned = start.owner is None
        return "its agent was given up" if unowned else "its owner cannot be told, and was given up"
    return None
