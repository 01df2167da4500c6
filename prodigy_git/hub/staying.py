"""Which jobs stay on their machine, though their repository has a hub."""

import os

from prodigy_git import layout
from prodigy_git.hub import job_cursor
from prodigy_git.store import events, host_files


def stays(store: str, repo: str, job: str) -> bool:
    """Whether nothing of a job goes to the hub: it was given items here, and not by ``--hub``.

    Raises `OSError`.
    """
    if not os.path.exists(layout.items(store, repo, job)):
        return False
    cursor = job_cursor.load(store, repo, job)
    if cursor is None:
        # A note that was lost: what came from a hub says that the job is there.
        return not any(map(host_files.tag_in, events.log_files(store, repo, job)))
    return not cursor.shared
