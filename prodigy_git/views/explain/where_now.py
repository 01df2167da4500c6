"""Where what sessions made is now: worktrees, branches, salvages, and who has a commit."""

import os
import time
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, integration, repository
from prodigy_git.model.session import Session
from prodigy_git.prodigy import sessions as prodigys_sessions
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs, enrolled, other_hosts, other_sessions, sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.views.explain.scope import Scope

SALVAGE = "refs/prodigy/salvage/"


def of_file(where: Scope, name: str, agent: str | None = None) -> dict[str, Any]:
    """Return what a session's file says; ``session`` is None where it is not there, or damaged.

    ``agent`` is who worked in it, if known: another host may have a session of that name.
    """
    known: Session | None = None
    try:
        (known,) = prodigys_sessions.filled(where.store, [sessions.load(where.store, name)])
    except (ProdigyError, OSError, ValueError) as error:
        if os.path.lexists(layout.session(where.store, name)):
            where.report(str(error))
        elif (other := _of_other_host(where, name, agent)) is not None:
            return other
    if known is not None and agent is not None and known.text("agent_id") not in (None, agent):
        other = _of_other_host(where, name, agent)
        if other is not None:
            return other
    metadata = {
        field: None if known is None else known.text(field)
        for field in (
            "repo", "agent_id", "item_id", "created_by", "branch", "base_branch", "base_commit",
            "parent_session", "worktree_path", "trash_path",
        )
    }  # fmt: skip
    return {
        "session": known,
        "file": known is not None,
        "status": None if known is None else known.status,
        "error": None if known is None else known.error,
        "job_id": None if known is None else known.job,
        "started_at": None if known is None else known.started_at,
        "ended_at": None if known is None else known.completed_at,
        "checkpoints": 0 if known is None else len(known.checkpoints),
        "persons": known is not None and known.persons,
        **metadata,
    }


def _of_other_host(where: Scope, name: str, agent: str | None) -> dict[str, Any] | None:
    """Return what another host has told of a session, and ``host``; None where none has."""
    there = other_sessions.find(where.store, name)
    there = [one for one in there if agent in (None, one.agent)] or there
    if not there:
        return None
    one = there[0]
    hosts = other_hosts.known(where.store)
    return {
        "session": None, "file": False, "status": one.status, "error": one.error,
        "job_id": one.job, "started_at": one.started_at, "ended_at": one.completed_at,
        "checkpoints": 0, "persons": one.persons, "repo": one.repo, "agent_id": one.agent,
        "item_id": one.item, "created_by": one.created_by, "branch": one.branch,
        "base_branch": one.base_branch, "base_commit": one.base_commit, "parent_session": None,
        "worktree_path": None, "trash_path": None,
        "host": ", ".join(sorted({hosts.named(each.other_host) for each in there})),
    }  # fmt: skip


def refs(where: Scope, name: str, found: dict[str, Any]) -> tuple[list[str], bool | None]:
    """Return the salvages (their refs), and whether the branch is there; None: nobody is to ask."""
    common = where.common(found["repo"])
    if common is None:
        return [], None
    branch = found["branch"]
    kept = [] if "host" in found else salvage.names_of(common, name)
    if not branch:
        return kept, None
    return kept, repository.has_ref(common, f"refs/heads/{branch}")


def has_branch(where: Scope, repo: str, branch: str) -> bool | None:
    """Whether a branch is there; None: nobody is to ask."""
    common = where.common(repo)
    return None if common is None else repository.has_ref(common, f"refs/heads/{branch}")


def worktree(where: Scope, name: str, found: dict[str, Any]) -> tuple[str, str | None]:
    """Return whether it is there, in the trash or gone, and its path: where it is now, or was.

    ``elsewhere`` where the session is another host's: its paths mean nothing here.
    """
    if "host" in found:
        return "elsewhere", None
    known = found["session"]
    place = None if known is None else sessions.enrolled_place(where.store, known)
    if place is not None:
        return "there", place[0].top
    if found["created_by"] == prodigys_sessions.MADE_BY and os.path.isdir(
        found["worktree_path"] or ""
    ):
        return "there", found["worktree_path"]
    there = [
        one
        for one in entry.entries(where.store, where.report, found["repo"], name)
        # Of a branch alone there is no worktree: git has removed that.
        if one.state not in ("emptying", "emptied") and not one.branch_only
    ]
    if there:
        return "trash", there[-1].folder
    return "gone", found["worktree_path"]


