"""Whose work a session is: a person's, or an agent's. The one place that says so, for hooks and views.

Agents get worktrees of their own. The checkout that a clone begins with is where a person works: its
session was begun by whichever commit came first, and nobody said that an agent is there. A program for
agents that a person starts in it makes no agent's session of it.

Standard library only.
"""

from __future__ import annotations

import os

from prodigy_git.record import gitdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def is_persons(metadata: Mapping[str, Any]) -> bool:
    """Whether a session is a person's, by the ``metadata`` of its file: their own checkout.

    That is a main worktree, of which no agent and no item is known. A linked worktree counts as an
    agent's, whoever made it: that is what agents are given. So does a submodule in one.
    """
    if metadata.get("agent_id") or metadata.get("item_id"):
        return False
    return metadata.get("created_by") != "new-worktree" and _is_main(metadata)


def _is_main(metadata: Mapping[str, Any]) -> bool:
    common, top = metadata.get("repo_path"), metadata.get("worktree_path")
    if not isinstance(common, str) or not isinstance(top, str):
        return False
    known = metadata.get("git_dir")
    if isinstance(known, str):
        return known == "." and not _is_in_linked(common)
    # Sessions of earlier versions do not say: the paths do, else the worktree's own `.git`.
    if common == f"{top}/.git":
        return True
    try:
        place = gitdir.find(top, {})
    except (OSError, ValueError):
        return False
    if place is None or place.top != top.rstrip("/"):
        return False
    return place.private == place.common and not _is_in_linked(place.common)


def _is_in_linked(common: str) -> bool:
    """Whether a repository is a submodule's of a linked worktree.

    Git keeps that in the worktree's private git directory (gitrepository-layout(5)), of which the file
    ``commondir`` is the mark.
    """
    above, found, rest = common.rpartition("/worktrees/")
    name, _, inside = rest.partition("/")
    if not found or not inside.startswith("modules/"):
        return False
    return os.path.isfile(f"{above}/worktrees/{name}/commondir")
