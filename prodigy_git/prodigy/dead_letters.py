"""Prodigy's dead letters, a file for each and an index beside them, as the project's own items."""

import os
from typing import TYPE_CHECKING, Any

from prodigy_git import names
from prodigy_git.model.dlq import Item
from prodigy_git.prodigy import found, reading
from prodigy_git.prodigy.reading import Broken

if TYPE_CHECKING:
    from prodigy_git.prodigy.runs import Run


def dead_letters(store: str, run: "Run", *, broken: Broken = reading.quiet) -> list[Item]:
    """Return the dead letters of a run, by item id. A damaged one is reported and left out."""
    return dead_letters_of_job(store, run.key, run.job_id, broken=broken)


def dead_letters_of_job(
    store: str, key: str, job: str, *, broken: Broken = reading.quiet
) -> list[Item]:
    """Return the dead letters that lie under a key and a job, by item id, as `dead_letters` does.

    Both places are looked at: where Prodigy writes them, and where its documents say. The one that
    was tried last stands where an item is in both.
    """
    items: dict[str, Item] = {}
    for folder in found.queue_folders(store, key, job):
        for stem in reading.documents(store, folder, ".json", broken):
            path = f"{folder}/{stem}.json"
            fields = reading.document(store, path, broken)
            item = None if fields is None else _item(path, fields, broken)
            if item is not None:
                before = items.get(item.item_id)
                if before is None or (item.last_attempt or "") > (before.last_attempt or ""):
                    items[item.item_id] = item
        _check_index(store, os.path.dirname(folder), broken)
    return [items[name] for name in sorted(items)]


def _item(path: str, fields: dict[str, Any], broken: Broken) -> Item | None:
    try:
        item = Item.of(_in_our_words(fields))
        names.checked(item.item_id, "item id")
    except ValueError as error:
        broken(f"{path} is damaged ({error}): passed over")
        return None
    return item


def _in_our_words(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a dead letter with its data and its errors' texts where ours have them."""
    ours = dict(fields)
    if "item_data" in ours and "work_item" not in ours:
        ours["work_item"] = {"id": ours.get("item_id"), "data": ours.pop("item_data")}
    history = ours.get("failure_history")
    if isinstance(history, list):
        ours["failure_history"] = [
            _failure(one) if isinstance(one, dict) else one for one in history
        ]
    return ours


def _failure(fields: dict[str, Any]) -> dict[str, Any]:
    ours = dict(fields)
    if isinstance(ours.get("error_message"), str) and not ours.get("error"):
        ours["error"] = ours.pop("error_message")
    return ours


def _check_index(store: str, folder: str, broken: Broken) -> None:
    """Report the items that the index beside them names, and of which there is no file."""
    path = f"{folder}/index.json"
    fields = reading.document(store, path, broken)
    listed = None if fields is None else fields.get("item_ids")
    if fields is not None and not isinstance(listed, list):
        broken(f"{path} is damaged (item_ids: not a list): passed over")
    for name in listed if isinstance(listed, list) else ():
        if not isinstance(name, str) or not os.path.lexists(f"{folder}/items/{name}.json"):
            broken(f"{path} names item {name!r:.60}, of which there is no file")
