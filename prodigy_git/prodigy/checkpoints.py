"""Prodigy's checkpoints: of a MapReduce's job, by version, and of a sequential workflow, by its id."""

from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.reading import Broken, inner, number, text
from prodigy_git.prodigy.runs import Run

_ENDING = ".checkpoint.json"


@dataclass(frozen=True)
class JobCheckpoint:
    """The newest checkpoint of a MapReduce that can be read. Items are called ``item_{n}``, from 0."""

    path: str
    version: int
    items: dict[str, Any]
    """The data of every item of the job, in order."""
    pending: tuple[str, ...]
    completed: dict[str, tuple[str, ...]]
    """The commits of each item that succeeded."""
    failed: dict[str, str]
    """The last error of each item that failed."""
    attempts: dict[str, int]
    """How often an item had been tried again."""
    is_complete: bool
    updated_at: str | None
    parent_worktree: str | None


@dataclass(frozen=True)
class StepDone:
    """A step of a sequential workflow that has been done."""

    index: int
    command: str
    success: bool
    completed_at: str | None


@dataclass(frozen=True)
class WorkflowCheckpoint:
    """One checkpoint of a sequential workflow; without its variables, which hold the environment."""

    path: str
    workflow_id: str
    workflow_name: str | None
    workflow_path: str | None
    status: str | None
    next_step: int
    """The index of the step that it stands at."""
    steps: tuple[StepDone, ...]
    error: str | None
    timestamp: str | None


def job_checkpoint(store: str, run: Run, *, broken: Broken = reading.quiet) -> JobCheckpoint | None:
    """Return the newest checkpoint of a MapReduce that can be read; None where there is none.

    ``metadata.json`` says which that is; where it does not, or that one is damaged, an older one is
    taken, as Prodigy keeps three.
    """
    found: dict[int, str] = {}
    for folder in (run.checkpoints, f"{layout.state(store, run.key)}/jobs/{run.job_id}"):
        for stem in reading.documents(store, folder, ".json", broken):
            digits = stem.removeprefix("checkpoint-v")
            if digits != stem and digits.isascii() and digits.isdigit() and len(digits) < 10:
                found[int(digits)] = f"{folder}/{stem}.json"
    noted = reading.document(store, f"{run.checkpoints}/metadata.json", broken)
    named = None if noted is None else number(noted, "version")
    if named is not None and found and named not in found:
        broken(f"{run.checkpoints}/metadata.json names version {named}, of which there is no file")
    for version in sorted(found, key=lambda one: (one == named, one), reverse=True):
        made = _job_checkpoint(store, run.job_id, version, found[version], broken)
        if made is not None:
            return made
    return None


def _job_checkpoint(
    store: str, job: str, version: int, path: str, broken: Broken
) -> JobCheckpoint | None:
    fields = reading.document(store, path, broken, reading.LARGEST_OF_A_JOB)
    if fields is None:
        return None
    given = fields.get("work_items")
    if fields.get("job_id") != job or not isinstance(given, list):
        what = "job_id: another job's" if isinstance(given, list) else "work_items: not a list"
        broken(f"{path} is damaged ({what}): passed over")
        return None
    items = {f"item_{n}": data for n, data in enumerate(given)}
    completed, failed = {}, {}
    for name, result in inner(fields, "agent_results").items():
        if name in items and isinstance(result, dict):
            status = result.get("status")
            if status == "Success":
                commits = result.get("commits")
                shas = commits if isinstance(commits, list) else []
                completed[name] = tuple(one for one in shas if isinstance(one, str))
            elif status == "Timeout" or (isinstance(status, dict) and "Failed" in status):
                said = status["Failed"] if isinstance(status, dict) else status
                failed[name] = text(result, "error") or (said if isinstance(said, str) else "")
    for name, record in inner(fields, "failed_agents").items():
        if name in items and isinstance(record, dict) and name not in completed:
            failed[name] = text(record, "last_error") or failed.get(name, "")
    pending = fields.get("pending_items")
    listed = pending if isinstance(pending, list) else []
    tries = inner(fields, "item_retry_counts")
    return JobCheckpoint(
        path=path,
        version=version,
        items=items,
        pending=tuple(n for n in listed if isinstance(n, str) and n in items),
        completed=completed,
        failed=failed,
        attempts={name: number(tries, name) for name in tries if name in items},
        is_complete=fields.get("is_complete") is True,
        updated_at=text(fields, "updated_at"),
        parent_worktree=text(fields, "parent_worktree"),
    )


def workflow_checkpoints(
    store: str, run: Run, *, broken: Broken = reading.quiet
) -> list[WorkflowCheckpoint]:
    """Return the checkpoints of a sequential workflow, the newest last."""
    made = []
    for stem in reading.documents(store, run.checkpoints, _ENDING, broken):
        path = f"{run.checkpoints}/{stem}{_ENDING}"
        fields = reading.document(store, path, broken)
        if fields is None:
            continue
        state = inner(fields, "execution_state")
        if fields.get("workflow_id") != stem or not state:
            broken(f"{path} is damaged (workflow_id or execution_state): passed over")
            continue
        made.append(
            WorkflowCheckpoint(
                path=path,
                workflow_id=stem,
                workflow_name=text(fields, "workflow_name"),
                workflow_path=text(fields, "workflow_path"),
                status=text(state, "status"),
                next_step=number(state, "current_step_index"),
                steps=_steps(fields.get("completed_steps")),
                error=text(inner(fields, "variable_state"), "__error_message"),
                timestamp=text(fields, "timestamp"),
            )
        )
    return sorted(made, key=lambda one: (one.timestamp or "", one.workflow_id))


def _steps(given: Any) -> tuple[StepDone, ...]:
    return tuple(
        StepDone(
            index=number(one, "step_index"),
            command=one["command"],
            success=one.get("success") is True,
            completed_at=text(one, "completed_at"),
        )
        for one in (given if isinstance(given, list) else ())
        if isinstance(one, dict) and isinstance(one.get("command"), str)
    )
