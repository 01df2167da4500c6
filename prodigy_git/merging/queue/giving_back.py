"""A result that could not be merged, given back to its job: as a next attempt that knows why.

What it is told lies in a file beside the job's state, written whole before the event that makes the
item pending again. Killed in between, the file is there for an attempt that nobody makes; the next
merge writes it anew, or removes it.
"""

import contextlib
import os
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, claims, endings, snapshots
from prodigy_git.merging.queue.target import Target
from prodigy_git.merging.results.results import Result
from prodigy_git.record import files, jsonline, within
from prodigy_git.store.events import Broken


def describe(target: Target, result: Result, kind: str, tip: str, **more: Any) -> dict[str, Any]:
    """Return what is told of a result that could not be merged (docs/reference/merging.md)."""
    return {
        "kind": kind, "target": target.branch, "base": tip, "job_id": result.job_id,
        "item_id": result.item_id, "attempt": result.attempt, "agent_id": result.agent_id,
        "session_id": result.session_id, "branch": result.branch, "head": result.head,
    } | more  # fmt: skip


def write(path: str, told: dict[str, Any]) -> None:
    """Write what is told into a file, whole. Raises `OSError`."""
    files.make_private(os.path.dirname(path))
    files.replace(path, f"{jsonline.encode(told)}\n".encode("ascii"))


def give_back(target: Target, result: Result, told: dict[str, Any], broken: Broken) -> str | None:
    """Make a result's item pending again; return why not, where its job does not allow that.

    It gets as many attempts as at first. A job that is completed goes on. Raises `OSError`.
    """
    item, job = result.item_id, result.job_id
    if item is None:
        return "it is no job's item: its agent has to be told"
    path = layout.conflict(target.store, target.repo, job, item)
    try:
        with claims.step(target.store, target.repo, job, broken) as index:
            known = index.item(item)
            view = None if known is None else books.view(known)
            if view is None or view.state != "completed" or view.attempt != result.attempt:
                return f"item {item} is {'unknown' if view is None else view.state} by now"
            if index.job.status in ("cancelled", "failed"):
                return f"job {job} is {index.job.status}: 'prodigy-git job reopen {job}' first"
            within.refuse_links(target.store, path)
            write(path, told)
            again: dict[str, Any] = {
                "items": {item: view.attempt},
                "reason": f"merge: {told['kind']}",
            }
            if index.shared is not None:  # the next attempt may be made on another host
                again["conflict"] = told
            if index.job.status == "completed":
                sequence = index.job.sequence + 1
                made = endings.event(index, "JobReopened", to="map", sequence=sequence, **again)
            else:
                made = endings.event(index, "DLQItemsReprocessed", count=1, **again)
            endings.record(index, [made], broken)
            snapshots.write(index, broken)
    except ProdigyError as error:
        return str(error)
    return None


def forget(target: Target, items: list[dict[str, Any]]) -> None:
    """Remove what was told of items that are merged now. Never raises."""
    for one in items:
        if one["item_id"] is not None:
            path = layout.conflict(target.store, target.repo, one["job_id"], one["item_id"])
            with contextlib.suppress(OSError):
                os.unlink(path)
