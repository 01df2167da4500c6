"""When a job's checkpoints and the file of its dead letter queue are written, and from what."""

import os
from collections.abc import Iterator

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, checkpoints, dead_letters, owner, prodigy_runs
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs.index import Index
from prodigy_git.jobs.index_tables import DAMAGE
from prodigy_git.model.dlq import Item, Queue
from prodigy_git.record import clock, files
from prodigy_git.store import sessions
from prodigy_git.store.events import Broken

ITEMS = 100
"""After how many ended items a checkpoint is written in the map phase, unless the job says."""
SECONDS = 300
"""After how many seconds at most, if anything ended."""
_SHARE = 20
"""A checkpoint is as long as its job: one for each 5 % of the items keeps the sum of them linear."""
_QUEUE_EVERY = clock.SECOND
"""The queue's file is as long as the queue, which has no limit. It is written this often, in
microseconds, at most, and no more than a twentieth of the time goes into it."""
_QUEUE_REST = 20


def write_due(index: Index, broken: Broken) -> None:
    """Write a checkpoint where one is due, and the queue's file where it lacks anything.

    That may fail, as `write` may.
    """
    meta = index.meta
    ended = index.count("completed", "dead", "failed")
    opening = index.job.opened
    every_items = 1 if opening is None else opening.checkpoint_items or ITEMS
    every_seconds = (None if opening is None else opening.checkpoint_seconds) or SECONDS
    new = ended - meta.checkpoint_ended
    share = sum(meta.counts.values()) // _SHARE
    late = clock.now() - meta.checkpoint_at >= every_seconds * clock.SECOND
    # The last item of a job that is too small to come to its first checkpoint otherwise.
    through = ended <= every_items and not index.count("in_progress", "pending")
    turned = meta.checkpoint_phase not in ("", index.job.working_phase)
    if turned or new >= max(every_items, share) or (new > 0 and (late or through)):
        write(index, broken)
    elif _queue_is_due(index):
        write_queue(index, broken)


def _queue_is_due(index: Index) -> bool:
    """Whether the queue's file lacks anything that it is not left to a later step to write.

    Our own commands look at the log, and miss nothing meanwhile.
    """
    meta = index.meta
    if _queue_changes(index) == meta.queue_changes:
        return False
    if not index.count("in_progress", "pending"):
        return True  # there may be no later step
    rest = max(_QUEUE_EVERY, meta.queue_took * _QUEUE_REST)
    return clock.now() - meta.queue_at >= rest


def _queue_changes(index: Index) -> int:
    """Return how often the log says that something came into the queue or left it."""
    return sum(count for kind, count in index.job.counts.items() if kind.startswith("DLQ"))


def write(index: Index, broken: Broken) -> None:
    """Write a checkpoint of the job's phase, and the last one of the phase that it has come from.

    The first is always one of its set-up. The queue's file is brought up to them. What a step has
    written to the log is done, whatever comes of its checkpoint: one that cannot be written is a word
    to ``broken``.
    """
    meta = index.meta
    begun = os.path.lexists(f"{folder_of(index)}/setup-checkpoint.json")
    before = meta.checkpoint_phase if begun else "setup"
    now = index.job.working_phase
    try:
        for kind in checkpoints.KINDS[: checkpoints.KINDS.index(now) + 1]:
            if kind in (before, now):
                _write(index, kind)
        meta.checkpoint_phase = now
        index.kept = True
    except (OSError, ProdigyError, *DAMAGE) as error:
        broken(f"no checkpoint of job {index.job_id} written ({error}): the log has everything")
    write_queue(index, broken)
    indexes.advance(index, broken)
    index.save()


def folder_of(index: Index) -> str:
    """Return the folder of a job's checkpoints."""
    return layout.job_state(index.store, index.repo, index.job_id)


def _write(index: Index, kind: checkpoints.Kind) -> None:
    meta = index.meta
    rows = index.rows("SELECT id, resumed, status FROM sessions")
    sessions = {name: (resumed, status) for name, resumed, status in rows}
    checkpoints.write(
        index.store, index.repo, index.job, kind, _rows(index), sessions, meta.position
    )
    meta.checkpoint_at = clock.now()
    meta.checkpoint_ended = index.count("completed", "dead", "failed")


