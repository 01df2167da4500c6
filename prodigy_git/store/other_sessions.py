"""Sessions of other hosts: what came of them from a hub, in a place of its own.

``hub/sessions/{repo}/{tag}/{session}.json``, and ``ended/`` within it. Nothing that cleans, ends or
resumes sessions looks there: to it they are not there.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import msgspec

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, jsonline, within
from prodigy_git.store import host_files, other_hosts
from prodigy_git.store.briefs import Brief

TEXTS = (
    "job_id", "agent_id", "item_id", "branch", "base_branch", "base_commit", "last_commit", "name",
    "created_by", "agent_program", "worktree", "error", "started_at", "updated_at", "completed_at",
)  # fmt: skip
"""What others are told of a session, beside its id and status. ``worktree`` is a folder's name: a path
means nothing elsewhere."""
NUMBERS = ("commits", "resumed")


def folder(store: str) -> str:
    """Return the folder of what other hosts said of their sessions, one for each repository in it."""
    return f"{store}/hub/sessions"


def path(store: str, repo: str, tag: str, session_id: str, *, ended: bool = False) -> str:
    """Return the path of what the host that ``tag`` stands for said of a session of its own."""
    return f"{folder(store)}/{repo}/{tag}/{'ended/' if ended else ''}{session_id}.json"


def read(store: str, repo: str | None, *, ended: bool) -> list[Brief]:
    """Return the sessions that other hosts have in a repository, None: in all; by their ids.

    Without ``ended`` those that have not ended. What cannot be read is left out: it came through a
    border that checks it, and comes again.
    """
    found: dict[tuple[str, str, str], Brief] = {}
    for key, host, place in _hosts(store, repo):
        # The one that has ended last: it is in both where whoever wrote it was killed.
        for inside in (place, f"{place}/ended") if ended else (place,):
            for name in _listed(inside):
                with contextlib.suppress(OSError, ValueError):
                    one = _brief(key, host, files.read(f"{inside}/{name}"))
                    before = found.get((key, host, one.id))
                    if before is None or (before.updated or 0) <= (one.updated or 0):
                        found[key, host, one.id] = one
    return sorted(found.values(), key=lambda one: (one.id, one.other_host or ""))


def ids(store: str, repo: str) -> frozenset[str]:
    """Return the ids of all sessions that other hosts have, or had, in a repository."""
    return frozenset(
        name.removesuffix(".json")
        for _, _, place in _hosts(store, repo)
        for inside in (place, f"{place}/ended")
        for name in _listed(inside)
    )


def has(store: str, repo: str | None, name: str) -> bool:
    """Whether another host has, or had, a session with an id; in a repository, None: in any."""
    return names.is_safe(name) and any(
        os.path.lexists(f"{inside}/{name}.json")
        for _, _, place in _hosts(store, repo)
        for inside in (place, f"{place}/ended")
    )


def find(store: str, name: str, repo: str | None = None) -> list[Brief]:
    """Return the sessions with an id that other hosts have: two may have given one name."""
    found = []
    if names.is_safe(name):
        for key, host, place in _hosts(store, repo):
            for inside in (place, f"{place}/ended"):
                with contextlib.suppress(OSError, ValueError):
                    found.append(_brief(key, host, files.read(f"{inside}/{name}.json")))
                    break
    return found


def document(one: Brief) -> dict[str, Any]:
    """Return another host's session as a session's document, with what is known of it here."""
    metadata = {
        "repo": one.repo, "job_id": one.job, "agent_id": one.agent, "item_id": one.item,
        "branch": one.branch, "base_branch": one.base_branch, "base_commit": one.base_commit,
        "last_commit": one.last_commit, "commits": one.commits, "created_by": one.created_by,
        "name": one.name, "agent_program": one.program, "resumed": one.resumed or None,
    }  # fmt: skip
    return {
        "id": one.id,
        "session_type": "Workflow" if one.job == one.id else "MapReduce",
        "status": one.status,
        "started_at": one.started_at or "",
        "updated_at": one.updated_at or "",
        "completed_at": one.completed_at,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "error": one.error,
    }


def refusal(store: str, name: str) -> ProdigyError | None:
    """Return what to say to who wants to do something here to another host's session; None: it is none.

    The caller has found no session of that id here.
    """
    there = find(store, name)
    if not there:
        return None
    hosts = other_hosts.known(store)
    where = " and ".join(sorted({hosts.named(one.other_host) for one in there}))
    return ProdigyError(
        f"session {name} is on host {where}, and nothing of it is here: give this command there"
    )


def _hosts(store: str, repo: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield (repository key, host's id, folder) of each other host that has told of sessions."""
    top = folder(store)
    try:
        keys = os.listdir(top) if repo is None else [repo]
    except OSError:
        return  # no hub
    own = host_files.own_ids(store)
    for key in sorted(filter(names.is_safe, keys)):
        for tag in _folders(f"{top}/{key}"):
            with contextlib.suppress(OSError):
                host = host_files.origin(store, tag)
                if host is not None and host not in own:
                    yield key, str(host), f"{top}/{key}/{tag}"


def _folders(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _listed(place: str) -> list[str]:
    try:
        found = os.listdir(place)
    except OSError:
        return []
    return [
        name for name in found
        if name.endswith(".json") and names.is_safe(name.removesuffix(".json"))
    ]  # fmt: skip


class _Told(msgspec.Struct):
    id: str
    status: str
    job_id: str
    agent_id: str | None = None
    item_id: str | None = None
    branch: str | None = None
    base_branch: str | None = None
    base_commit: str | None = None
    last_commit: str | None = None
    name: str | None = None
    created_by: str | None = None
    agent_program: str | None = None
    worktree: str | None = None
    error: str | None = None
    started_at: str | None = None
    updated_at: str | None = None
    completed_at: str | None = None
    commits: int | None = None
    resumed: int = 0
    persons: bool = False


_decode = msgspec.json.Decoder(_Told).decode


def _brief(repo: str, host: str, data: bytes) -> Brief:
    """Return what another host's session is. Raises `ValueError`."""
    told = _decode(data)
    return Brief(
        id=told.id, status=told.status, job=told.job_id, repo=repo, started_at=told.started_at,
        updated_at=told.updated_at, completed_at=told.completed_at, error=told.error,
        worktree=None, trash=None, branch=told.branch, base_branch=told.base_branch,
        base_commit=told.base_commit, agent=told.agent_id, item=told.item_id, commits=told.commits,
        last_commit=told.last_commit, resumed=told.resumed, process=None, name=told.name,
        created_by=told.created_by, program=told.agent_program, other_host=host,
        others_person=told.persons,
    )  # fmt: skip


def write(store: str, repo: str, tag: str, told: dict[str, Any], *, ended: bool) -> None:
    """Write down what the host with this tag says of a session now. Raises `OSError`.

    The caller holds the lock of the hub's notes, and has checked it.
    """
    there = path(store, repo, tag, told["id"], ended=ended)
    within.make_folder(store, os.path.dirname(there))
    files.replace(there, jsonline.line(told))
    # In this order: killed in between it is in both, and the newer one counts.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path(store, repo, tag, told["id"], ended=not ended))
