"""What lies in the store, and what only seems to: behind a link it is somebody else's.

The store itself may be a link, and each folder at its top (``worktrees``, ``trash``, ``logs``, …) may
be one: so a user puts what is large on another disk. Below those nobody but us makes anything, and we
make no links. What is behind one there is read; nothing is written, moved or deleted there.
"""

from __future__ import annotations

import errno
import os

from prodigy_git.record import files


class Outside(files.Unusable):
    """A path of the store leads out of it; ``filename`` is the link that does."""


def link_in(store: str, path: str) -> str | None:
    """Return the first part of ``path`` that is a link, from below the store's top folders on.

    None where there is none, as far as the path is there. Never raises.
    """
    at = path.find("/", len(store) + 1) if path.startswith(f"{store}/") else -1
    while at >= 0:
        at = path.find("/", at + 1)
        one = path[:at] if at >= 0 else path
        try:
            if os.lstat(one).st_mode & 0o170000 == 0o120000:
                return one
        except (OSError, ValueError):
            return None
    return None


def refuse_links(store: str, path: str) -> None:
    """Raise `Outside` where a link below the store's top folders is part of ``path``."""
    link = link_in(store, path)
    if link is not None:
        raise Outside(
            errno.ELOOP, "is a link that leads out of the store: nothing is changed there", link
        )


def make_folder(store: str, path: str) -> None:
    """Create a folder of the store, and what is missing above it. Raises `Outside`, `OSError`."""
    refuse_links(store, path)
    files.make_private(path)
