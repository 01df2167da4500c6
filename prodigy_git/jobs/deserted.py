"""What becomes of the session whose claim is ended because its owner is gone: it ends with it.

Called under the job's claims lock. A finish holds its session's lock and waits for that one, so a
session's lock is waited for here but a moment: who has it then is about to end the session itself, or
what could not be written is mended by the next look (`store.ended_by_others`).
"""

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from prodigy_git import names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, owner, surviving_commits
from prodigy_git.jobs.index import Index
from prodigy_git.store import ended_by_others, sessions
from prodigy_git.store.ended_by_others import End
from prodigy_git.store.events import Broken

_PATIENCE = 0.1  # seconds for a session's lock, under the job's


@dataclass(frozen=True)
class Deserted:
    """A session that nobody works in any more, the commits that it has, and the event of its end."""

    session_id: str
    commits: list[str]
    finished: dict[str, Any]
    end: End


def session_of(
    index: Index, start: books.Start | None, item: str, agent: str, why: str, broken: Broken
) -> Deserted | None:
    """Return the session that worked on an item by a claim; None where there is none that can end.

    It is the one that was made for this agent and this item: who works on one item after the other in
    a worktree of their own goes on. What its journal holds is recorded before.
    """
    name = None if start is None else start.worktree or start.session
    if start is None or name is None or not names.is_safe(name):
        return None
    if not owner.of_here(index.store, start.owner):
        return None  # its own host ends it
    try:
        found = sessions.load(index.store, name)
        made_for_it = (found.text("repo"), found.job, found.text("item_id"), found.text("agent_id"))
        if found.ended or made_for_it != (index.repo, index.job_id, item, agent):
            return None
        if found.status == "Initializing" and os.path.isdir(found.text("worktree_path") or ""):
            return None  # killed while it was made: 'clean' takes that to its end
        found = sessions.catch_up(index.store, found, lambda _: None, patience=_PATIENCE)
        commits = surviving_commits.commits(index.store, index.repo, found, broken)
    except (ProdigyError, OSError, ValueError) as error:
        broken(f"session {name} is not ended with its claim ({error})")
        return None
    if found.ended:
        return None
    end = End("Failed", why, why, ended_by_others.resumptions(found))
    what = ended_by_others.identity(end.resumed, by_others=True)
    envelope = ended_by_others.envelope(index.store, found, what, "SessionFinished")
    return Deserted(name, commits, ended_by_others.finished(envelope, end), end)


def note(index: Index, gone: Deserted) -> None:
    """Write the end that the log has by now into the session's file."""
    with contextlib.suppress(OSError, ValueError):  # mended by the next look
        ended_by_others.note(index.store, gone.session_id, gone.end, _PATIENCE)
