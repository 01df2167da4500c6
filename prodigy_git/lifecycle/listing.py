"""Worktrees with their sessions, as ``worktree ls`` shows them."""

import importlib
import os
from typing import TYPE_CHECKING, Any

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.lifecycle.meanwhile import done_meanwhile
from prodigy_git.record import enrolment, files
from prodigy_git.record.gitdir import Place
from prodigy_git.store import home
from prodigy_git.store.broken import Broken

if TYPE_CHECKING:
    from prodigy_git.model.session import Session
    from prodigy_git.store import sessions


def of_repository(cwd: str, broken: Broken) -> list[dict[str, Any]]:
    """Return a row for each worktree of the repository around ``cwd``, enrolled or not."""
    with done_meanwhile(_ahead):
        place = repository.find(cwd)
        trees = [tree for tree in repository.worktrees(place.common) if not tree.bare]
    from prodigy_git.prodigy import sessions as prodigys_sessions

    by_store: dict[str, sessions.Known] = {}
    mine = [
        _session_of(repository.place_of(place.common, one), place.common, by_store, broken)
        for one in trees
    ]
    # Who asks for nothing of Prodigy's looks for nothing of it.
    theirs = prodigys_sessions.worktrees(home.here(cwd)) if None in mine[1:] else {}
    rows = []
    for tree, found in zip(trees, mine, strict=True):
        rows.append(row(tree.path, found, tree))
        known = theirs.get(os.path.realpath(tree.path)) if found is None else None
        if known is not None:
            rows[-1].update(
                session_id=known.session_id, status=known.status, job_id=known.run.job_id,
                agent_id=known.agent_id, item_id=known.item_id,
            )  # fmt: skip
    return rows


def _ahead() -> None:
    """Import what reads sessions, which takes as long as git takes to list the worktrees."""
    for name in ("prodigy_git.store.sessions", "prodigy_git.prodigy.sessions"):
        importlib.import_module(name)


def of_store(store: str, broken: Broken) -> list[dict[str, Any]]:
    """Return a row for each session of the store that has a worktree."""
    from prodigy_git.prodigy import sessions as prodigys_sessions
    from prodigy_git.store import sessions

    known = sessions.Known()
    rows = []
    for found in prodigys_sessions.filled(store, sessions.load_all(store, broken)):
        where = sessions.enrolled_place(store, found, known)
        if where is not None:
            rows.append(row(where[0].top, found, None))
        elif found.text("created_by") == prodigys_sessions.MADE_BY and os.path.isdir(
            found.text("worktree_path") or ""
        ):
            rows.append(row(found.text("worktree_path") or "", found, None))
    shown = {row["worktree"]: row for row in rows}
    return [one for one in rows if shown[one["worktree"]] is one]


def _session_of(
    place: Place | None, common: str, by_store: "dict[str, sessions.Known]", broken: Broken
) -> "Session | None":
    """Return the session of a worktree; ``by_store`` is filled."""
    from prodigy_git.store import sessions

    try:
        # A copy of a repository lists the original's worktrees.
        mine = place is not None and files.same(place.common, common)
        there = enrolment.read(place.private) if place is not None and mine else None
        if place is None or there is None:
            return None
        # Its own store's, whichever one the command reads: this is about the worktree.
        found = sessions.load(there.store, there.session)
        known = by_store.setdefault(there.store, sessions.Known())
        return sessions.catch_up(there.store, found, broken, known, where=(place, there))
    except (ProdigyError, OSError, ValueError) as error:
        broken(str(error))
        return None


def row(path: str, found: "Session | None", tree: repository.Worktree | None) -> dict[str, Any]:
    """Return what is listed of the worktree at ``path``, its session and its registration."""
    shown: dict[str, Any] = {
        "name": os.path.basename(path),
        "session_id": None,
        "status": None,
        "job_id": None,
        "agent_id": None,
        "item_id": None,
        "persons": False,
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
            persons=found.persons,
            branch=found.text("branch"),
            commits=found.metadata.get("commits"),
            head=found.text("last_commit"),
        )
    if tree is not None:
        shown.update(branch=tree.branch, head=tree.head, locked=tree.locked)
    return shown
