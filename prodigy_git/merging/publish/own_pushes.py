"""What we have pushed: so that a branch that is there by us, and by nobody else, may be replaced.

A file for each repository. A push is noted before it is made, and after: killed in between, what is
there is either the commit before or the one that was on its way, both ours.
"""

import os

from prodigy_git import layout
from prodigy_git.record import files, jsonline, locks

Pushed = dict[str, dict[str, list[str]]]
"""By the remote's URL (without credentials) and branch: the commits that are ours there."""


def read(store: str, repo: str) -> Pushed:
    """Return what was pushed; nothing where that cannot be read: then nothing is replaced."""
    try:
        found = jsonline.decode_object(files.read(layout.pushed(store, repo)))
    except (OSError, ValueError):
        return {}
    return {
        url: {
            branch: [one for one in shas if isinstance(one, str)]
            for branch, shas in branches.items()
            if isinstance(shas, list)
        }
        for url, branches in found.items()
        if isinstance(branches, dict)
    }


def note(store: str, repo: str, url: str, branch: str, shas: list[str]) -> None:
    """Keep which commits are ours on a branch of a remote. Raises `OSError`."""
    lock = locks.take(layout.state_lock(store, repo))
    try:
        known = read(store, repo)
        known.setdefault(url, {})[branch] = list(dict.fromkeys(shas))
        path = layout.pushed(store, repo)
        files.make_private(os.path.dirname(path))
        files.replace(path, f"{jsonline.encode(known)}\n".encode("ascii"))
    finally:
        os.close(lock)
