"""What an event does to a job and its items. Pure: no input or output, no clock.

The fold is a join: what it makes of a set of events does not depend on their order, and an event that
comes twice changes nothing but the count of lines. So a snapshot and whatever has been appended since
give what the whole log gives, however its writers' clocks ran and however its files are called.

An item's state is that of the greatest of its events by (attempt, epoch, stage). Each claim is a new
attempt; within one the stages follow each other, and a completion beats a failure. Events that other
writers made may bear no attempt: those are ordered by their time, the epoch, and an end without one
belongs to the start of the same agent before it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from prodigy_git.jobs.books import (
    COMPLETED,
    FAILED,
    FREE,
    PHASES,
    QUEUED,
    REMOVED,
    REPROCESSED,
    End,
    Item,
    Opening,
    Output,
    Start,
    State,
    order_of,
    standing,
)
from prodigy_git.jobs.steps import Step

_STATUS_OF = {
    "JobResumed": 0, "JobReopened": 0, "JobPaused": 1, "JobCompleted": 2, "JobFailed": 3,
    "JobCancelled": 4,
}  # fmt: skip


_SHA256 = re.compile("[0-9a-f]{64}")
_OURS = len("0000-00-00T00:00:00.000000Z")
"""Of a time in the form that we write: times of one form are in order as texts."""


def _greater(one: End | None, other: End) -> End:
    if one is None:
        return other
    # Written out, since this runs for most events of a log.
    if one.attempt != other.attempt:
        return other if other.attempt > one.attempt else one
    if one.epoch != other.epoch:
        return other if other.epoch > one.epoch else one
    return other if order_of(other) > order_of(one) else one


def apply(state: State, steps: Iterable[Step]) -> None:
    """Bring ``state`` further by events, in whatever order."""
    counts = state.job.counts
    for step in steps:
        kind = step.type
        counts[kind] = counts.get(kind, 0) + 1
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(state, step)


def _when(step: Step) -> str:
    """Return when it was that an event tells of, which may have been recorded later."""
    at = step.occurred_at
    return at if at is not None and len(at) == _OURS and at[-1] == "Z" else step.timestamp or ""


def _started(state: State, step: Step) -> None:
    agent = step.agent_id or ""
    name = step.item_id or (FREE + agent if agent else None)
    if name is None:
        return
    item = state.item(name)
    attempt = step.attempt or 0
    at = _when(step)
    start = Start(
        attempt, "" if attempt else at, at, step.session_id, step.worktree, step.owner,
        step.lease_until,
    )  # fmt: skip
    item.begun = min(item.begun, at) if item.begun else at
    before = item.starts.get(agent)
    if before is None:
        item.starts[agent] = start
    else:
        newer, older = start, before
        if (attempt, start.epoch) < (before.attempt, before.epoch) or (
            (attempt, start.epoch) == (before.attempt, before.epoch)
            and _start_order(start) <= _start_order(before)
        ):
            newer, older = before, start
        if older.lease is not None and (older.attempt, older.epoch) == (newer.attempt, newer.epoch):
            newer.lease = max(newer.lease or "", older.lease)
        item.starts[agent] = newer
    if agent:
        state.note_agent(agent, at, name)
        for end in state.job.unplaced.pop(agent, ()):
            _place(item, end)


def _start_order(start: Start) -> tuple[Any, ...]:
    return start.at, start.session or "", start.worktree or "", repr(start.owner)


def _renewed(state: State, step: Step) -> None:
    if step.item_id is None or step.lease_until is None or not step.attempt:
        return
    agent = step.agent_id or ""
    item = state.item(step.item_id)
    start = item.starts.get(agent)
    if start is None or start.attempt < step.attempt:
        # Its start comes later in the files; that has the rest.
        item.starts[agent] = Start(step.attempt, "", "", lease=step.lease_until)
    elif start.attempt == step.attempt:
        start.lease = max(start.lease or "", step.lease_until)


def _ended(state: State, step: Step) -> None:
    agent = step.agent_id or ""
    stage = COMPLETED if step.type == "AgentCompleted" else FAILED
    end = _end(step, stage)
    if stage == FAILED:
        end.error = step.error or ""
        end.reason = step.failure_reason
        end.final = step.retry_eligible is False
    name = step.item_id or state.item_of(agent)
    if name is not None:
        _place(state.item(name), end, late=step.late is True)
    elif agent:
        waiting = state.job.unplaced.setdefault(agent, [])
        if end not in waiting:
            waiting.append(end)


def _released(state: State, step: Step) -> None:
    """A claim that was given back: its item is free, and the attempt does not count."""
    if step.item_id is None or not step.attempt:
        return
    item = state.item(step.item_id)
    if step.attempt not in item.released:
        item.released = sorted([*item.released, step.attempt])
    end = _end(step, FAILED)
    end.reason = step.reason
    _settle(item, end)


def _processed(state: State, step: Step) -> None:
    """An item's end as other writers record it who name no agent for it."""
    if step.item_id is not None and step.status in ("completed", "failed"):
        end = _end(step, COMPLETED if step.status == "completed" else FAILED)
        _settle(state.item(step.item_id), end)


