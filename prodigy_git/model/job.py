"""A job's files: ``job-state.json`` and the checkpoints of its phases (DESIGN, section 6)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1


class _Open(BaseModel):
    """Fields that are not known here are kept."""

    model_config = ConfigDict(extra="allow")


class InProgress(_Open):
    """A work item that an agent is working on; ``work_item`` is ``{id, data}``."""

    work_item: dict[str, Any]
    agent_id: str
    started_at: str
    last_update: str


class AgentResult(_Open):
    """How an agent's work on an item ended."""

    item_id: str | None = None
    session_id: str | None = None
    status: Literal["Completed", "Failed"]
    commits: list[str] = Field(default_factory=list)
    duration: dict[str, int] | None = None
    error: str | None = None
    json_log_location: str | None = None


class LogPosition(_Open):
    """How many events of each log file a snapshot contains: {file name: lines}."""

    lines: dict[str, int] = Field(default_factory=dict)


class JobState(_Open):
    """What a job's log says of the job: a pure function of its events (`prodigy_git.jobs.fold`)."""

    version: int = VERSION
    job_id: str
    phase: Literal["setup", "map", "reduce", "complete"] = "setup"
    started_at: str | None = None
    updated_at: str | None = None
    in_progress_items: dict[str, InProgress] = Field(default_factory=dict)
    completed_items: list[str] = Field(default_factory=list)
    failed_items: list[str] = Field(default_factory=list)
    agent_results: dict[str, AgentResult] = Field(default_factory=dict)
    sessions: dict[str, str] = Field(default_factory=dict)
    commits: int = 0
    events: int = 0
    position: LogPosition = Field(default_factory=LogPosition)


class SetupCheckpoint(_Open):
    """``setup-checkpoint.json``."""

    version: int = VERSION
    job_id: str
    phase: Literal["setup"] = "setup"
    completed: bool
    outputs: dict[str, Any] = Field(default_factory=dict)
    timestamp: str
    position: LogPosition


class MapCheckpoint(_Open):
    """``map-checkpoint-{timestamp}.json``."""

    version: int = VERSION
    job_id: str
    phase: Literal["map"] = "map"
    completed_items: list[str]
    in_progress_items: dict[str, InProgress]
    pending_items: list[dict[str, Any]] = Field(default_factory=list)
    failed_items: list[str]
    agent_results: dict[str, AgentResult]
    timestamp: str
    position: LogPosition
