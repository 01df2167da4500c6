"""A MapReduce of Prodigy's as a job of ours: its items in files, all that was done in one append."""

import os
from typing import Any

from prodigy_git import encoding, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import claims, dead_letters, endings, items, signatures, snapshots
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs.index import Index
from prodigy_git.model.dlq import Queue
from prodigy_git.prodigy.items import UNKNOWN, RunItem
from prodigy_git.prodigy.runs import Run
from prodigy_git.record import clock, locks, log, within
from prodigy_git.store.events import Broken

PAUSED = "items without data were taken over"
"""Why a job is paused that has items whose data Prodigy has not kept."""


def without_data(index: Index, found: dict[str, RunItem]) -> list[str]:
    """Return the items that have data now, and that a job has none for, or does not know."""
    known = {
        name: offset is not None for name, offset in index.rows("SELECT id, offset FROM items")
    }
    return [
        name
        for name, one in found.items()
        if one.data is not UNKNOWN and not known.get(name, False)
    ]


def make(
    store: str,
    repo: str,
    run: Run,
    found: dict[str, RunItem],
    missing: list[str],
    max_attempts: int,
    broken: Broken,
) -> None:
    """Open a run's job with what was done, unless it is open; then give it data that it lacks.

    Killed before the append nothing was begun. Raises `ProdigyError`, `OSError`.
    """
    data = [(name, one.data) for name, one in found.items() if one.data is not UNKNOWN]
    lock = locks.take(layout.claims_lock(store, repo, run.job_id), indexes.PATIENCE)
    try:
        if _is_open(store, repo, run.job_id, broken):
            is_new = False
        else:
            is_new = True
            _open(store, repo, run, found, data, missing, max_attempts, broken)
    finally:
        os.close(lock)
    if not is_new:
        _add(store, repo, run.job_id, found, missing, broken)


def _is_open(store: str, repo: str, job: str, broken: Broken) -> bool:
    if not os.path.isdir(layout.job_log(store, repo, job)):
        return False
    with indexes.held(store, repo, job, broken) as index:
        return index.job.opened is not None


def _open(
    store: str,
    repo: str,
    run: Run,
    found: dict[str, RunItem],
    data: list[tuple[str, Any]],
    missing: list[str],
    max_attempts: int,
    broken: Broken,
) -> None:
    job = run.job_id
    within.make_folder(store, layout.job_state(store, repo, job))
    # Also where there are none: by this file the job is known for ours (`jobs.prodigy_runs`).
    digest = items.write(store, repo, job, data)
    letters = [one.letter for one in found.values() if one.letter is not None]
    if letters:
        # With all that Prodigy says of them. What the log says as well is put over it.
        dead_letters.write(store, repo, job, Queue(items=letters))
    indexes.discard(store, repo, job)
    log.append(
        store, repo, job, _events(run, found, len(data), digest, max_attempts, bool(missing))
    )
    try:
        with indexes.held(store, repo, job, broken) as index:
            snapshots.write(index, broken)
            snapshots.write_queue(index, broken)
    except (OSError, ProdigyError) as error:
        broken(f"no checkpoint of job {job} written ({error}): the log has everything")