def _end(step: Step, stage: int) -> End:
    at = _when(step)
    attempt = step.attempt or 0
    return End(
        attempt, "" if attempt else at, stage, at, step.agent_id or "", step.session_id,
        log=step.json_log_location, commits=step.commits, duration=step.duration,
    )  # fmt: skip


def _place(item: Item, end: End, *, late: bool = False) -> None:
    if late:
        item.late += 1
    if end.stage in (FAILED, COMPLETED):
        item.results[end.agent] = _greater(item.results.get(end.agent), end)
    if end.stage == FAILED:
        name = str(end.attempt) if end.attempt else end.at
        item.failures[name] = _greater(item.failures.get(name), end)
    if not late:
        _settle(item, end)


def _settle(item: Item, end: End) -> None:
    if end.attempt:
        item.end = _greater(item.end, end)
    else:
        item.loose[end.agent] = _greater(item.loose.get(end.agent), end)


def _queued(state: State, step: Step) -> None:
    if step.item_id is None:
        return
    item = state.item(step.item_id)
    stage = QUEUED if step.type == "DLQItemAdded" else REMOVED
    end = _end(step, stage)
    end.reason = step.reason
    _place(item, end)
    if stage == QUEUED and step.error_signature is not None:
        mark = (end.at, step.error_signature)
        item.signature = max(item.signature, mark) if item.signature else mark


def _reprocessed(state: State, step: Step) -> None:
    named: dict[str, Any] = dict.fromkeys(step.item_ids or (), 0)
    if step.item_id is not None:
        named[step.item_id] = step.attempt or 0
    named.update(step.items or {})
    for name, attempt in named.items():
        item = state.item(name)
        end = _put_back(step, attempt)
        item.requeued = max(item.requeued, end.attempt)
        _place(item, end)


def _put_back(step: Step, attempt: Any) -> End:
    """Return the end that makes one of the items that an event speaks of pending again."""
    end = _end(step, REPROCESSED)
    # Each has an attempt of its own.
    end.attempt = attempt if isinstance(attempt, int) and attempt > 0 else 0
    end.epoch = "" if end.attempt else end.at
    end.agent = ""
    return end


def _reopened(state: State, step: Step) -> None:
    """A job that had ended runs again, with those items pending that its end had cut off."""
    _status(state, step)
    _phase(state, step)
    for name, attempt in (step.items or {}).items():
        _place(state.item(name), _put_back(step, attempt))


def _retrying(state: State, step: Step) -> None:
    if step.item_id is None or step.attempt is None or step.timestamp is None:
        return
    item = state.item(step.item_id)
    mark = (step.attempt, step.timestamp, step.backoff_ms or 0)
    item.retry = max(item.retry, mark) if item.retry else mark


