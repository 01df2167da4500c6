"""The events that have a meaning here, and what each has to hold (DESIGN, section 6).

Any other type is somebody's own, and kept as it is.
"""

from typing import Any, Literal

import msgspec

from prodigy_git.model.event_fields import Count, Duration, KnownEvent, Rewrite, Sha
from prodigy_git.model.worktree_events import (
    BranchNotPushed,
    BranchPushed,
    MergeCheckFailed,
    MergeConflict,
    WorktreeCleaned,
    WorktreeCreated,
    WorktreeMerged,
    WorktreeMergeUndone,
    WorktreeRestored,
)


class _OfAgent(KnownEvent, kw_only=True):
    agent_id: str


class AgentStarted(_OfAgent, kw_only=True):
    """An agent begins to work on an item."""

    worktree: str | None = None
    owner: dict[str, Any] | None = None
    lease_until: str | None = None


class AgentCompleted(_OfAgent, kw_only=True):
    """An agent has done its item."""

    duration: Duration | None = None
    commits: list[Sha] = msgspec.field(default_factory=list)
    json_log_location: str | None = None


class AgentFailed(_OfAgent, kw_only=True):
    """An agent has failed at its item."""

    error: str
    failure_reason: str | None = None
    retry_eligible: bool | None = None
    duration: Duration | None = None
    commits: list[Sha] = msgspec.field(default_factory=list)
    json_log_location: str | None = None


class AgentRetrying(_OfAgent, kw_only=True):
    """An item is to be tried again."""

    attempt: Count
    backoff_ms: Count = 0


class ClaimRenewed(_OfAgent, kw_only=True):
    """A claim lives longer."""

    item_id: str
    lease_until: str


class ClaimReleased(_OfAgent, kw_only=True):
    """A claim was given back: the item is free, and the attempt does not count."""

    item_id: str
    attempt: Count
    reason: str | None = None


class WorkItemsAdded(KnownEvent, kw_only=True):
    """A job has got more items: those of the file with this SHA-256."""

    part: Count
    items_sha256: str
    count: Count


class WorkItemProcessed(KnownEvent, kw_only=True):
    """An item's end."""

    item_id: str
    status: Literal["completed", "failed", "skipped"]
    result: Any = None


class CheckpointSaved(KnownEvent, kw_only=True):
    """A checkpoint was written."""

    phase: str
    checkpoint_path: str
    version: Count | None = None


class ClaudeMessage(KnownEvent, kw_only=True):
    """What was said in an agent's conversation."""

    content: str
    message_type: str | None = None
    json_log_location: str | None = None
    agent_program: str | None = None
    program_session: str | None = None


class _OfProgram(KnownEvent, kw_only=True):
    agent_program: str
    program_session: str


class AgentProgramStarted(_OfProgram, kw_only=True):
    """An agent program begins a conversation in a session's worktree, or goes on with one."""

    source: str | None = None
    json_log_location: str | None = None
    model: str | None = None


class AgentProgramEnded(_OfProgram, kw_only=True):
    """An agent program has ended its conversation."""

    reason: str | None = None
    json_log_location: str | None = None


class ToolsUsed(_OfProgram, kw_only=True):
    """What an agent program did in one turn: how often it used which tool, and the files it edited."""

    tools: dict[str, Count]
    failed: Count | None = None
    files: list[str] = msgspec.field(default_factory=list)
    duration: Duration | None = None


class AgentWaiting(_OfProgram, kw_only=True):
    """An agent program waits for a person."""

    reason: str
    message: str | None = None


class SubagentStarted(_OfProgram, kw_only=True):
    """An agent program has started an agent of its own, whose events follow its correlation_id."""

    subagent_id: str
    subagent_type: str | None = None
    parent_session: str | None = None
    json_log_location: str | None = None


class SubagentEnded(SubagentStarted, kw_only=True):
    """An agent that an agent program had started is through."""


class JobStarted(KnownEvent, kw_only=True):
    """A job was opened."""

    total_items: Count | None = None
    max_attempts: Count | None = None


class JobPhaseChanged(KnownEvent, kw_only=True):
    """A job has come to another phase."""

    from_: str = msgspec.field(name="from")
    to: Literal["setup", "map", "reduce", "complete"]
    sequence: Count | None = None


