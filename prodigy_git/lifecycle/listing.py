"""Worktrees with their sessions, as ``worktree ls`` shows them."""

import os
from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, gitdir
from prodigy_git.store import sessions
from prodigy_git.store.events import Broken


def of_repository(store: str, cwd: str, broken: Broken) -> list[dict[str, Any]]:
    """Return a row for each worktree of the repository around ``cwd``, enrolled or not."""
    place = repository.find(cwd)
    return [
        row(tree.path, _session_of(store, tree.path, broken), tree)
        for tree in repository.worktrees(place.common)
        if not tree.bare
    ]


def of_store(store: str, broken: Broken) -> list[dict[str, Any]]:
    """Return a row for each session of the store that has a worktree."""
    return [
        row(where[0].top, found, None)
        for found in sessions.load_all(store, broken)
        if (where := sessions.enrolled_place(found)) is not None
    ]


def _session_of(store: str, path: str, broken: Broken) -> Session | None:
    place = gitdir.find(path, {})
    try:
        there = enrolment.read(place.private) if place is not None else None
        if there is None:
            return None
        return sessions.catch_up(store, sessions.load(store, there.session), broken)
    except (ProdigyError, OSError, ValueError) as error:
        broken(str(error))
        return None


def row(path: str, found: Session | None, tree: repository.Worktree | None) -> dict[str, Any]:
    """Return what is listed of the worktree at ``path``, its session and its registration."""
    shown: dict[str, Any] = {
        "name": os.path.basename(path),
        "session_id": None,
        "status": None,
        "job_id": None,
        "agent_id": None,
        "item_id": None,
        "branch": None,
        "commits": None,
        "head": None,
        "locked": None,
        "worktree": path,
        "exists": os.path.isdir(path),
        "half_way": None,
    }
    if found is not None:
        shown.update(
            session_id=found.id,
            status=found.status,
            job_id=found.job,
            agent_id=found.text("agent_id"),
            item_id=found.text("item_id"),
            branch=found.text("branch"),
            commits=found.metadata.get("commits"),
            head=found.text("last_commit"),
        )
    if tree is not None:
        shown.update(branch=tree.branch, head=tree.head, locked=tree.locked)
    return shown
