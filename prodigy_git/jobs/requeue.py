"""Taking items out of a job's dead letter queue: to be tried again, or for good."""

from contextlib import AbstractContextManager

from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, claims, endings, peek, snapshots
from prodigy_git.jobs.index import Index
from prodigy_git.model.dlq import Item
from prodigy_git.store.events import Broken


def requeue(
    store: str,
    repo: str,
    job: str,
    items: list[str] | None,
    broken: Broken,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Put items of the queue (None: all that may be) back to pending; return their ids.

    One that was taken out of the queue is put back too, where it is named: who changes their mind, or
    has other items that wait for it, has no other way. Their failures stay with them; they get as many
    attempts as at first. With ``dry_run`` all is looked at and nothing changed. Raises `ProdigyError`
    for one that is not in the queue or, without ``force``, waits for somebody to look at it; and where
    the job has ended, since nobody could claim what is pending there.
    """
    with _opened(store, repo, job, broken, dry_run=dry_run) as index:
        if index.job.status in books.ENDED:
            raise ProdigyError(
                f"job {job} is {index.job.status}, nobody would try its items again: "
                f"'prodigy-git job reopen {job}' first"
            )
        chosen = _given_up(index, items or [])
        left = None if items is None else [name for name in items if name not in chosen]
        to_look_at = 0
        for name, item in _in_queue(index, left, broken).items():
            held_back = item.manual_review_required or not item.reprocess_eligible
            if held_back and not force:
                if items is not None:
                    raise ProdigyError(f"item {name} is to be reviewed by hand first: give --force")
                to_look_at += 1
                continue
            known = index.item(name)
            chosen[name] = 0 if known is None else books.view(known).attempt
        if to_look_at:
            broken(
                f"{to_look_at} more in the queue, to be reviewed by hand first: 'prodigy-git dlq list' "
                "shows what is eligible, --force tries the others, too"
            )
        if chosen and not dry_run:
            made = endings.event(index, "DLQItemsReprocessed", items=chosen, count=len(chosen))
            endings.record(index, [made], broken)
            snapshots.write_queue(index, broken)
        return sorted(chosen)


def _opened(
    store: str, repo: str, job: str, broken: Broken, *, dry_run: bool
) -> AbstractContextManager[Index]:
    """Open a job for a step; for who only looks a copy, so that no dead claim is ended either."""
    return (peek.opened if dry_run else claims.step)(store, repo, job, broken)


def _given_up(index: Index, names: list[str]) -> dict[str, int]:
    """Return the last attempt at each of these items that is failed, and in no queue."""
    found = {}
    for name in names:
        known = index.item(name)
        view = None if known is None else books.view(known)
        if view is not None and view.state == "failed":
            found[name] = view.attempt
    return found


def clear(
    store: str,
    repo: str,
    job: str,
    items: list[str] | None,
    broken: Broken,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Take items (None: all) out of the queue, not to be tried again; return their ids.

    The log keeps what happened to them. With ``dry_run`` nothing is changed. Raises `ProdigyError` for
    one that is not in the queue.
    """
    with _opened(store, repo, job, broken, dry_run=dry_run) as index:
        chosen = sorted(_in_queue(index, items, broken))
        if dry_run:
            return chosen
        known = [(name, index.item(name) or books.Item()) for name in chosen]
        removed = [endings.removed(index, name, item, "cleared") for name, item in known]
        endings.record(index, removed, broken)
        snapshots.write_queue(index, broken)
        return chosen


def _in_queue(index: Index, wanted: list[str] | None, broken: Broken) -> dict[str, Item]:
    queue = snapshots.queue(index, broken)
    there = {item.item_id: item for item in queue.items}
    if wanted is None:
        return there
    for name in wanted:
        if name not in there:
            raise ProdigyError(f"item {name} is not in the queue of job {index.job_id}")
    return {name: there[name] for name in wanted}
