"""A worktree here for what a session of another host has made and pushed.

It is a session of its own, which goes on where the other one was: that one stays its host's.
"""

import os

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import pushed_branches
from prodigy_git.lifecycle import whereabouts
from prodigy_git.lifecycle.new_worktree import NewWorktree, new_worktree
from prodigy_git.record import gitdir
from prodigy_git.store import events
from prodigy_git.store.broken import Broken


def worktree(
    cwd: str, session: str, *, path: str | None = None, broken: Broken
) -> NewWorktree | None:
    """Make a worktree at what ``session`` has pushed; None where it is ours, or has pushed nothing.

    Its branch follows the remote's. ``path`` is where it is to be. Raises `ProdigyError` where what was
    pushed cannot be fetched, or the worktree cannot be made; `OSError`.
    """
    try:
        store, repo = whereabouts.repository(cwd)
    except ProdigyError:  # not in a repository
        return None
    place = gitdir.find(cwd, {})
    if place is None or not names.is_safe(session):
        return None
    if os.path.lexists(layout.session(store, session)):
        return None
    for _, job in events.jobs(store, repo):
        found = pushed_branches.of_job(store, repo, job, broken, sessions=[session]).get(session)
        if found is None:
            continue
        if pushed_branches.fetch(place, [found], broken):
            raise ProdigyError(
                f"what session {session} of another host has made is on no remote of this "
                f"repository: it was pushed to {found.remote} ({found.url}) as {found.ref}"
            )
        return new_worktree(
            cwd, job=job, branch=found.branch, path=path, more={"parent_session": session},
            broken=broken,
        )  # fmt: skip
    return None
