"""A session's file: Prodigy's UnifiedSession, with what only prodigy-git knows under ``metadata``."""

from typing import Any, Literal

import msgspec

from prodigy_git import names
from prodigy_git.model.document import Document
from prodigy_git.record import clock, persons

Status = Literal["Initializing", "Running", "Paused", "Completed", "Failed", "Cancelled"]
ENDED: frozenset[Status] = frozenset(("Completed", "Failed", "Cancelled"))


class Checkpoint(Document):
    """A resumable state of a session."""

    id: str
    created_at: str
    state: Any = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class Timing(Document):
    """A duration, as Rust's serde writes one."""

    secs: int
    nanos: int = 0


class WorkflowData(Document):
    """What a session of type Workflow adds."""

    workflow_id: str
    workflow_name: str
    current_step: int = 0
    total_steps: int = 0
    completed_steps: list[Any] = msgspec.field(default_factory=list)
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    iterations_completed: int = 0
    files_changed: int = 0
    worktree_name: str | None = None


class MapReduceData(Document):
    """What a session of type MapReduce adds."""

    job_id: str
    total_items: int = 0
    processed_items: int = 0
    failed_items: int = 0
    agent_count: int = 0
    phase: Literal["Setup", "Map", "Reduce", "Complete"] = "Setup"
    reduce_results: Any = None


class Session(Document):
    """One worktree's stretch of work."""

    id: str
    session_type: Literal["Workflow", "MapReduce"]
    status: Status
    started_at: str
    updated_at: str
    completed_at: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    checkpoints: list[Checkpoint] = msgspec.field(default_factory=list)
    timings: dict[str, Timing] = msgspec.field(default_factory=dict)
    error: str | None = None
    workflow_data: WorkflowData | None = None
    mapreduce_data: MapReduceData | None = None

    @property
    def ended(self) -> bool:
        """Whether the session has come to its end."""
        return self.status in ENDED

    @property
    def ended_at(self) -> int | None:
        """When it ended, in microseconds since 1970; the last change where the file does not say."""
        return clock.parse(self.completed_at or self.updated_at) if self.ended else None

    def text(self, name: str) -> str | None:
        """Return a text of ``metadata``; None where it is missing, of another type or no text."""
        value = self.metadata.get(name)
        return value if isinstance(value, str) and names.is_text(value) else None

    @property
    def persons(self) -> bool:
        """Whether it is a person's own checkout, and no agent's (`record.persons`)."""
        return persons.is_persons(self.metadata)

    @property
    def made_branch(self) -> str | None:
        """The branch that `new-worktree` made for it; None: it was there before, or is not known."""
        if self.text("created_by") != "new-worktree":
            return None
        # Sessions of earlier versions do not say so: they were made with a new branch each.
        return self.text("made_branch" if "made_branch" in self.metadata else "branch")

    @property
    def job(self) -> str:
        """The job that the session works on: its own id where it has none."""
        if self.mapreduce_data is not None:
            return self.mapreduce_data.job_id
        return self.text("job_id") or self.id
