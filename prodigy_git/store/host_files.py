"""Whose events a log's file holds: this host's, or another's whose events came here from a hub.

A name of ``events-YYYYMMDD-HHHHHHHHHHHH.jsonl`` has a host's tag in it, twelve digits; names that this
program gives to what was recorded here have none. Without a hub nothing is read to tell them apart.
"""

import os
import re
import uuid
from collections.abc import Iterable

from prodigy_git import layout
from prodigy_git.record import files, jsonline

_NAME = re.compile(r"events-[0-9]{8}(?:T[0-9]{6}Z)?-([0-9a-f]{12})\.jsonl(?:\.gz)?")


def tag_in(path: str) -> str | None:
    """Return the tag of the host whose events are in a log file; None: they were recorded here."""
    found = _NAME.fullmatch(os.path.basename(path))
    return None if found is None else found[1]


def origins(store: str) -> str:
    """Return the folder that has a note for each tag: which host it stands for."""
    return f"{store}/hub/origins"


def origin(store: str, tag: str) -> uuid.UUID | None:
    """Return the host that a tag stands for in this store; None: nothing says it. Raises `OSError`."""
    try:
        return uuid.UUID(files.read(f"{origins(store)}/{tag}", 100).decode().strip())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def own_ids(store: str) -> frozenset[uuid.UUID]:
    """Return the ids that this store has, or had, as a host; none where it never took part in a hub.

    A damaged file that says so says nothing: what bears a tag is another's then, so that nothing is
    done on the strength of it.
    """
    try:
        held = jsonline.decode_object(files.read(layout.hub_host(store)))
        return frozenset(uuid.UUID(one) for one in (held["id"], *held.get("earlier", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def first_id(store: str) -> uuid.UUID | None:
    """Return the id under which this store first took part in a hub; None where it never did.

    It stays where the store takes another one, and a copy of the store has it too, as it has the
    sessions.
    """
    try:
        held = jsonline.decode_object(files.read(layout.hub_host(store)))
        return uuid.UUID([*held.get("earlier", ()), held["id"]][0])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_own(store: str, path: str, ids: frozenset[uuid.UUID] | None = None) -> bool:
    """Whether a log file holds what happened on this host; ``ids`` are `own_ids`, if they are known.

    Its own steps on a shared job stand in a file with its own tag.
    """
    tag = tag_in(path)
    if tag is None:
        return True
    ids = own_ids(store) if ids is None else ids
    try:
        return bool(ids) and origin(store, tag) in ids
    except OSError:
        return False


def own(store: str, paths: Iterable[str]) -> list[str]:
    """Return those log files that hold what happened on this host, in their order."""
    ids: frozenset[uuid.UUID] | None = None
    found = []
    for path in paths:
        if ids is None and tag_in(path) is not None:
            ids = own_ids(store)
        if is_own(store, path, ids):
            found.append(path)
    return found
