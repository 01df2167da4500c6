"""The file of a job's dead letter queue: work items that were given up, with every failure."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from prodigy_git import layout
from prodigy_git.model.dlq import Item, Queue
from prodigy_git.prodigy.dead_letters import dead_letters_of_job
from prodigy_git.record import files, jsonline, redacting, within
from prodigy_git.store import dead_letters
from prodigy_git.store.events import Broken


def read(store: str, repo: str, job: str, broken: Broken) -> Queue:
    """Return a job's queue as its files have it: ours, and Prodigy's of one item each.

    Of an item that is in both, the one that was tried last. What cannot be read of Prodigy's is
    reported and left out. Raises `ProdigyError` where our own file is damaged.
    """
    queue = dead_letters.read(store, repo, job)
    places = {item.item_id: place for place, item in enumerate(queue.items)}
    for item in dead_letters_of_job(store, repo, job, broken=broken):
        place = places.get(item.item_id)
        if place is None:
            queue.items.append(item)
        elif (item.last_attempt or "") > (queue.items[place].last_attempt or ""):
            queue.items[place] = item
    return queue


def merged(there: Queue, dead: Iterable[Item], is_over: Callable[[Item], bool]) -> Queue:
    """Return the queue that the log and the files come to.

    ``dead`` are the items that the log has in the queue: they take the place of their namesakes, but
    for fields that only the file has. Of the others those stay that other writers put there, which
    is all that are not over: ``is_over`` says so.
    """
    mine = {item.item_id: item for item in dead}
    found = []
    for item in there.items:
        own = mine.pop(item.item_id, None)
        if own is not None:
            found.append(_with_what_else(item, own))
        elif not is_over(item):
            found.append(item)
    return msgspec.structs.replace(there, items=[*found, *mine.values()])


def _with_what_else(there: Item, own: Item) -> Item:
    known = {name: value for name, value in own.as_json(none=False).items() if name in own.written}
    others = {name: value for name, value in there.as_json(none=False).items() if name != _DATA}
    return Item.of({**others, **known})


def write(store: str, repo: str, job: str, queue: Queue) -> bool:
    """Replace the queue's file, and return True; False where there is nothing to be in one.

    The caller holds the job's claims lock. Raises `OSError`.
    """
    path = layout.dead_letters(store, repo, job)
    if not queue.items and not os.path.exists(path):
        return False
    within.make_folder(store, os.path.dirname(path))
    written = redacting.value(store, repo, queue.as_json(none=False))
    text = jsonline.encode(for_both(written))
    files.replace(path, (text + "\n").encode("ascii"))
    return True


_DATA = "item_data"
_WORDS = frozenset((
    "Timeout", "CommitValidationFailed", "WorktreeError", "MergeConflict", "ValidationFailed",
    "ResourceExhausted", "Unknown",
))  # fmt: skip
"""The types of errors that Prodigy has a word for."""
_STATUS = re.compile(r"exit(?:ed with)? (?:status|code) (-?\d{1,9})")


def for_both(queue: dict[str, Any]) -> dict[str, Any]:
    """Return a queue's document with what Prodigy's ``DeadLetteredItem`` asks for beside ours.

    The seeds' fields stay as they are: ``work_item`` beside ``item_data``, ``error`` beside
    ``error_message``. A reason that Prodigy has no word for is ``failure_reason``.
    """
    return {**queue, "items": [_item_for_both(item) for item in queue.get("items", ())]}


def _item_for_both(item: dict[str, Any]) -> dict[str, Any]:
    work = item.get("work_item")
    history = [_failure_for_both(one) for one in item.get("failure_history", ())]
    times = [one["timestamp"] for one in history]
    asked: dict[str, Any] = {
        _DATA: work["data"] if isinstance(work, dict) and "data" in work else work,
        "error_signature": "",
        "failure_count": len(history),
    }
    if times:
        asked |= {"first_attempt": times[0], "last_attempt": times[-1]}
    made = {**asked, **item, "failure_history": history}
    artifacts = made.get("worktree_artifacts")
    if isinstance(artifacts, dict):
        made["worktree_artifacts"] = {"worktree_path": "", "branch_name": "", **artifacts}
    return made


def _failure_for_both(failure: dict[str, Any]) -> dict[str, Any]:
    error = failure.get("error") or ""
    made = {
        "attempt_number": 1, "error_message": error, "agent_id": "", "step_failed": "",
        "duration_ms": 0, **failure,
    }  # fmt: skip
    kind = made.get("error_type")
    if isinstance(kind, str) and kind == "CommandFailed":
        status = _STATUS.search(error)
        made["error_type"] = {kind: {"exit_code": int(status[1]) if status else 1}}
    elif not isinstance(kind, dict) and kind not in _WORDS:
        made["error_type"] = "Unknown"
        if isinstance(kind, str):
            made["failure_reason"] = kind
    return made
