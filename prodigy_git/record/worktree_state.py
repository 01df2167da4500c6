"""``worktrees/{repo}/.metadata/{name}.json``: what Prodigy wants to know of a worktree that we made.

Without that file Prodigy lists a worktree and cannot merge it. It follows from the session's file, and
is written with it, so it is no truth of its own: one that a kill has left behind is put right when the
session's file is written next. Of the sessions that a path has had, it is the one's whose worktree is
there now. One that Prodigy has written, or written over, is Prodigy's from then
on, and is neither changed nor removed here.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import (
    clock,
    enrolment_file,
    files,
    gitdir,
    jsonline,
    prodigys,
    within,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OURS = "written_by"
"""A field that Prodigy passes over, and loses when it writes the file."""
_STATUS = {
    "Completed": "completed",
    "Failed": "failed",
    "Cancelled": "abandoned",
    "Paused": "interrupted",
}


def keep(store: str, fields: dict[str, Any]) -> None:
    """Have the state of a session's worktree say what the session's document ``fields`` says.

    Only for a worktree in ``worktrees/{repo}``, where alone Prodigy looks, and for none that Prodigy
    made; where it is in the trash, or gone, there is no state. What cannot be written is left: nothing
    of ours depends on it. The caller holds the session's lock.
    """
    try:
        metadata = fields["metadata"]
        path = _own_path(store, fields)
        if path is None:
            return
        if "trash_path" in metadata or not os.path.isdir(metadata["worktree_path"]):
            _remove(path)
            return
        state = _state(fields, metadata, os.path.basename(path)[: -len(".json")])
        if state != _read(path):
            files.replace(path, jsonline.line(state))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass


def take_back(store: str, fields: dict[str, Any]) -> None:
    """Remove the state of a worktree whose session never came to be; never raises."""
    try:
        path = _own_path(store, fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return
    if path is not None:
        _remove(path)


def _own_path(store: str, fields: dict[str, Any]) -> str | None:
    """Return where the state is, or is to be.

    None where there is to be none, or it is Prodigy's, or of the session that has the worktree now.
    """
    metadata = fields["metadata"]
    repo, top = metadata.get("repo"), metadata.get("worktree_path")
    if not isinstance(repo, str) or not isinstance(top, str) or prodigys.SESSION in metadata:
        return None
    name = os.path.basename(top)
    if not names.is_safe(repo) or not names.is_safe(name):
        return None
    if os.path.dirname(top) != layout.worktrees(store, repo):
        return None
    path = layout.worktree_state(store, repo, name)
    if within.link_in(store, path) is not None:
        return None
    there = _read(path)
    if (there is not None and OURS not in there) or _is_anothers(top, fields["id"]):
        return None
    return path


def _is_anothers(top: str, session: str) -> bool:
    """Whether the worktree at ``top`` is another session's by now. Raises `OSError`, `ValueError`."""
    place = gitdir.find(top, {})
    if place is None or place.top != top:
        return False  # no worktree is there
    # Of several users the one whose store this is may have come second.
    found = [
        enrolment_file.in_file(place.private, end) for end in ("", enrolment_file.own_suffix())
    ]
    there = {one.session for one in found if one is not None}
    return bool(there) and session not in there


def _read(path: str) -> dict[str, Any] | None:
    """Return what is there; None where nothing is, and an empty object for what is damaged."""
    try:
        return jsonline.decode_object(files.read(path))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}


def _remove(path: str) -> None:
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))  # the last one: the folder is as it was before the first
    except OSError:
        pass


def _state(fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
    """Return Prodigy's WorktreeState, in which every field but the last has to be."""
    status = fields.get("status")
    stopped = fields.get("completed_at") or fields.get("updated_at")
    error = fields.get("error")
    return {
        "session_id": name,
        "worktree_name": name,
        "branch": metadata.get("branch") or "HEAD",
        "original_branch": metadata.get("base_branch") or "",
        "created_at": fields.get("started_at"),
        "updated_at": fields.get("updated_at") or clock.stamp(clock.now()),
        "status": _STATUS.get(str(status), "in_progress"),
        "iterations": {"completed": 0, "max": 1},
        "stats": {
            "files_changed": 0,
            "commits": metadata.get("commits") or 0,
            "last_commit_sha": metadata.get("last_commit"),
        },
        "merged": False,
        "merged_at": None,
        "error": error if isinstance(error, str) else None,
        "merge_prompt_shown": False,
        "merge_prompt_response": None,
        "interrupted_at": stopped if status == "Paused" else None,
        "interruption_type": "unknown" if status == "Paused" else None,
        "last_checkpoint": None,
        "resumable": False,
        OURS: "prodigy-git",
    }
