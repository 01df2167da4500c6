"""What came of a result that was to be merged: as data, as JSON, as an event in its job's log."""

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from prodigy_git import encoding
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results.results import Result
from prodigy_git.record import log

State = Literal[
    "merged", "already_merged", "empty", "conflict", "check_failed", "refused", "not_ready", "not_tried"
]  # fmt: skip
_MOST = 1000
"""So many paths are noted in an event."""
GOOD: frozenset[State] = frozenset(("merged", "already_merged", "empty"))
"""The states in which nothing is left to do."""


@dataclass
class Outcome:
    """A result and what came of it."""

    result: Result
    state: State
    commit: str | None = None
    """The commit of the branch that has it."""
    files: tuple[str, ...] = ()
    """Where it conflicts."""
    culprits: list[dict[str, Any]] = field(default_factory=list)
    """With whom, as `culprits.of` has them."""
    reason: str | None = None
    log: str | None = None
    last: tuple[str, ...] = ()
    """The last lines of the check."""
    requeued: bool = False
    resolved: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``merge --json`` prints them."""
        one = self.result
        return {
            "job_id": one.job_id, "item_id": one.item_id, "attempt": one.attempt,
            "agent_id": one.agent_id, "session_id": one.session_id, "branch": one.branch,
            "head": one.head, "state": self.state, "commit": self.commit,
            "resolved": self.resolved, "requeued": self.requeued, "files": list(self.files),
            "with": self.culprits, "reason": self.reason, "log": self.log,
        }  # fmt: skip


def why_not_ready(one: Result) -> str:
    """Return in words why a result is not merged."""
    if one.state == "working":
        return f"agent {one.agent_id} is at work on it"
    if one.state == "open":
        return "its session has not ended: 'prodigy-git finish' ends it"
    if one.state == "failed":
        return f"it failed: {one.error}" if one.error else "it failed"
    if one.state == "released":
        return "it was interrupted and given back"
    return "git has no commit of it (any more)"


def merged(one: Result, commit: str) -> dict[str, Any]:
    """Return a result that was merged as the ledger keeps it."""
    return {
        "job_id": one.job_id, "item_id": one.item_id, "agent_id": one.agent_id,
        "session_id": one.session_id, "branch": one.branch, "head": one.head, "commit": commit,
    }  # fmt: skip


def record(target: Target, outcome: Outcome, told: dict[str, Any]) -> None:
    """Put into a result's log that it conflicts, or has failed its check. Raises `OSError`.

    ``told`` is what `giving_back.describe` returned.
    """
    one = outcome.result
    kind = "MergeConflict" if outcome.state == "conflict" else "MergeCheckFailed"
    fields = {
        "id": log.event_id(one.job_id, os.urandom(16).hex()), "timestamp": "", "type": kind,
        "event_type": kind, "correlation_id": one.session_id or one.job_id, "job_id": one.job_id,
        "session_id": one.session_id, "agent_id": one.agent_id, "item_id": one.item_id,
        "attempt": one.attempt, "target_branch": target.branch, "branch": one.branch,
        "head": one.head, "base": told["base"],
    }  # fmt: skip
    if kind == "MergeConflict":
        fields |= {"files": list(outcome.files[:_MOST]), "with": told["with"]}
    else:
        fields |= {"error": outcome.reason, "json_log_location": outcome.log}
    found = {name: _valid(value) for name, value in fields.items() if value is not None}
    log.append(target.store, target.repo, one.job_id, [found])


def _valid(value: Any) -> Any:
    """Return a value with all texts in it as `encoding.valid` has them: paths may hold any byte."""
    if isinstance(value, str):
        return encoding.valid(value)
    if isinstance(value, list):
        return [_valid(one) for one in value]
    if isinstance(value, dict):
        return {name: _valid(one) for name, one in value.items()}
    return value
