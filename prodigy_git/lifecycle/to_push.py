"""What `run --push` has still to push: noted before an attempt's push, taken away once it is there.

So a push that was cut short, or met a remote that was away, is made up for by a later one. A file for
each repository.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from prodigy_git import layout
from prodigy_git.record import files, jsonline, locks


@dataclass(frozen=True)
class Owed:
    """A session's commit that is to be at a ref of a remote; ``ref`` is a full name."""

    job_id: str
    session_id: str
    agent_id: str
    item_id: str
    attempt: int
    remote: str
    ref: str
    head: str
    by: dict[str, Any] | None
    """The process that is about to (`liveness.described`); None where the remote was away."""


def read(store: str, repo: str) -> list[Owed]:
    """Return what is noted, oldest first; nothing where that cannot be read: it is still a branch."""
    try:
        found = jsonline.decode_object(files.read(layout.to_push(store, repo)))
    except (OSError, ValueError):
        return []
    whole = []
    for one in found.values():
        try:
            whole.append(msgspec.convert(one, Owed))
        except msgspec.ValidationError:
            continue
    return whole


def note(store: str, repo: str, *changed: Owed) -> None:
    """Note what is to be pushed, in the place of what was noted of these sessions. Raises `OSError`."""
    lock = locks.take(layout.state_lock(store, repo))
    try:
        known = {one.session_id: one for one in read(store, repo)}
        _write(store, repo, known | {one.session_id: one for one in changed})
    finally:
        os.close(lock)


def settle(store: str, repo: str, one: Owed, tell: Callable[[], object]) -> None:
    """Call ``tell``, which records what came of it, and take the note away; once, whoever does it.

    Raises `OSError`, and what ``tell`` raises: then it is noted still.
    """
    lock = locks.take(layout.state_lock(store, repo))
    try:
        known = {each.session_id: each for each in read(store, repo)}
        there = known.get(one.session_id)
        if there is not None and (there.ref, there.head) == (one.ref, one.head):
            tell()
            del known[one.session_id]
            _write(store, repo, known)
    finally:
        os.close(lock)


def _write(store: str, repo: str, known: dict[str, Owed]) -> None:
    path = layout.to_push(store, repo)
    files.make_private(os.path.dirname(path))
    told = {name: asdict(one) for name, one in known.items()}
    files.replace(path, jsonline.line(told))
