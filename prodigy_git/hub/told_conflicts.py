"""What a merge on one host tells the next attempt at an item, brought to the host that makes it.

The event that gives a result back bears it, where the job is shared; what is pulled is written where
the attempt looks (`layout.conflict`), and removed when the item was merged. It is somebody else's text:
the item's id is a safe name, and nothing is written through a link.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prodigy_git import layout, names
from prodigy_git.record import files, jsonline, log, within

if TYPE_CHECKING:
    from prodigy_git.hub.where import Where

_TOLD, _MERGED = b'"conflict":{', b'"type":"WorktreeMerged"'
_LARGEST = 1 << 20


def take(where: "Where", lines: Iterable[bytes]) -> None:
    """Write, or remove, what pulled events tell of items. What cannot be is said; never raises."""
    found = [line for line in lines if _TOLD in line or _MERGED in line]
    for line in sorted(found, key=lambda one: log.stamp_of(one) or 0):
        try:
            _take(where, jsonline.decode_object(line))
        except (OSError, ValueError, RecursionError) as error:
            where.say(f"job {where.job}: what a merge tells of an item is not written ({error})")


def _take(where: "Where", event: dict[str, Any]) -> None:
    kind, items, told = event.get("type"), event.get("items"), event.get("conflict")
    if kind == "WorktreeMerged":
        item = event.get("item_id")
        if isinstance(item, str) and names.is_safe(item):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(layout.conflict(*where.name, item))
        return
    if kind not in ("DLQItemsReprocessed", "JobReopened") or not isinstance(told, dict):
        return
    if not isinstance(items, dict) or len(items) != 1 or not names.is_safe(next(iter(items))):
        raise ValueError("it names no item")
    text = f"{jsonline.encode(told)}\n".encode("ascii")
    if len(text) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    path = layout.conflict(*where.name, next(iter(items)))
    within.make_folder(where.store, os.path.dirname(path))
    files.replace(path, text)
