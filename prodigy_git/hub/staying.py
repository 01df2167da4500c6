"""Which jobs stay on their machine, though their repository has a hub."""

import os

from prodigy_git import layout
from prodigy_git.hub import job_cursor


def stays(store: str, repo: str, job: str) -> bool:
    """Whether nothing of a job goes to the hub: it was given items here, and not by ``--hub``.

    Raises `OSError`.
    """
    if not os.path.exists(layout.items(store, repo, job)):
        return False
    cursor = job_cursor.load(store, repo, job)
    return cursor is None or not cursor.shared
