"""A session's file, ``sessions/{id}.json``: Prodigy's UnifiedSession (DESIGN, section 6).

Read and written here as plain JSON, so that a hook need not import the model; fields that are not
known here survive a rewrite.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import clock, files, jsonline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prodigy_git.record.gitdir import Place

PROCESS = ("host", "pid", "pid_started", "pid_ticks", "pid_namespace", "boot", "machine")
"""What a session's file has of the process that started it."""
CHECKPOINTS_KEPT = 10
MADE_FOR = "made_for"
"""Where the metadata say for which program a worktree was made: it asked for one itself."""
BY_PROGRAM = "agent-hook:"
"""What ``created_by`` begins with where an agent program's start has made a session; then its name."""
NONCE = "nonce"
"""Where in the metadata the enrolment's nonce is: it tells a store from another one at its path."""
ELSEWHERE = "made_elsewhere"
"""Where those recorded commits are that were made in a copy, or in a state that is gone."""


def document(
    session: str, job: str | None, worktree: str, metadata: dict[str, Any]
) -> dict[str, Any]:
    """Return a new session's document, still ``Initializing``.

    A session that was given a ``job`` is one agent's part of it (``MapReduce``); without one it is a
    ``Workflow`` of its own. Entries of ``metadata`` that are None are left out.
    """
    now = clock.stamp(clock.now())
    workflow = {
        "workflow_id": session,
        "workflow_name": worktree,
        "current_step": 0,
        "total_steps": 0,
        "completed_steps": [],
        "variables": {},
        "iterations_completed": 0,
        "files_changed": 0,
        "worktree_name": worktree,
    }
    mapreduce = {
        "job_id": job,
        "total_items": 0,
        "processed_items": 0,
        "failed_items": 0,
        "agent_count": 1 if "agent_id" in metadata else 0,
        "phase": "Map" if metadata.get("agent_id") else "Setup",
        "reduce_results": None,
    }
    return {
        "id": session,
        "session_type": "Workflow" if job is None else "MapReduce",
        "status": "Initializing",
        "started_at": now,
        "updated_at": now,
        "completed_at": None,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "checkpoints": [],
        "timings": {},
        "error": None,
        "workflow_data": workflow if job is None else None,
        "mapreduce_data": None if job is None else mapreduce,
    }


def reserve(store: str, fields: dict[str, Any]) -> bool:
    """Create a session's file; return False where the id is taken. Raises `OSError`.

    The file comes into being whole (link(2) of a finished temporary file), and only if there is none.
    """
    path = layout.session(store, fields["id"])
    temporary = f"{store}/sessions/.{fields['id']}.{os.getpid()}.new"
    files.make_private(f"{store}/sessions")
    if not files.put_if_missing(path, jsonline.line(fields), through=temporary, durably=True):
        return False
    files.sync_folder(f"{store}/sessions")
    return True


def read(store: str, session: str) -> dict[str, Any]:
    """Return a session's document. Raises `OSError`, or `ValueError` for a damaged file."""
    return jsonline.decode_object(files.read(layout.session(store, session)))


def write(store: str, session: str, fields: dict[str, Any], *, commits_only: bool = False) -> None:
    """Replace a session's file; the caller holds the session's lock. Raises `OSError`.

    What Prodigy is told of the worktree follows, unless the change is in ``commits_only``: a hook has
    no time for a second file.
    """
    fields["updated_at"] = clock.stamp(clock.now())
    if not commits_only:
        from prodigy_git.record import prodigys, redacting

        if prodigys.wrote(_metadata(store, session)):
            raise ValueError("it is Prodigy's, which would write over it")
        metadata = fields.get("metadata")
        repo = metadata.get("repo") if isinstance(metadata, dict) else None
        for name in fields.keys() & {"error", "metadata"}:
            fields[name] = redacting.value(store, str(repo), fields[name], name)
    files.replace(layout.session(store, session), jsonline.line(fields))
    if not commits_only:
        from prodigy_git.record import worktree_state

        worktree_state.keep(store, fields)


def job_of(fields: dict[str, Any]) -> str:
    """Return the job that a session works on: its own id where it has none. Raises `names.BadName`."""
    of_job, metadata = fields.get("mapreduce_data"), fields.get("metadata")
    for holder in (of_job, metadata):
        job = holder.get("job_id") if isinstance(holder, dict) else None
        if isinstance(job, str):
            return names.checked(job, "job id")
    return names.checked(fields["id"], "session id")


def _metadata(store: str, session: str) -> object:
    try:
        return read(store, session).get("metadata")
    except (OSError, ValueError):
        return None


def note_place(fields: dict[str, Any], place: Place, nonce: str, whole: bool) -> bool:
    """Put into a document where its worktree is; return whether that changed anything.

    ``whole`` says that the folder is there and is the worktree. Raises `TypeError` or `KeyError` where
    the document has other shapes.
    """
    metadata = fields["metadata"]
    now = {NONCE: nonce, "repo_path": os.path.realpath(place.common)}
    if whole:
        now["worktree_path"] = place.top
    if now.items() <= metadata.items():
        return False
    metadata.update(now)
    return True


def note_commits(fields: dict[str, Any], checkpoint: dict[str, Any]) -> bool:
    """Put a checkpoint, and from its state the newest commit and their number, into a document.

    Return whether that changed anything: the newest commit may be there already.

    ``checkpoint`` is ``{id, created_at, state: {commit, commits, branch?, log}, metadata}``; the
    newest ten are kept, one of each id. Raises `ValueError` where the document has other shapes.
    """
    metadata = fields.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise ValueError("metadata is not an object")
    state = checkpoint["state"]
    if [metadata.get("last_commit"), metadata.get("commits")] == [
        state["commit"],
        state["commits"],
    ]:
        return False
    metadata["last_commit"] = state["commit"]
    metadata["commits"] = state["commits"]
    if "branch" in state:
        metadata["branch"] = state["branch"]
    earlier = [
        kept for kept in fields.get("checkpoints") or []
        if not (isinstance(kept, dict) and kept.get("id") == checkpoint["id"])
    ]  # fmt: skip
    fields["checkpoints"] = [*earlier, checkpoint][-CHECKPOINTS_KEPT:]
    return True
