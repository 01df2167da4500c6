"""Reading a job's dead letter queue: our file, and Prodigy's of one item each."""

import os

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.model.dlq import Item, Queue
from prodigy_git.record import files, jsonline
from prodigy_git.store.events import Broken


def read(store: str, repo: str, job: str, broken: Broken) -> Queue:
    """Return a job's queue, empty where it has none.

    ``items/*.json`` beside our file is what Prodigy writes. One of those that cannot be read is
    reported and left out. Raises `ProdigyError` where our own file is damaged, since writing it anew
    would lose what is in it.
    """
    path = layout.dead_letters(store, repo, job)
    try:
        queue = Queue.of(jsonline.decode_object(files.read(path)))
    except FileNotFoundError:
        queue = Queue()
    except ValueError as error:
        raise ProdigyError(f"{path} is damaged: repair it or move it away") from error
    places = {item.item_id: place for place, item in enumerate(queue.items)}
    for item in _single_items(f"{os.path.dirname(path)}/items", broken):
        place = places.get(item.item_id)
        if place is None:
            queue.items.append(item)
        elif (item.last_attempt or "") > (queue.items[place].last_attempt or ""):
            queue.items[place] = item
    return queue


def _single_items(folder: str, broken: Broken) -> list[Item]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in names:
        if name.endswith(".json") and not name.startswith("."):
            try:
                fields = jsonline.decode_object(files.read(f"{folder}/{name}"))
                found.append(Item.of(fields))
            except (OSError, ValueError) as error:
                broken(f"{folder}/{name} cannot be read ({error}): passed over")
    return found