def _events(
    run: Run, found: dict[str, RunItem], total: int, digest: str, max_attempts: int,
    paused: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return what opens the job, and what was done on each item, in order."""
    made = [
        _event(
            run, "JobStarted", "", at=run.began, total_items=total, max_attempts=max_attempts,
            items_sha256=digest, taken_over={"key": run.key, "session_id": run.session_id},
        )
    ]  # fmt: skip
    if any(one.outcome != "pending" or one.failures for one in found.values()):
        made.append(
            _event(run, "JobPhaseChanged", "", **{"from": "setup", "to": "map"}, sequence=1)
        )
    for name, one in found.items():
        made += _tries(run, name, one)
    over = all(one.outcome == "completed" for one in found.values())
    if run.state in ("completed", "failed", "cancelled") and over:
        made.append(_end(run, found))
    elif paused:
        made.append(_event(run, "JobPaused", "", reason=PAUSED, sequence=2))
    return made


def _end(run: Run, found: dict[str, RunItem]) -> dict[str, Any]:
    if run.state == "completed":
        return _event(
            run, "JobCompleted", "", at=run.ended, success_count=len(found), failure_count=0,
            sequence=2,
        )  # fmt: skip
    if run.state == "cancelled":
        return _event(run, "JobCancelled", "", at=run.ended, sequence=2)
    return _event(run, "JobFailed", "", at=run.ended, error=run.error or "failed", sequence=2)


def _tries(run: Run, name: str, one: RunItem) -> list[dict[str, Any]]:
    """Return the attempts at an item: those that failed, then what came of the last."""
    made = []
    failures = list(one.failures)
    for number, failure in enumerate(failures, 1):
        who: dict[str, Any] = {"agent_id": one.agent_id, "item_id": name, "attempt": number}
        at = failure.timestamp
        is_last = number == len(failures) and one.outcome == "dead"
        made.append(_event(run, "AgentStarted", f"{name}:{number}", at=at, **who))
        made.append(
            _event(
                run, "AgentFailed", f"{name}:{number}", at=at, **who, error=failure.said,
                failure_reason=failure.reason, retry_eligible=not is_last,
                json_log_location=failure.json_log_location,
            )
        )  # fmt: skip
    last = len(failures) + (one.outcome in ("completed", "under_way"))
    who = {"agent_id": one.agent_id, "item_id": name, "attempt": last}
    if one.outcome == "dead":
        if not failures:
            who["attempt"] = 1
            made.append(_event(run, "AgentStarted", f"{name}:1", **who))
            made.append(_event(run, "AgentFailed", f"{name}:1", **who, error="no reason was kept"))
        text = failures[-1].said if failures else ""
        made.append(
            _event(
                run, "DLQItemAdded", f"{name}:{who['attempt']}",
                at=failures[-1].timestamp if failures else None, **who,
                error_signature=signatures.of(text), failure_count=max(1, len(failures)),
            )
        )  # fmt: skip
    elif one.outcome in ("completed", "under_way"):
        made.append(_event(run, "AgentStarted", f"{name}:{last}", at=run.began, **who))
        made.append(
            _event(run, "AgentCompleted", f"{name}:{last}", **who, commits=list(one.commits))
            if one.outcome == "completed"
            else _event(run, "ClaimReleased", f"{name}:{last}", **who, reason="interrupted")
        )
    return made


def _event(run: Run, kind: str, what: str, at: str | None = None, **own: Any) -> dict[str, Any]:
    """Return an event of the job. Its id is the same whenever it is made, ``what`` tells it apart."""
    moment = None if at is None else clock.parse(at)
    head = {
        "id": log.event_id(f"import:{run.key}:{run.job_id}", f"{kind}:{what}"), "timestamp": "",
        "type": kind, "event_type": kind, "correlation_id": run.session_id or run.job_id,
        "job_id": run.job_id,
    }  # fmt: skip
    if moment is not None:
        head["occurred_at"] = clock.stamp(moment)
    return head | {
        name: encoding.valid(value) if isinstance(value, str) else value
        for name, value in own.items()
        if value is not None
    }


def _add(
    store: str, repo: str, job: str, found: dict[str, RunItem], missing: list[str], broken: Broken
) -> None:
    """Give a job that was taken over before the data that it lacks; with all of it, it goes on."""
    with claims.step(store, repo, job, broken) as index:
        fresh = [(name, found[name].data) for name in without_data(index, found)]
        if fresh:
            digest = items.write(store, repo, job, fresh, later=True)
            part = 1 + max((number for number, _, _ in index.job.parts.values()), default=0)
            added = endings.event(
                index, "WorkItemsAdded", part=part, items_sha256=digest, count=len(fresh)
            )
            endings.record(index, [added], broken)
        if fresh and not missing and index.job.status == "paused":
            resumed = endings.event(index, "JobResumed", sequence=index.job.sequence + 1)
            endings.record(index, [resumed], broken)
