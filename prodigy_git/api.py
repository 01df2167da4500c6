"""What the commands do, for programs: jobs, claims and events without starting processes.

Nothing here prints or exits. What cannot be done raises `ProdigyError`, with one line that says what is
wrong and what to do; a store that cannot be written raises `OSError`. All of it may be called from
several threads and processes at once. What deserves a word, but is not wrong, goes to ``broken``,
which is called with one line of text; by default it goes to the logger ``prodigy_git``.

    from prodigy_git import api

    job = api.open_job("review", items=[{"id": "a", "path": "a.py"}], cwd="/path/to/repository")
    while (claim := api.claim(job, agent="agent-1")) is not None:
        api.finish(job, claim, commits=[])
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import claims, course, owner, summary
from prodigy_git.jobs import items as _items
from prodigy_git.jobs.endings import Claim, Ended
from prodigy_git.lifecycle import whereabouts
from prodigy_git.model.event import Event
from prodigy_git.record import clock
from prodigy_git.store import events, recording
from prodigy_git.store import follow as following

__all__ = [
    "Claim",
    "Ended",
    "Event",
    "Job",
    "ProdigyError",
    "claim",
    "finish",
    "follow",
    "job_state",
    "open_job",
    "read_events",
    "record_event",
    "record_events",
    "renew",
]

Broken = Callable[[str], None]
_log = logging.getLogger("prodigy_git").warning
_LEASE = 30 * 60.0


@dataclass(frozen=True)
class Job:
    """A job: the store's path, the repository's key, the job's id."""

    store: str
    repo: str
    job_id: str


def open_job(
    job_id: str,
    *,
    items: Iterable[Any] | None = None,
    max_attempts: int = 3,
    cwd: str | None = None,
    exist_ok: bool = True,
    broken: Broken = _log,
) -> Job:
    """Return a job of the repository around ``cwd`` (default: the current directory).

    With ``items`` (any values that JSON has a form for; the id of each is its field ``id``, else
    ``item-{n}``) it is started; one that was started before is returned as it is, or refused unless
    ``exist_ok``. Raises `ProdigyError`, `OSError`.
    """
    store, repo = whereabouts.repository(os.getcwd() if cwd is None else cwd)
    job = Job(store, repo, names.checked(job_id, "job id"))
    if items is not None:
        given = _items.named(list(items), "items")
        try:
            course.start(store, repo, job_id, given=given, max_attempts=max_attempts, broken=broken)
        except course.Started:
            if not exist_ok:
                raise
    return job


def claim(
    job: Job,
    *,
    agent: str,
    item: str | None = None,
    lease: float | None = None,
    broken: Broken = _log,
) -> Claim | None:
    """Claim ``item``, or the next one, for an agent; None where none is to be had now.

    The claim lives as long as this process, or with ``lease`` that many seconds unless `renew`
    extends it. Raises `ProdigyError` for an item that is not pending.
    """
    held = owner.of_process(os.getpid()).as_json() if lease is None else None
    micros = None if lease is None else int(lease * clock.SECOND)
    return claims.claim(
        job.store, job.repo, job.job_id, agent=agent, item=item, owner=held, lease=micros,
        broken=broken,
    )  # fmt: skip


def renew(job: Job, claim: Claim, *, lease: float = _LEASE, broken: Broken = _log) -> str:
    """Extend a claim by ``lease`` seconds from now on; return until when, as a timestamp.

    Raises `ProdigyError` where the agent does not have the item any more.
    """
    return claims.renew(
        job.store, job.repo, job.job_id, claim.item_id, claim.agent_id,
        int(lease * clock.SECOND), broken,
    )  # fmt: skip


def finish(
    job: Job,
    claim: Claim,
    *,
    error: str | None = None,
    reason: str = "Unknown",
    retry: bool = True,
    commits: Iterable[str] = (),
    result: Any = None,
    log_path: str | None = None,
    broken: Broken = _log,
) -> Ended:
    """End a claim: well, or with ``error`` (why) badly; return what became of the item.

    ``reason`` is the event's failure_reason; with ``retry`` the item is tried again until its attempts
    are used up. ``Ended.late`` says that the item was somebody else's by then.
    """
    where = (job.store, job.repo, job.job_id, claim)
    if error is None:
        return claims.complete(
            *where, commits=list(commits), result=result, log_path=log_path,
            session=claim.worktree, broken=broken,
        )  # fmt: skip
    return claims.fail(
        *where, error=error, reason=reason, retry=retry, log_path=log_path,
        session=claim.worktree, broken=broken,
    )  # fmt: skip


def job_state(job: Job, *, broken: Broken = _log) -> dict[str, Any]:
    """Return what ``prodigy-git job show --json`` prints. Raises `ProdigyError` for an unknown job."""
    return summary.whole(job.store, job.repo, job.job_id, broken)


def record_event(job: Job, kind: str, **fields: Any) -> str:
    """Record an event of type ``kind``, durably; return its id.

    Raises `ProdigyError`, naming the field, for one that is not what its type says.
    """
    return record_events(job, [{**fields, "type": kind}])[0]


def record_events(job: Job, given: Iterable[dict[str, Any]]) -> list[str]:
    """Record events, each with its ``type``, all of them or none; return their ids.

    Raises `ProdigyError`, naming event and field.
    """
    return recording.record(job.store, job.repo, job.job_id, list(given))


def read_events(job: Job, *, broken: Broken = _log) -> Iterator[Event]:
    """Yield a job's events by timestamp, then position; in little memory, however many there are."""
    return events.read_job(job.store, job.repo, job.job_id, broken)


def follow(
    job: Job,
    *,
    since: str | int | None = None,
    stop: threading.Event | None = None,
    broken: Broken = _log,
) -> Iterator[tuple[Event, str | None]]:
    """Yield a job's events as they come, each with None or, the last of some, a cursor.

    Begins at ``since``: a cursor from before, a time in microseconds since 1970, or with None now.
    Going on at a cursor neither loses nor repeats one. Ends when ``stop`` is set, within a second.
    """
    follower = following.Follower(job.store, lambda: [(job.repo, job.job_id)], since, broken)
    for found in follower.follow(stop):
        *others, (_, _, last) = found
        for _, _, event in others:
            yield event, None
        yield last, follower.cursor()
