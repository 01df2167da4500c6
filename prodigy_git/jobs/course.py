"""The course of a job: opened with its items, through its phases, paused and resumed, to its end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, claims, endings, items, ordering, snapshots, summary, totals
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs.index import Index
from prodigy_git.record import clock, locks, log, within
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.hub.shared_start import Place


_MANY = 10_000
"""Items that take seconds to be looked at and written."""


class Started(ProdigyError):
    """The job was started before."""


def start(
    store: str,
    repo: str,
    job: str,
    *,
    given: list[tuple[str, Any]] | None,
    max_attempts: int = 3,
    checkpoint_items: int | None = None,
    checkpoint_seconds: int | None = None,
    ordered: bool = True,
    hub: bool = False,
    broken: Broken,
) -> int:
    """Open a job with work items, [(id, data)] or None for a job without; return how many.

    With ``ordered`` they are handed out as their own fields say, as `ordering.asked`. With ``hub`` all
    hosts of the repository's hub work on it; where that has the job already, it is refused.

    The items are written whole before the event that names them: killed before that, nothing was
    started and it can be tried again. A job that has been worked on already, as by ``new-worktree
    --job``, can be opened once. Raises `ProdigyError`, `OSError`.
    """
    names.checked(job, "job id")
    place, there = None, None
    if hub:  # connected before the lock is taken
        from prodigy_git.hub import shared_start

        place = shared_start.place(store, repo, job, broken)
    lock = locks.take(layout.claims_lock(store, repo, job), indexes.PATIENCE)
    try:
        log_folder = layout.job_log(store, repo, job)
        if os.path.isdir(log_folder):
            with indexes.held(store, repo, job, broken) as index:
                if index.job.opened is not None:
                    raise Started(
                        f"job {job} was started at {index.job.opened.at}: choose another name, "
                        f"or 'prodigy-git job show {job}'"
                    )
        within.make_folder(store, layout.job_state(store, repo, job))
        digest = None
        if given is not None:
            order = ordering.asked(given, lambda _: False, "items") if ordered else {}
            digest = items.write(store, repo, job, given, order)
        indexes.discard(store, repo, job)  # it does not know the items
        total = len(given or ())
        opened = {
            "id": log.event_id(job, f"JobStarted:{clock.now()}"), "timestamp": "",
            "type": "JobStarted", "event_type": "JobStarted", "correlation_id": job, "job_id": job,
            "total_items": total, "max_attempts": max_attempts, "items_sha256": digest,
            "checkpoint_items": checkpoint_items, "checkpoint_seconds": checkpoint_seconds,
        }  # fmt: skip
        opened = {k: v for k, v in opened.items() if v is not None}
        if place is None:
            log.append(store, repo, job, [opened])
        else:
            there = _on_hub(
                place, opened, None if given is None else layout.items(store, repo, job)
            )
        if there is None:
            _checkpoint(store, repo, job, broken)
    finally:
        os.close(lock)
    if place is not None:
        shared_start.join(place)
    if there is not None:
        raise there
    return total


def _checkpoint(store: str, repo: str, job: str, broken: Broken) -> None:
    try:
        with indexes.held(store, repo, job, broken) as index:
            snapshots.write(index, broken)
    except (OSError, ProdigyError) as error:
        broken(f"no checkpoint of job {job} written ({error}): the log has everything")


def _on_hub(place: "Place", opened: dict[str, Any], items: str | None) -> Started | None:
    """Open a job on the hub; return that it is there already: then its items take the place of ours."""
    from prodigy_git.hub import shared_start

    try:
        shared_start.start(place, opened, items)
    except shared_start.There as error:
        if items is not None:
            os.unlink(items)
        return Started(str(error))
    return None


def add(
    store: str,
    repo: str,
    job: str,
    found: list[Any],
    *,
    where: str,
    skip_known: bool = False,
    ordered: bool = True,
    broken: Broken,
) -> tuple[list[str], list[str]]:
    """Give a job more items, as `items.load` returns them; return the ids added, and those skipped.

    An id is one item: where the job has one of them already, nothing is added, or with ``skip_known``
    the others are. The file of the new ones is written whole before the event that names it, by its
    contents: killed before that nothing was added, and trying again writes the same file. Raises
    `ProdigyError`, naming ``where``, also for a job that was not started or has ended; `OSError`.
    """
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        if index.job.opened is None:
            raise ProdigyError(
                f"job {job} was not started: 'prodigy-git job start {job}' does that"
            )
        index.require_items()
        if index.shared is not None and len(found) > _MANY:
            index.shared.take_time()

        def is_known(name: str) -> bool:
            return bool(index.rows("SELECT 1 FROM items WHERE id = ?", (name,)))

        begin = sum(index.meta.counts.values())
        given = items.named(found, where, begin=begin, is_taken=is_known)
        known = [name for name, _ in given if is_known(name)]
        if known and not skip_known:
            more = f" and {len(known) - 1} more" if len(known) > 1 else ""
            raise ProdigyError(
                f"{where}: job {job} has item {known[0]}{more} already: give --skip-known to add the "
                "others"
            )
        there = set(known)
        fresh = [(name, data) for name, data in given if name not in there]
        if fresh:
            order = ordering.asked(fresh, is_known, where) if ordered else {}
            digest = items.write(store, repo, job, fresh, order, later=True)
            if index.shared is not None:
                index.shared.put(layout.items_added(store, repo, job, digest))
            part = 1 + max((number for number, _, _ in index.job.parts.values()), default=0)
            added = endings.event(
                index, "WorkItemsAdded", part=part, items_sha256=digest, count=len(fresh)
            )
            endings.record(index, [added], broken)
        return [name for name, _ in fresh], known


def note_joined(store: str, repo: str, job: str, session: str, broken: Broken) -> None:
    """Tell a job's new session how far the job is; its first one begins its checkpoints.

    Raises `ProdigyError`, `OSError`.
    """
    with indexes.opened(store, repo, job, broken) as index:
        if not os.path.exists(f"{snapshots.folder_of(index)}/setup-checkpoint.json"):
            snapshots.write(index, broken)
        told = totals.Word(job, totals.of(index), [session])
    totals.tell(store, told, broken)


def set_phase(
    store: str,
    repo: str,
    job: str,
    phase: books.Phase,
    broken: Broken,
    outputs: dict[str, Any] | None = None,
) -> books.Phase:
    """Take a job to a phase, and write a checkpoint of what was; return the phase it was in.

    ``outputs`` (`checked_input.outputs`) are of that phase: of the set-up, or of a step of the
    reduce phase. On the way from map to reduce they are the first step's. Raises `ProdigyError` for
    a job that has ended, for ``complete`` while items are left, or for outputs of the map phase.
    """
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        before = index.job.phase
        if phase == "complete" and phase != before:
            _nothing_left(index)
        sequence = _next(index)
        events = []
        if outputs:
            whose = phase if before == "map" else before
            if whose not in ("setup", "reduce"):
                raise ProdigyError(
                    "the map phase has no outputs: an item's result is given with it, see "
                    "'prodigy-git job done --help'"
                )
            yielded = endings.event(
                index, "PhaseOutputsAdded", phase=whose, outputs=outputs, sequence=sequence
            )
            events.append(yielded)
        if phase != before:
            events.append(
                endings.event(
                    index, "JobPhaseChanged", **{"from": before, "to": phase},
                    sequence=sequence + len(events),
                )
            )  # fmt: skip
        if events:
            endings.record(index, events, broken)
            snapshots.write(index, broken)
        return before


def pause(
    store: str, repo: str, job: str, reason: str | None, broken: Broken
) -> list[dict[str, Any]]:
    """Let no more items be claimed; return those in progress, which go on, as `summary.at_work`.

    Raises `ProdigyError`.
    """
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        if index.job.status == "paused":
            raise ProdigyError(f"job {job} is paused already")
        paused = endings.event(index, "JobPaused", reason=reason, sequence=_next(index))
        endings.record(index, [paused], broken)
        snapshots.write(index, broken)
        return summary.at_work(index)


def unpause(store: str, repo: str, job: str, broken: Broken) -> bool:
    """Let items be claimed again; return whether the job was paused. Raises `ProdigyError`."""
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        if index.job.status != "paused":
            return False
        resumed = endings.event(
            index, "JobResumed", pending_items=index.count("pending"), sequence=_next(index)
        )
        endings.record(index, [resumed], broken)
        return True


def cancel(
    store: str, repo: str, job: str, reason: str | None, broken: Broken
) -> list[dict[str, Any]]:
    """End a job before its items are done; return those in progress, which may still end.

    As `summary.at_work`. Raises `ProdigyError` for a job that has ended.
    """
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        cancelled = endings.event(index, "JobCancelled", reason=reason, sequence=_next(index))
        endings.record(index, [cancelled], broken, ends=True)
        snapshots.write(index, broken)
        return summary.at_work(index)


@dataclass(frozen=True)
class Finished:
    """How many items were completed and how many failed; ``at_work`` as `summary.at_work`."""

    completed: int
    failed: int
    at_work: list[dict[str, Any]]


def finish(
    store: str, repo: str, job: str, *, error: str | None = None, broken: Broken
) -> Finished:
    """End a job: JobCompleted, or JobFailed with an ``error``.

    Raises `ProdigyError` for a job that has ended, or that has items left and no ``error``.
    """
    with claims.step(store, repo, job, broken) as index:
        _running(index)
        if error is None:
            _nothing_left(index)
        done = index.count("completed"), index.count("dead", "failed")
        own: dict[str, Any] = {"error": error, "success_count": done[0], "failure_count": done[1]}
        if error is None:
            own["duration"] = _since(index.job, index.now())
        kind = "JobCompleted" if error is None else "JobFailed"
        ended = endings.event(index, kind, **own, sequence=_next(index))
        endings.record(index, [ended], broken, ends=True)
        snapshots.write(index, broken)
        return Finished(*done, summary.at_work(index))


def reopen(store: str, repo: str, job: str, reason: str | None, broken: Broken) -> list[str]:
    """Let a job that has ended hand out items again; return the items that are pending again.

    Those are what failed after the end and had tries left. What is in the queue stays there, for
    `requeue`. A job that was complete is in its map phase again. Raises `ProdigyError` for a job that
    has not ended.
    """
    with claims.step(store, repo, job, broken) as index:
        if index.job.status not in books.ENDED:
            raise ProdigyError(f"job {job} has not ended: it is {index.job.status}")
        cut_off = dict(_cut_off(index))
        phase = "map" if index.job.phase == "complete" else index.job.phase
        reopened = endings.event(
            index, "JobReopened", to=phase, reason=reason, items=cut_off or None,
            sequence=_next(index),
        )  # fmt: skip
        endings.record(index, [reopened], broken)
        snapshots.write(index, broken)
        return sorted(cut_off)


def _cut_off(index: Index) -> Iterator[tuple[str, int]]:
    """Yield (item, attempt) of what the job's end has kept from being tried again."""
    for name, item in index.in_state("failed"):
        view = books.view(item)
        end = view.end
        if end is None or end.stage != books.FAILED or end.at < index.job.ended_at:
            continue
        if 0 < view.attempt < books.last_attempt(item, index.job.max_attempts):
            yield name, view.attempt


def _next(index: Index) -> int:
    return index.job.sequence + 1


def _running(index: Index) -> None:
    if index.job.status in books.ENDED:
        raise ProdigyError(
            f"job {index.job_id} is {index.job.status} since {index.job.ended_at}: "
            f"'prodigy-git job reopen {index.job_id}' lets it go on"
        )


def _nothing_left(index: Index) -> None:
    index.require_items()
    left = [
        f"{count} {word.replace('_', ' ')}"
        for word in ("in_progress", "pending")
        if (count := index.meta.counts.get(word, 0))
    ]
    if left:
        raise ProdigyError(
            f"job {index.job_id} has items left ({', '.join(left)}): "
            f"'prodigy-git job cancel {index.job_id}' ends it all the same"
        )


def _since(job: books.Job, now: int) -> dict[str, int]:
    begun = clock.parse(job.started_at)
    micros = max(0, now - begun) if begun is not None else 0
    return {"secs": micros // clock.SECOND, "nanos": micros % clock.SECOND * 1000}