class PhaseOutputsAdded(KnownEvent, kw_only=True):
    """The set-up, or a step of the reduce phase, has yielded something."""

    phase: Literal["setup", "reduce"]
    outputs: dict[str, Any]
    sequence: Count | None = None


class JobCompleted(KnownEvent, kw_only=True):
    """A job has come to its end."""

    duration: Duration | None = None
    success_count: Count | None = None
    failure_count: Count | None = None
    sequence: Count | None = None


class JobFailed(KnownEvent, kw_only=True):
    """A job has failed."""

    error: str
    success_count: Count | None = None
    failure_count: Count | None = None
    sequence: Count | None = None


class JobTurned(KnownEvent, kw_only=True):
    """A job was paused, goes on, or was cancelled."""

    reason: str | None = None
    sequence: Count | None = None


class JobResumed(JobTurned, kw_only=True):
    """A job hands out items again."""

    pending_items: Count | None = None


class JobReopened(KnownEvent, kw_only=True):
    """A job that had ended hands out items again, also those whose last try its end had cut off."""

    to: Literal["setup", "map", "reduce"]
    items: dict[str, Count] | None = None
    reason: str | None = None
    conflict: dict[str, Any] | None = None
    sequence: Count | None = None


class SessionStarted(KnownEvent, kw_only=True):
    """A session begins."""

    session_id: str
    created_by: str | None = None
    base: str | None = None


class SessionFinished(KnownEvent, kw_only=True):
    """A session has come to its end."""

    session_id: str
    status: str
    error: str | None = None
    because: str | None = None
    resumed: Count | None = None


class SessionResumed(KnownEvent, kw_only=True):
    """A session that had ended goes on."""

    session_id: str
    resumed: Count


class CommitCreated(KnownEvent, kw_only=True):
    """A commit was made."""

    commit: Sha
    parent: Sha | None = None
    action: str
    branch: str | None = None
    subject: str | None = None
    worktree: str | None = None
    recovered: bool | None = None


class CommitsRewritten(KnownEvent, kw_only=True):
    """Commits were replaced by others."""

    command: str
    rewrites: list[Rewrite]


class DLQItemAdded(KnownEvent, kw_only=True):
    """An item came into the queue."""

    item_id: str
    error_signature: str | None = None
    failure_count: Count | None = None


class DLQItemRemoved(KnownEvent, kw_only=True):
    """An item was taken out of the queue."""

    item_id: str
    reason: str | None = None


class DLQItemsReprocessed(KnownEvent, kw_only=True):
    """Items are to be tried again."""

    count: Count
    items: dict[str, Count] | None = None
    item_ids: list[str] | None = None
    reason: str | None = None
    conflict: dict[str, Any] | None = None


KNOWN: dict[str, type[KnownEvent]] = {
    kind.__name__: kind
    for kind in (
        AgentStarted, AgentCompleted, AgentFailed, AgentRetrying, ClaimReleased, ClaimRenewed,
        WorkItemProcessed, WorkItemsAdded, CheckpointSaved, ClaudeMessage, JobStarted, JobPhaseChanged,
        PhaseOutputsAdded, JobCompleted, JobFailed, JobResumed, JobReopened,
        SessionStarted, SessionFinished, SessionResumed, CommitCreated, CommitsRewritten,
        WorktreeCreated, WorktreeCleaned, WorktreeRestored, WorktreeMerged, WorktreeMergeUndone,
        MergeConflict, MergeCheckFailed, BranchPushed, BranchNotPushed, DLQItemAdded,
        DLQItemRemoved, DLQItemsReprocessed,
        AgentProgramStarted, AgentProgramEnded, ToolsUsed, AgentWaiting, SubagentStarted, SubagentEnded,
    )
} | dict.fromkeys(("JobPaused", "JobCancelled"), JobTurned)  # fmt: skip


def check(fields: dict[str, Any]) -> None:
    """Raise `ValueError`, naming the field, for an event that is not what its type says.

    ``fields`` has a ``type``. Fields that the type does not know are not looked at.
    """
    kind = fields["type"]
    known = KNOWN.get(kind)
    if known is None:
        return
    try:
        msgspec.convert(fields, known)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.duration.secs`"
        said, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".")
        name = f"{kind}.{field}" if field else kind
        raise ValueError(f"{name}: {said[:1].lower()}{said[1:]}") from None
