"""What agent programs did in a session's worktree goes with the session's file, and comes back with it.

The notes that bind a program's session to it are removed: the next event of that makes a new one.
"""

import contextlib
import os

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving
from prodigy_git.record import clock
from prodigy_git.record.conversations import bindings, telling

NAMES = ("activity.jsonl", "activity.cursor")
"""What the two files are called in the trash, beside the session's."""


def take_along(store: str, repo: str, session: str, folder: str) -> None:
    """Move a session's activity to its ``folder`` in the trash; the caller holds the session's lock.

    Raises `OSError`.
    """
    for name in telling.state_of(store, repo, session) or ():
        program, _, identity = name.partition(":")
        bound = bindings.read(store, program, identity)
        if bound is not None and bound.session == session:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(bindings.path(store, program, identity))
    for path, name in zip(_places(store, repo, session), NAMES, strict=True):
        if os.path.lexists(path):
            target = f"{folder}/{name}"
            while os.path.lexists(target):
                target = f"{folder}/{name}.{clock.stamp(clock.now())}"
            moving.to_trash(store, path, target)


def bring_back(store: str, repo: str, session: str) -> None:
    """Move a session's activity back from the trash, where nothing newer is in its place.

    The caller holds the session's lock. Raises `OSError`.
    """
    folder = layout.trash(store, repo, session)
    for path, name in zip(_places(store, repo, session), NAMES, strict=True):
        kept = sorted(one for one in os.listdir(folder) if one.startswith(name))
        if kept and not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            moving.move_file(f"{folder}/{kept[-1]}", path)


def _places(store: str, repo: str, session: str) -> tuple[str, str]:
    return layout.activity(store, repo, session), layout.activity_cursor(store, repo, session)
