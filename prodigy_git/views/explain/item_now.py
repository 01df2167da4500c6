"""Who has a work item now; else who completed it, or why nobody has it and what it waits for."""

from typing import Any, Literal

from prodigy_git.jobs import books, next_item
from prodigy_git.jobs.index import NUMBER, Index

WhyFree = Literal["after", "backoff", "queue", "failed", "paused", "ended", "pending"]
"""``after``: it waits for other items. ``backoff``: it has failed and waits for its time. ``queue``: it
is in the dead letter queue. ``failed``: it is given up and not in the queue. ``paused``, ``ended``: its
job hands nothing out. ``pending``: whoever claims next may have it."""
_STATES = {number: state for state, number in NUMBER.items()}

NOTHING: dict[str, Any] = {"holder": None, "completed_by": None, "why_free": None, "waits_for": []}
"""What is said where the job gives the item no state."""


def of(index: Index, name: str, view: books.View, ready: int | None) -> dict[str, Any]:
    """Return ``holder``, ``completed_by``, ``why_free`` (`WhyFree`) and ``waits_for``.

    The first two as {agent_id, session_id, attempt, since_at}, where somebody has or did it;
    ``waits_for`` has {item_id, state} of those that it is to be after and that are not completed, in
    their order. ``ready`` is from when on it may be tried again, in microseconds since 1970.
    """
    found = dict(NOTHING)
    if view.state == "in_progress":
        found["holder"] = _who(view)
    elif view.state == "completed":
        found["completed_by"] = _who(view)
    elif view.state == "pending":
        found["waits_for"] = _unfinished(index, name)
        found["why_free"] = _why_pending(index, bool(found["waits_for"]), ready)
    else:
        found["why_free"] = "queue" if view.state == "dead" else "failed"
    return found


def _who(view: books.View) -> dict[str, Any]:
    start, end = view.start, view.end
    session = None if end is None else end.session
    if session is None and start is not None:
        session = start.worktree or start.session
    return {
        "agent_id": view.agent or None, "session_id": session, "attempt": view.attempt or None,
        "since_at": view.since or None,
    }  # fmt: skip


def _unfinished(index: Index, name: str) -> list[dict[str, Any]]:
    if not index.meta.ordered:
        return []
    rows = index.rows(next_item.UNFINISHED, (name, -1))
    return [{"item_id": other, "state": _STATES[state]} for other, state in rows]


def _why_pending(index: Index, waiting: bool, ready: int | None) -> WhyFree:
    if index.job.status in books.ENDED:
        return "ended"
    if index.job.status == "paused":
        return "paused"
    if waiting:
        return "after"
    return "backoff" if ready is not None and ready > index.now() else "pending"