def _rows(index: Index) -> Iterator[checkpoints.Row]:
    rows = index.rows(
        "SELECT id, offset, length, record, file FROM items ORDER BY number", (),
        lambda row: (row[0], row[1], row[2], indexes.item_of(row[3]), row[4]),
    )  # fmt: skip
    if len(rows) != index.meta.numbered:
        raise ValueError("the index lacks items")
    texts: dict[str | None, int | None] = {}
    try:
        for name, offset, length, item, file in rows:
            line = None
            if offset is not None:
                if file not in texts:
                    texts[file] = _opened(index.items_path(file))
                text = texts[file]
                line = None if text is None else os.pread(text, length, offset)
            yield name, line, item
    finally:
        for descriptor in filter(None, texts.values()):
            os.close(descriptor)


def _opened(path: str) -> int | None:
    try:
        return files.open_regular(path)
    except FileNotFoundError:
        return None


def write_queue(index: Index, broken: Broken) -> None:
    """Bring the queue's file up to the log; one that cannot be written is a word to ``broken``."""
    begun = clock.now()
    try:
        written = dead_letters.write(index.store, index.repo, index.job_id, queue(index, broken))
    except (OSError, ProdigyError, *DAMAGE) as error:
        broken(f"the queue's file of job {index.job_id} is not written ({error}): the log has all")
        return
    if written:
        index.meta.queue_at = clock.now()
        index.meta.queue_took = max(0, index.meta.queue_at - begun)
    index.meta.queue_changes = _queue_changes(index)
    index.save()


def queue(index: Index, broken: Broken) -> Queue:
    """Return the queue as the log has it, with what others have written into its files."""
    if index.run is not None:
        return prodigy_runs.queue(index, broken)
    there = dead_letters.read(index.store, index.repo, index.job_id, broken)
    dead = [_queue_item(index, name, item) for name, item in index.in_state("dead")]
    return dead_letters.merged(there, dead, lambda item: _is_over(index, item))


def _is_over(index: Index, queued: Item) -> bool:
    """Whether the log says that an item was done, tried again or removed since it was queued."""
    known = index.item(queued.item_id)
    if known is None or (known.end is None and not known.loose):
        return False
    view = books.view(known)
    if known.signature is not None:
        return view.state != "dead"  # the log has said itself that it was queued
    # Another writer's: a failure that the log has, too, is what brought the item there.
    failed = view.end is not None and view.end.stage in (books.FAILED, books.QUEUED)
    return not failed and (queued.last_attempt or "") <= (view.since or "")


def _queue_item(index: Index, name: str, item: books.Item) -> Item:
    """Return a dead item as the queue's file has it."""
    view = books.view(item)
    failures = sorted(item.failures.values(), key=lambda end: (end.attempt, end.epoch))
    last = failures[-1] if failures else None
    begun = item.starts.get(last.agent) if last is not None else view.start
    return Item.of(
        {
            "item_id": name,
            "work_item": {"id": name, "data": index.data(name)},
            "failure_history": [
                {
                    "timestamp": end.at,
                    "attempt_number": end.attempt or number,
                    "error": end.error or "",
                    "error_type": end.reason,
                    "agent_id": end.agent or None,
                    "session_id": end.session,
                    "json_log_location": end.log,
                    "duration_ms": _milliseconds(end.duration),
                }
                for number, end in enumerate(failures, 1)
            ],
            "failure_count": len(failures),
            "error_signature": indexes.last_signature(item),
            "first_attempt": item.begun or None,
            "last_attempt": last.at if last is not None else view.since,
            "worktree_artifacts": artifacts_of(index.store, owner.session_here(index.store, begun)),
        }
    )


def _milliseconds(duration: dict[str, int] | None) -> int | None:
    if duration is None:
        return None
    return duration.get("secs", 0) * 1000 + duration.get("nanos", 0) // 1_000_000


def artifacts_of(store: str, session: str | None) -> dict[str, str] | None:
    """Return what a queue item says of a session's worktree; None where there is none."""
    if session is None or not names.is_safe(session):
        return None
    try:
        found = sessions.load(store, session)
    except (ProdigyError, OSError):
        return None
    known = {
        "worktree_path": found.text("worktree_path"),
        "branch_name": found.text("branch"),
    }
    return {name: value for name, value in known.items() if value is not None} or None
