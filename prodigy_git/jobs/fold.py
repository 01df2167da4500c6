"""A job's state as a fold over its events. Pure: no input or output, no clock."""

from collections.abc import Iterable

from prodigy_git.model.event import Event
from prodigy_git.model.job import AgentResult, InProgress, JobState


def fold(job: str, events: Iterable[Event]) -> JobState:
    """Return the state that ``events``, in log order, bring a job to."""
    state = JobState(job_id=job)
    seen: set[str] = set()
    for event in events:
        if event.id is not None:
            if event.id in seen:
                continue  # a duplicated line is one event
            seen.add(event.id)
        apply(state, event)
    return state


def apply(state: JobState, event: Event) -> None:
    """Bring ``state`` one event further."""
    state.events += 1
    state.started_at = state.started_at or event.timestamp
    state.updated_at = event.timestamp or state.updated_at
    own = event.own()
    if event.type == "SessionStarted" and event.session_id is not None:
        state.sessions[event.session_id] = "Running"
    elif event.type == "SessionFinished" and event.session_id is not None:
        state.sessions[event.session_id] = str(own.get("status", "Completed"))
    elif event.type == "CommitCreated":
        state.commits += 1
    elif event.type == "AgentStarted":
        _started(state, event)
    elif event.type in ("AgentCompleted", "AgentFailed"):
        _ended(state, event)


def _started(state: JobState, event: Event) -> None:
    if state.phase == "setup":
        state.phase = "map"
    if event.item_id is None or event.agent_id is None:
        return
    now = event.timestamp or ""
    state.in_progress_items[event.item_id] = InProgress(
        work_item={"id": event.item_id, "data": event.own().get("data")},
        agent_id=event.agent_id,
        started_at=now,
        last_update=now,
    )
    for ended in (state.failed_items, state.completed_items):
        if event.item_id in ended:  # tried again
            ended.remove(event.item_id)


def _ended(state: JobState, event: Event) -> None:
    if event.agent_id is None:
        return
    own = event.own()
    completed = event.type == "AgentCompleted"
    commits = own.get("commits")
    duration = own.get("duration")
    log_path = own.get("json_log_location")
    state.agent_results[event.agent_id] = AgentResult(
        item_id=event.item_id,
        session_id=event.session_id,
        status="Completed" if completed else "Failed",
        commits=[str(sha) for sha in commits] if isinstance(commits, list) else [],
        duration=duration if isinstance(duration, dict) else None,
        error=None if completed else str(own.get("error", "")),
        json_log_location=log_path if isinstance(log_path, str) else None,
    )
    if event.item_id is None:
        return
    state.in_progress_items.pop(event.item_id, None)
    ended, other = state.completed_items, state.failed_items
    if not completed:
        ended, other = other, ended
    if event.item_id in other:
        other.remove(event.item_id)
    if event.item_id not in ended:
        ended.append(event.item_id)