def of_session(where: Scope, repo: str, name: str, agent: str | None = None) -> dict[str, Any]:
    """Return status, branch, branch_exists, worktree, worktree_state and persons of a session.

    As `session_story.story` has them; the branch is None where its file is gone. ``agent`` as in
    `of_file`. With ``host`` where it is on another one.
    """
    found = of_file(where, name, agent)
    found["repo"] = found["repo"] or repo
    state, path = worktree(where, name, found)
    exists = refs(where, name, found)[1]
    return {
        "status": found["status"], "branch": found["branch"], "branch_exists": exists,
        "worktree": path, "worktree_state": state, "persons": found["persons"],
        **({"host": found["host"]} if "host" in found else {}),
    }  # fmt: skip


def detached(where: Scope, common: str, sha: str, until: float) -> list[str] | None:
    """Return the worktrees whose HEAD is on no branch and contains a commit; None: that is not known.

    git walks the history from each of these HEADs. Where it has not done so by ``until``, in seconds of
    `time.monotonic`, that is reported.
    """
    place = Place(common, common, common)
    contains = {sha: True}
    try:
        trees = [one for one in repository.worktrees(common) if one.branch is None and one.head]
        for head in dict.fromkeys(one.head for one in trees if one.head):
            left = until - time.monotonic()
            if left <= 0:
                raise ProdigyError("git took too long to say of all")
            if head not in contains:
                asked = ("merge-base", "--is-ancestor", sha, head)
                contains[head] = ask.look(place, *asked, patience=left)[0] == 0
    except ProdigyError as error:
        where.report(f"which detached HEADs contain {sha[:12]} is not known: {error}")
        return None
    return [one.path for one in trees if one.head and contains[one.head]]


def holders(where: Scope, repo: str | None, kept: dict[str, Any]) -> list[dict[str, Any]]:
    """Return who has a commit that ``kept`` names what contains it, by branch, HEAD or salvage.

    {branch, worktree, session_id, agent_id, item_id, job_id, status, salvage_ref, persons}: each None
    where there is none; ``persons``: it is a person's own checkout. A branch without a worktree is
    that of the last session that worked on it.
    """
    common = where.common(repo)
    if common is None:
        return []
    known = {one.id: one for one in briefs.read_all(where.store, where.report, {})}
    of_branch: dict[str, Brief] = {}
    for one in sorted(known.values(), key=lambda one: one.started or 0):
        if one.branch is not None and one.repo in (repo, None):
            of_branch[one.branch] = one
    by_top = {}
    if repo is not None:
        for session, (place, _) in enrolled.places(where.store, repo).items():
            by_top[place.top] = known.get(session)
    try:
        trees = repository.worktrees(common)
    except ProdigyError:
        trees = []
    at = {tree.branch: tree.path for tree in trees if tree.branch is not None}
    found = []
    for branch in kept["branches"]:
        path = at.get(branch)
        brief = by_top.get(path) if path is not None else of_branch.get(branch)
        found.append(_holder(brief, branch=branch, worktree=path))
    found += [_holder(by_top.get(path), worktree=path) for path in kept["detached"] or ()]
    for ref in kept["salvage"]:
        session = ref.removeprefix(SALVAGE).partition("/")[0]
        found.append(_holder(known.get(session), salvage_ref=ref) | {"session_id": session})
    return found


def _holder(brief: Brief | None, **what: str | None) -> dict[str, Any]:
    return {
        "branch": None, "worktree": None, "salvage_ref": None, **what,
        "session_id": None if brief is None else brief.id,
        "agent_id": None if brief is None else brief.agent,
        "item_id": None if brief is None else brief.item,
        "job_id": None if brief is None else brief.job,
        "status": None if brief is None else brief.status,
        "persons": brief is not None and brief.persons,
    }  # fmt: skip


def merged_into(
    where: Scope, repo: str | None, kept: dict[str, Any], makers: list[str]
) -> list[str]:
    """Return which of the branches that contain a commit are bases: of its sessions, or the default."""
    common = where.common(repo)
    if common is None:
        return []
    place = Place(common, common, common)
    configured = repository.config(common, "init.defaultBranch")
    bases = set(integration.defaults(integration.refs(place), configured))
    for session in makers:
        base = of_file(where, session)["base_branch"]
        bases.add(f"refs/heads/{base}")
    names = [f"refs/heads/{one}" for one in kept["branches"]]
    names += [f"refs/remotes/{one}" for one in kept["remotes"]]
    return [one.split("/", 2)[2] for one in names if one in bases]
