"""What each agent did on each item, from start to end: the story behind a job's state.

The fold says where an item is now; this says how it came there. For those who look back: one pass over
a job's events in time order, also in pieces as they come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from prodigy_git import tally
from prodigy_git.jobs import signatures
from prodigy_git.model.event import Event
from prodigy_git.record import clock

Outcome = Literal["running", "completed", "failed", "cancelled"]
_OUTCOMES: dict[str, Outcome] = {
    "AgentCompleted": "completed", "AgentFailed": "failed", "ClaimReleased": "cancelled",
    "Completed": "completed", "Failed": "failed", "Cancelled": "cancelled",
}  # fmt: skip


@dataclass(slots=True)
class Commit:
    """A commit that was recorded during an attempt; ``replaced`` by another one since, if it was."""

    sha: str
    at: int | None
    subject: str
    action: str
    replaced: str | None = None


@dataclass(slots=True)
class Attempt:
    """One agent's work on one item; or a session's whole stretch where no agent is named.

    Moments are in microseconds since 1970. ``began`` is None where the log has only the end, ``ended``
    where it has no end yet. ``late`` says that the item was somebody else's by the end.
    """

    job_id: str | None
    agent_id: str | None
    item_id: str | None
    session_id: str | None
    number: int | None = None
    began: int | None = None
    ended: int | None = None
    outcome: Outcome = "running"
    late: bool = False
    error: str | None = None
    reason: str | None = None
    signature: str | None = None
    log: str | None = None
    commits: list[Commit] = field(default_factory=list)
    last: int | None = None
    """When the last event was that belongs to it."""

    @property
    def who(self) -> str:
        """The agent; its session where no agent is named."""
        return self.agent_id or self.session_id or "-"

    @property
    def line(self) -> tuple[str, str]:
        """As what it counts among the others, as `tally.line`."""
        return tally.line(self.agent_id, self.item_id, self.session_id) or ("session", "-")

    @property
    def lane(self) -> str:
        """The name of its line."""
        return self.line[1]

    @property
    def lasted(self) -> int | None:
        """How long it took, in microseconds; None where begin or end is not known."""
        if self.began is None or self.ended is None:
            return None
        return max(0, self.ended - self.began)


class Attempts:
    """The attempts of one job, as far as its events have been added."""

    def __init__(self) -> None:
        """Begin with none."""
        self.all: list[Attempt] = []
        """In the order in which they began."""
        self._by_agent: dict[str, Attempt] = {}
        self._running: dict[str | None, list[Attempt]] = {}
        """By agent, the last one last."""
        self._over: dict[tuple[object, object, object], Attempt] = {}
        """By agent, item and number, those that have ended."""
        self._by_session: dict[str, Attempt] = {}
        self._by_commit: dict[str, Commit] = {}

    def add(self, event: Event) -> Attempt | None:
        """Take the next event; return the attempt that it belongs to, None where it is nobody's."""
        kind = event.type
        if kind == "AgentStarted":
            found: Attempt | None = self._started(event)
        elif kind in ("AgentCompleted", "AgentFailed", "ClaimReleased"):
            found = self._ended(event)
        elif kind == "SessionStarted" and event.agent_id is None and event.session_id:
            found = self._begin(event, event.session_id, None)
        else:
            found = self._of(event)
            if kind == "CommitsRewritten":
                self._rewritten(event)
            elif found is not None and kind == "CommitCreated":
                self._committed(found, event)
            elif found is not None and kind == "SessionFinished" and found.agent_id is None:
                self._end(found, event, _OUTCOMES.get(_text(event.own(), "status") or ""))
        if found is not None:
            found.last = event.moment or found.last
        return found

    def _of(self, event: Event) -> Attempt | None:
        """Return the newest attempt of the event's session, else of its agent."""
        found = self._by_session.get(event.session_id or "")
        if found is None or event.agent_id not in (None, found.agent_id):
            found = self._by_agent.get(event.agent_id or "") or found
        if found is not None and event.item_id not in (None, found.item_id):
            return None
        return found

    def _started(self, event: Event) -> Attempt:
        own = event.own()
        known = self._of(event)
        number = own.get("attempt")
        if known is not None and known.outcome == "running" and known.number == number:
            # Told twice: by whoever claimed the item, then with the worktree; the latter knows more.
            found = known
            self._name(found, event, own)
        else:
            found = self._begin(event, _text(own, "worktree") or event.session_id, number)
        return found

    def _begin(self, event: Event, session: str | None, number: Any) -> Attempt:
        found = Attempt(
            event.job_id, event.agent_id, event.item_id, session,
            number if isinstance(number, int) else None, began=_when(event),
        )  # fmt: skip
        self.all.append(found)
        self._running.setdefault(event.agent_id, []).append(found)
        self._name(found, event, {})
        return found

    def _name(self, attempt: Attempt, event: Event, own: dict[str, Any]) -> None:
        attempt.session_id = _text(own, "worktree") or event.session_id or attempt.session_id
        if attempt.agent_id:
            self._by_agent[attempt.agent_id] = attempt
        if attempt.session_id:
            self._by_session[attempt.session_id] = attempt

    def _ended(self, event: Event) -> Attempt:
        own = event.own()
        number = own.get("attempt")
        before = self._by_agent.get(event.agent_id or "")
        found = next(
            (
                one
                for one in reversed(self._running.get(event.agent_id, ()))
                if event.item_id in (None, one.item_id) and number in (None, one.number)
            ),
            None,
        )
        outcome = _OUTCOMES[event.type]
        if found is None and number is not None:
            found = self._over.get((event.agent_id, event.item_id, number))
        if found is None:
            found = self._begin(event, event.session_id, number)
            found.began = None
            if before is not None and event.item_id is None and number is None:
                # Prodigy tries again without saying so: its agent's second end, of the same item.
                found.item_id = before.item_id
                found.number = None if before.number is None else before.number + 1
        if number is not None:
            self._over[event.agent_id, found.item_id, number] = found
        # One attempt ends once: a completion stands, as in the fold. Its agent may have been given up
        # for dead before it; or after it, by another clock.
        if found.outcome != "completed" or (found.late and outcome == "completed"):
            self._end(found, event, outcome)
            found.late = own.get("late") is True
            if outcome != "cancelled":
                found.error = _text(own, "error")
                found.reason = _text(own, "failure_reason")
                found.signature = None if found.error is None else signatures.of(found.error)
            found.log = _text(own, "json_log_location") or found.log
        shas = own.get("commits")
        known = {one.sha for one in found.commits}
        for sha in shas if isinstance(shas, list) else ():
            if isinstance(sha, str) and sha not in known:
                found.commits.append(self._by_commit.get(sha) or Commit(sha, None, "", "unknown"))
        return found

    def _end(self, attempt: Attempt, event: Event, outcome: Outcome | None) -> None:
        attempt.ended = _when(event)
        attempt.outcome = outcome or "completed"
        running = self._running[attempt.agent_id]
        if attempt in running:
            running.remove(attempt)
        duration = event.own().get("duration")
        if attempt.began is None and attempt.ended is not None and isinstance(duration, dict):
            secs = duration.get("secs")
            if isinstance(secs, int) and 0 <= secs < 1 << 40:
                attempt.began = attempt.ended - secs * clock.SECOND

    def _committed(self, attempt: Attempt, event: Event) -> None:
        own = event.own()
        sha = _text(own, "commit")
        if sha is None or sha in self._by_commit:
            return
        made = Commit(sha, event.moment, _text(own, "subject") or "", _text(own, "action") or "-")
        self._by_commit[sha] = made
        attempt.commits.append(made)

    def _rewritten(self, event: Event) -> None:
        rewrites = event.own().get("rewrites")
        for one in rewrites if isinstance(rewrites, list) else ():
            if isinstance(one, dict) and isinstance(one.get("new"), str):
                old = self._by_commit.get(str(one.get("old")))
                if old is not None:
                    old.replaced = one["new"]


def of_events(events: Iterable[Event]) -> list[Attempt]:
    """Return the attempts that a job's events, in time order, tell of."""
    found = Attempts()
    for event in events:
        found.add(event)
    return found.all


def _when(event: Event) -> int | None:
    """Return when it was that an event tells of: it may have been recorded later."""
    at = _text(event.own(), "occurred_at")
    return (None if at is None else clock.parse(at)) or event.moment


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
