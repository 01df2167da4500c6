"""The file of a job's dead letter queue: work items that were given up, with every failure."""

import os
from collections.abc import Callable, Iterable

import msgspec

from prodigy_git import layout
from prodigy_git.model.dlq import Item, Queue
from prodigy_git.prodigy import dead_letters_of_job
from prodigy_git.record import files, jsonline, within
from prodigy_git.store import queues
from prodigy_git.store.events import Broken


def read(store: str, repo: str, job: str, broken: Broken) -> Queue:
    """Return a job's queue as its files have it: ours, and Prodigy's of one item each.

    Of an item that is in both, the one that was tried last. What cannot be read of Prodigy's is
    reported and left out. Raises `ProdigyError` where our own file is damaged.
    """
    queue = queues.read(store, repo, job)
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
    return Item.of({**there.as_json(none=False), **known})


def write(store: str, repo: str, job: str, queue: Queue) -> bool:
    """Replace the queue's file, and return True; False where there is nothing to be in one.

    The caller holds the job's claims lock. Raises `OSError`.
    """
    path = layout.dead_letters(store, repo, job)
    if not queue.items and not os.path.exists(path):
        return False
    within.make_folder(store, os.path.dirname(path))
    text = jsonline.encode(queue.as_json(none=False))
    files.replace(path, (text + "\n").encode("ascii"))
    return True
