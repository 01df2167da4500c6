"""Enrolling a worktree whose making was killed before that: as `new-worktree` would have done it."""

import os
from typing import Any

from prodigy_git.model.session import Session
from prodigy_git.record import mapping, register
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store.broken import Broken


def enrol(store: str, repo: str, one: Session, place: Place, broken: Broken) -> None:
    """Enrol a session's worktree, and record what its journal has. Raises `OSError`, `ValueError`."""
    own: dict[str, Any] = {"created_by": one.text("created_by") or "new-worktree"}
    made: dict[str, Any] = {"worktree_name": one.id}
    for fields in (own, made):
        if base := one.text("base_commit"):
            fields["base"] = base
    if branch := one.text("branch"):
        made["branch"] = branch
    if one.metadata.get("made_branch") == "":
        made["branch_existed"] = True
    opening = [("SessionStarted", own), ("WorktreeCreated", made)]
    agent = one.text("agent_id")
    if agent is not None:
        opening.append(("AgentStarted", {"worktree": one.id, "attempt": 1}))
    there = Enrolment(
        store=store, repo=repo, session=one.id, job=one.job, agent=agent,
        item=one.text("item_id"), nonce=os.urandom(16).hex(), worktree=one.id, opening=opening,
    )  # fmt: skip
    mapping.put(store, repo, one.id, one.job)
    register.enrol(place, there)
    try:
        drain(place, there, recovered=True)
    except (OSError, ValueError) as error:
        broken(f"session {one.id}: not recorded yet ({error})")
