"""Registering a worktree that another tool made: a session for it, and its commits from now on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status
from prodigy_git.jobs import claims, course
from prodigy_git.record import (
    beginnings,
    gitdir,
    locks,
    mapping,
    new_commits,
    prodigys,
    register,
    repokey,
    wake,
    whose,
)
from prodigy_git.record import enrolment as enrolments
from prodigy_git.record.cursor import Cursor
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.record.journal import START
from prodigy_git.store import home, locked
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Adopted:
    """The session that a worktree was given; ``base_commit`` is None where HEAD has no commit yet."""

    session_id: str
    job_id: str
    agent_id: str | None
    item_id: str | None
    worktree: str
    branch: str | None
    base_commit: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``worktree adopt --json`` prints them."""
        return asdict(self)


def adopt(
    path: str,
    *,
    name: str | None = None,
    job: str | None = None,
    agent: str | None = None,
    item: str | None = None,
    by: str = "adopt",
    broken: Broken,
) -> Adopted:
    """Give the worktree around ``path``, also a main one, a session; nothing in it is changed.

    Its commits are recorded from the first one after this call on: what the journal holds already is
    not the session's (of a rebase under way, the whole rebase is). ``name`` is the session's id; by
    default that is the folder's name for one under ``worktrees/{repo}/`` whose id was never used, and
    a fresh ``session-…`` for others. ``job`` defaults as in `new_worktree`. ``by`` is what gives it the
    session; whose work there is over (``import``) claims no item. Raises `ProdigyError` (no
    worktree there, or it has a session), `names.BadName` or `OSError`; then nothing is registered.
    """
    if not os.path.isdir(path):
        raise ProdigyError(f"{path} is not a folder: give the worktree's PATH")
    place = repository.find(path)
    if not os.path.lexists(f"{place.top}/.git"):
        raise ProdigyError(
            f"{place.top} is a git directory without a working tree: nothing to adopt"
        )
    if job is None:
        job = os.environ.get("PRODIGY_JOB_ID") or repository.config(path, "prodigy.job") or None
    for value, what in ((name, "name"), (job, "job id"), (agent, "agent id"), (item, "item id")):
        if value is not None:
            names.checked(value, what)
    # As for a new worktree: it could never be cleaned otherwise.
    if name and git_status(path, "check-ref-format", f"refs/prodigy/salvage/{name}/0")[0] != 0:
        raise ProdigyError(f"{name} cannot be a part of a ref's name: choose another NAME")
    store = home.here()
    _refuse_enrolled(place)
    try:
        repo = repokey.take(store, place.common)
        with locked.repository(store, repo), _registering(store, repo):
            _refuse_enrolled(place)
            adopted = _register(place, store, repo, name, job, agent, item, by, broken)
    except ValueError as error:
        raise ProdigyError(str(error)) from error
    if job is not None:
        try:
            course.note_joined(store, repo, job, adopted.session_id, broken)
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"no checkpoint of job {job} written ({error}): the log has everything")
    return adopted


def _refuse_enrolled(place: Place) -> None:
    try:
        there = enrolments.read(place.private)
    except ValueError as error:
        raise ProdigyError(f"{error}: move that file away, then adopt again") from error
    if there is not None and not there.known:
        raise ProdigyError(f"{place.top}: {whose.words(there)}")
    if there is not None:
        raise ProdigyError(f"{place.top} belongs to session {there.session}: nothing to adopt")


@contextlib.contextmanager
def _registering(store: str, repo: str) -> Iterator[None]:
    """Hold the lock that a hook takes to register a worktree: a commit may be under way there."""
    lock = locks.take(layout.register_lock(store, repo))
    try:
        yield
    finally:
        os.close(lock)


def _register(
    place: Place,
    store: str,
    repo: str,
    name: str | None,
    job: str | None,
    agent: str | None,
    item: str | None,
    by: str,
    broken: Broken,
) -> Adopted:
    branch, head = gitdir.head(place)
    folder = os.path.basename(place.top) or repo
    shown = gitdir.printable(folder)
    branch = None if branch is None else gitdir.printable(branch)
    metadata = {
        "repo_path": os.path.realpath(place.common),
        "worktree_path": place.top,
        "branch": branch,
        "base_commit": head,
        "agent_id": agent,
        "item_id": item,
        "host": os.uname().nodename,
        "created_by": by,
        "commits": 0,
    }
    known = prodigys.origin(store, place.top, branch)
    # What was done on an item is in the log already where a run is taken over.
    kind, working = job, agent if by == "adopt" else None
    if known is not None:
        job, kind = prodigys.note(known, job, metadata)
        agent, item = agent or known.agent, item or known.item
    session = None
    if name is not None:
        session = register.reserve(store, repo, shown, kind, metadata, name)
        if session is None:
            raise ProdigyError(f"the name {name} has been used before: choose another")
    elif (
        known is None  # Prodigy has a file of that name, or will have
        and os.path.dirname(place.top) == layout.worktrees(store, repo)
        and names.is_safe(folder)
    ):
        session = register.reserve(store, repo, shown, kind, metadata, folder)
    session = session or register.reserve(store, repo, shown, kind, metadata, None)
    assert session is not None  # only a wanted id can be taken
    started: dict[str, Any] = {"created_by": by}
    if head is not None:
        started["base"] = head
    opening: list[tuple[str, dict[str, Any]]] = [("SessionStarted", started)]
    with contextlib.ExitStack() as undo:
        undo.callback(register.forget, store, repo, session, place.private)
        if working is not None:
            begun = claims.begin(undo, store, repo, job, working, item, session, broken)
            if not begun.recorded:
                opening.append(("AgentStarted", {"worktree": session, "attempt": begun.attempt}))
        elif agent is not None and by == "adopt":
            opening.append(("AgentStarted", {"worktree": session, "attempt": 1}))
        enrolment = Enrolment(
            store=store, repo=repo, session=session, job=job or session, agent=agent, item=item,
            nonce=os.urandom(16).hex(), worktree=shown, opening=opening, start=_start(place),
        )  # fmt: skip
        mapping.put(store, repo, session, enrolment.job)
        register.enrol(place, enrolment)
        undo.pop_all()
    try:
        drain(place, enrolment)
        wake.keep(place, enrolment, os.environ)
    except (OSError, ValueError) as error:
        # Registered it is: the next drain writes what its log begins with.
        broken(f"session {session}: not recorded yet ({error})")
    return Adopted(session, enrolment.job, agent, item, place.top, branch, head)


def _start(place: Place) -> enrolments.Start | None:
    """Return where the session begins: behind the journal's last line, or before a rebase under way."""
    movements, _ = new_commits.behind(place, Cursor())
    last = len(movements) - 1
    if gitdir.rebasing(place):
        last = (
            max((i for i, one in enumerate(movements) if one.kind == START), default=last + 1) - 1
        )
    return None if last < 0 else beginnings.behind(movements[last])