def _job_started(state: State, step: Step) -> None:
    made = Opening(
        _when(step), step.total_items or 0, max(1, step.max_attempts or 1),
        _digest(step) or "", step.checkpoint_items, step.checkpoint_seconds,
    )  # fmt: skip
    before = state.job.opened
    # The first one counts: a job is opened once.
    if before is None or _opening_order(made) < _opening_order(before):
        state.job.opened = made


def _opening_order(one: Opening) -> tuple[str, str]:
    return one.at, repr(one)


def _added(state: State, step: Step) -> None:
    """Items that a job was given later: a file of them, whichever line of the log says so first."""
    digest = _digest(step)
    if digest:
        mark = (step.part or 0, step.timestamp or "", step.count or 0)
        parts = state.job.parts
        state.job.parts = {**parts, digest: min(mark, parts.get(digest, mark))}


def _digest(step: Step) -> str | None:
    """Return what names a file of items: another host may have said anything, and it becomes a path."""
    text = step.items_sha256
    return text if text is not None and _SHA256.fullmatch(text) else None


def _phase(state: State, step: Step) -> None:
    if step.to in PHASES:
        mark = (step.sequence or 0, step.timestamp or "", PHASES.index(step.to))
        state.job.phase_key = max(state.job.phase_key, mark)
        _reached(state, step.to)


def _reached(state: State, *phases: str | None) -> None:
    known = state.job.reached
    if not known or any(phase not in known for phase in phases):
        state.job.reached = [one for one in PHASES if one in known or one in phases]


def _output(state: State, step: Step) -> None:
    """What the set-up, or a step of the reduce phase, has yielded."""
    if step.phase in ("setup", "reduce") and step.outputs:
        given = Output(step.sequence or 0, step.timestamp or "", step.phase, step.outputs)
        others = {repr(one): one for one in [*state.job.outputs, given]}
        state.job.outputs = sorted(
            others.values(), key=lambda one: (one.sequence, one.at, repr(one))
        )


def _status(state: State, step: Step) -> None:
    job = state.job
    mark = (step.sequence or 0, step.timestamp or "", _STATUS_OF[step.type])
    if (mark, step.error or "") > (job.status_key, job.error or ""):
        job.status_key = mark
        job.error = step.error
        job.ended_at = mark[1] if mark[2] > 1 else ""
    if step.type in ("JobCompleted", "JobFailed"):
        if job.phase_key[2] == PHASES.index("reduce"):
            _reached(state, "reduce")  # what an earlier version has kept does not say so
        job.phase_key = max(job.phase_key, (mark[0], mark[1], PHASES.index("complete")))


def _session(state: State, step: Step) -> None:
    if step.session_id is None:
        return
    status = (step.status or "Completed") if step.type == "SessionFinished" else "Running"
    mark = (step.resumed or 0, status)
    before = state.sessions.get(step.session_id)
    state.sessions[step.session_id] = mark if before is None else standing(before, mark)


_HANDLERS: dict[str, Callable[[State, Step], None]] = {
    "AgentStarted": _started,
    "ClaimRenewed": _renewed,
    "AgentCompleted": _ended,
    "AgentFailed": _ended,
    "AgentRetrying": _retrying,
    "ClaimReleased": _released,
    "WorkItemProcessed": _processed,
    "DLQItemAdded": _queued,
    "DLQItemRemoved": _queued,
    "DLQItemsReprocessed": _reprocessed,
    "JobStarted": _job_started,
    "WorkItemsAdded": _added,
    "JobPhaseChanged": _phase,
    "PhaseOutputsAdded": _output,
    **dict.fromkeys(_STATUS_OF, _status),
    "JobReopened": _reopened,
    "SessionStarted": _session,
    "SessionFinished": _session,
    "SessionResumed": _session,
}
