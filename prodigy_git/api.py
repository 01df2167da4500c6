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
from prodigy_git.errors import Away, ProdigyError
from prodigy_git.jobs import books, checked_input, claims, course, hub_waits, owner, summary
from prodigy_git.jobs import items as _items
from prodigy_git.jobs.endings import Claim, Ended
from prodigy_git.lifecycle import whereabouts
from prodigy_git.model.event import Event
from prodigy_git.store import events as _events
from prodigy_git.store import follow as following
from prodigy_git.store import outside_events, sessions

__all__ = [
    "Away",
    "Claim",
    "Ended",
    "Event",
    "Job",
    "ProdigyError",
    "add_items",
    "claim",
    "finish",
    "follow",
    "job_state",
    "open_job",
    "read_events",
    "record_event",
    "record_events",
    "renew",
    "set_phase",
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

    def __post_init__(self) -> None:
        """Check what becomes paths. Raises `ProdigyError`."""
        if not isinstance(self.store, str) or not os.path.isabs(self.store):
            raise ProdigyError(f"store {self.store!r:.80}: give an absolute path")
        names.checked(self.repo, "repository key")
        names.checked(self.job_id, "job id")


def open_job(
    job_id: str,
    *,
    items: Iterable[Any] | None = None,
    max_attempts: int = 3,
    cwd: str | os.PathLike[str] | None = None,
    exist_ok: bool = True,
    ordered: bool = True,
    hub: bool = False,
    broken: Broken = _log,
) -> Job:
    """Return a job of the repository around ``cwd`` (default: the current directory).

    With ``items`` (at least one; any values that JSON has a form for; the id of each is its field
    ``id``, else ``item-{n}``) it is started; one that was started before is returned as it is, or
    refused unless ``exist_ok``. Items' fields ``priority`` and ``after`` say in which order they are
    handed out (docs/reference/jobs.md), unless ``ordered`` is false. With ``hub`` it is one of the
    repository's hub, which all its hosts work on: with ``items`` it is started there, unless another
    host has done that. Raises `ProdigyError`, and then nothing was written; `Away`, a
    `ProdigyError` too, where the hub is not reached; `OSError`.
    """
    names.checked(job_id, "job id")
    most = checked_input.max_attempts(max_attempts)
    wanted = None if items is None else _items.named(_listed(items), "items")
    folder = _folder(cwd)
    try:
        store, repo = whereabouts.repository(folder, take=True)
    except OSError:
        if wanted is not None:
            raise
        store, repo = whereabouts.repository(folder)  # one that can be read is enough to look at
    job = Job(store, repo, job_id)
    if wanted is not None:
        try:
            course.start(
                store, repo, job_id, given=wanted, max_attempts=most, ordered=ordered, hub=hub,
                broken=broken,
            )  # fmt: skip
        except course.Started:
            if not exist_ok:
                raise
    return job


def add_items(
    job: Job,
    items: Iterable[Any],
    *,
    skip_known: bool = False,
    ordered: bool = True,
    broken: Broken = _log,
) -> list[str]:
    """Give a started job more items, also while it runs; return their ids.

    ``items`` and ``ordered`` as for `open_job`. Where the job has one of the ids already nothing is
    added, or with ``skip_known`` the others are. Raises `ProdigyError`, and then nothing was written;
    `OSError`.
    """
    _is(job, Job, "job")
    added, _ = course.add(
        job.store, job.repo, job.job_id, _listed(items), where="items", skip_known=skip_known,
        ordered=ordered, broken=broken,
    )  # fmt: skip
    return added


def _listed(found: Any) -> list[Any]:
    if isinstance(found, str | bytes | dict) or not isinstance(found, Iterable):
        raise ProdigyError(f"items {found!r:.40}: give a list")
    listed = list(found)
    if not listed:
        raise ProdigyError("items: the list is empty: give at least one item, or None for no items")
    return listed


def _folder(cwd: Any) -> str:
    if cwd is None:
        return os.getcwd()
    path = os.fsdecode(cwd) if isinstance(cwd, str | bytes | os.PathLike) else ""
    if not path or "\0" in path or not os.path.isdir(path):
        raise ProdigyError(f"cwd {cwd!r:.80} is no folder: give one in the repository")
    return path


def _is(value: Any, kind: type, name: str) -> None:
    """Refuse an argument of another type. Raises `ProdigyError`."""
    if not isinstance(value, kind):
        raise ProdigyError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")


def claim(
    job: Job,
    *,
    agent: str,
    item: str | None = None,
    lease: float | None = None,
    wait: float | None = None,
    broken: Broken = _log,
) -> Claim | None:
    """Claim ``item``, or the next one, for an agent; None where none is to be had now.

    The claim lives as long as this process, or with ``lease`` that many seconds unless `renew`
    extends it. One of a shared job has a lease in any case (half an hour unless it is given), and ends
    with it. Where the hub of that is not reached, it is waited for ``wait`` seconds, then `Away`
    is raised. Raises `ProdigyError` for an item that is not pending.
    """
    _is(job, Job, "job")
    micros = None if lease is None else checked_input.lease(lease)
    held = owner.of_process(os.getpid()).as_json() if lease is None else None
    patience = None if wait is None else checked_input.wait(wait)
    return hub_waits.outlast(
        lambda: claims.claim(
            job.store, job.repo, job.job_id, agent=agent, item=item, owner=held, lease=micros,
            broken=broken,
        ),
        patience, broken,
    )  # fmt: skip


def renew(job: Job, claim: Claim, *, lease: float = _LEASE, broken: Broken = _log) -> str:
    """Extend a claim by ``lease`` seconds from now on; return until when, as a timestamp.

    Raises `ProdigyError` where the agent does not have the item any more.
    """
    _is(job, Job, "job")
    _is(claim, Claim, "claim")
    micros = checked_input.lease(lease)
    return claims.renew(
        job.store, job.repo, job.job_id, claim.item_id, claim.agent_id, micros, broken,
        number=claim.attempt,
    )  # fmt: skip


def finish(
    job: Job,
    claim: Claim,
    *,
    error: str | None = None,
    reason: str = "Unknown",
    retry: bool = True,
    backoff: float | None = None,
    commits: Iterable[str] = (),
    result: Any = None,
    log_path: str | None = None,
    broken: Broken = _log,
) -> Ended:
    """End a claim: well, or with ``error`` (why) badly; return what became of the item.

    ``reason`` is the event's failure_reason; with ``retry`` the item is tried again until its attempts
    are used up, ``backoff`` seconds later (by default 1, 2, 4, … up to 60): until then `claim` does not
    return it. ``Ended.late`` says that the item was somebody else's by then. ``result`` is what the
    item yielded, anything that JSON has a form for, of at most `given.LARGEST_RESULT` bytes. Raises
    `ProdigyError`, and then nothing was recorded.
    """
    _is(job, Job, "job")
    _is(claim, Claim, "claim")
    made = checked_input.commits(commits)
    checked_input.result(result)
    wait = None if backoff is None else checked_input.backoff(backoff)
    path = None if log_path is None else checked_input.text(log_path, "log_path")
    where = (job.store, job.repo, job.job_id, claim)
    if error is None:
        return claims.complete(
            *where, commits=made, result=result, log_path=path, session=claim.worktree,
            broken=broken,
        )  # fmt: skip
    return claims.fail(
        *where, error=checked_input.text(error, "error"),
        reason=checked_input.text(reason, "reason"), retry=retry, backoff_ms=wait, log_path=path,
        session=claim.worktree, broken=broken,
    )  # fmt: skip


def set_phase(
    job: Job, phase: str, *, outputs: dict[str, Any] | None = None, broken: Broken = _log
) -> str:
    """Take a job to ``setup``, ``map``, ``reduce`` or ``complete``; return the phase it was in.

    ``outputs`` are what that one has yielded: the set-up, or a step of the reduce phase (each call with
    outputs is one more); values that JSON has a form for, of `given.LARGEST_RESULT` bytes at most. The
    job may stay in its phase. From map to reduce they are the first step's. Raises `ProdigyError`.
    """
    _is(job, Job, "job")
    if phase not in books.PHASES:
        raise ProdigyError(f"phase {phase!r:.40}: give one of {', '.join(books.PHASES)}")
    made = None if outputs is None else checked_input.outputs(outputs)
    return course.set_phase(job.store, job.repo, job.job_id, phase, broken, made)


def job_state(job: Job, *, broken: Broken = _log) -> dict[str, Any]:
    """Return what ``prodigy-git job show --json`` prints. Raises `ProdigyError` for an unknown job.

    What git knows by now is in it, as in what `read_events` yields.
    """
    _is(job, Job, "job")
    sessions.settle(job.store, broken)
    return summary.whole(job.store, job.repo, job.job_id, broken)


def record_event(job: Job, kind: str, **fields: Any) -> str:
    """Record an event of type ``kind``, durably; return its id.

    Raises `ProdigyError`, naming the field, for one that is not what its type says.
    """
    return record_events(job, [{**fields, "type": kind}])[0]


def record_events(job: Job, events: Iterable[dict[str, Any]]) -> list[str]:
    """Record events, each with its ``type``, all of them or none; return their ids.

    Raises `ProdigyError`, naming event and field.
    """
    _is(job, Job, "job")
    if isinstance(events, str | bytes | dict) or not isinstance(events, Iterable):
        raise ProdigyError(f"events {events!r:.40}: give a list of dictionaries")
    return outside_events.record(job.store, job.repo, job.job_id, list(events))


def read_events(job: Job, *, broken: Broken = _log) -> Iterator[Event]:
    """Yield a job's events by timestamp, then position; in little memory, however many there are.

    A commit that git has made is among them: what its recorder has not recorded yet is, first.
    Raises `ProdigyError` for what is no job.
    """
    _is(job, Job, "job")
    sessions.settle(job.store, broken)
    return _events.read_job(job.store, job.repo, job.job_id, broken)


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
    Raises `ProdigyError` for what is no cursor, when the first event is asked for.
    """
    _is(job, Job, "job")
    if isinstance(since, bool) or not isinstance(since, str | int | None):
        raise ProdigyError(f"since {since!r:.40}: give a cursor, microseconds since 1970, or None")
    follower = following.Follower(job.store, lambda: [(job.repo, job.job_id)], since, broken)
    for found in follower.follow(stop):
        *others, (_, _, last) = found
        for _, _, event in others:
            yield event, None
        yield last, follower.cursor()
