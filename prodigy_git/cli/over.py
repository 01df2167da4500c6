"""Seeing to what is over before a command looks, or works: the sessions, and what they have left."""

from prodigy_git.cli import output
from prodigy_git.lifecycle import unended
from prodigy_git.lifecycle.unended import Settled


def settle(
    store: str, *, repo: str | None = None, job: str | None = None, name: str | None = None
) -> Settled:
    """End the sessions that are over (`unended.settle`), and keep their commits that nothing names.

    Trouble is told.
    """
    done = unended.settle(store, output.note, repo=repo, job=job, name=name)
    if done.left_behind:
        from prodigy_git.cleanup.trash import lost_branch

        lost_branch.keep(store, done.left_behind, output.note)
    return done
