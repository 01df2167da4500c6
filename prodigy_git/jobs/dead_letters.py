"""The dead letter queue: work items whose agents failed, with every failure."""

import os
import re
from typing import Any

from pydantic import ValidationError

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.model.dlq import Artifacts, Failure, Item, Queue
from prodigy_git.model.session import Session
from prodigy_git.record import clock, files, jsonline
from prodigy_git.store import locked

_VARIABLE = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{7,64}\b|\d+|(?:/[\w.@-]+)+")


def signature(error: str) -> str:
    """Return what equal failures have in common: the first line, less numbers, hashes and paths."""
    first = error.strip().splitlines()[0] if error.strip() else "unknown"
    return _VARIABLE.sub("#", first)[:120]


def read(store: str, repo: str, job: str) -> Queue:
    """Return a job's queue, empty where it has none. Raises `ProdigyError` for a damaged one."""
    path = layout.dead_letters(store, repo, job)
    try:
        return Queue.model_validate(jsonline.decode_object(files.read(path)))
    except FileNotFoundError:
        return Queue()
    except (ValueError, ValidationError) as error:
        raise ProdigyError(f"{path} is damaged: repair it or move it away") from error


def add(
    store: str,
    repo: str,
    found: Session,
    item_id: str,
    failure: Failure,
) -> dict[str, Any]:
    """Put a failed session's item into its job's queue; return DLQItemAdded's own fields.

    A failure of a session that is there already is not added again. Raises `ProdigyError`, `OSError`.
    """
    with locked.job(store, repo, found.job):
        queue = read(store, repo, found.job)
        item = next((one for one in queue.items if one.item_id == item_id), None)
        if item is None:
            item = Item(item_id=item_id, work_item={"id": item_id, "data": None})
            queue.items.append(item)
        if all(one.session_id != failure.session_id for one in item.failure_history):
            failure.attempt_number = len(item.failure_history) + 1
            item.failure_history.append(failure)
        item.failure_count = len(item.failure_history)
        item.error_signature = signature(failure.error)
        item.first_attempt = item.first_attempt or found.started_at
        item.last_attempt = failure.timestamp
        item.worktree_artifacts = Artifacts(
            worktree_path=found.text("worktree_path"), branch_name=found.text("branch")
        )
        text = jsonline.encode(queue.model_dump(mode="json", exclude_none=True))
        path = layout.dead_letters(store, repo, found.job)
        files.make_private(os.path.dirname(path))
        files.replace(path, (text + "\n").encode("ascii"))
    return {"error_signature": item.error_signature, "failure_count": item.failure_count}


def failure_of(found: Session, error: str, log_path: str | None, micros: int) -> Failure:
    """Return the failure that a session ended with; ``micros`` is how long it took."""
    return Failure(
        timestamp=clock.stamp(clock.now()),
        error=error,
        error_type="Unknown",
        agent_id=found.text("agent_id"),
        session_id=found.id,
        json_log_location=log_path,
        duration_ms=micros // 1000,
    )
