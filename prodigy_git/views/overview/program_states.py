"""What agent programs do in the worktrees of sessions, by their activity files.

Only a session that has such a file is looked at: where no program tells anything, a look costs one
listing. Of a file the end is read; nothing is locked, nothing written.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prodigy_git import layout
from prodigy_git.jobs import liveness
from prodigy_git.record import clock
from prodigy_git.record.conversations import activity, telling
from prodigy_git.record.conversations.activity import ENDED, IDLE, WAITING
from prodigy_git.record.gitdir import Place
from prodigy_git.store.broken import Broken
from prodigy_git.views.overview import asking
from prodigy_git.views.overview.memory import Memory


@dataclass(frozen=True)
class Doing:
    """What a program does in a session's worktree. Moments are in microseconds since 1970.

    ``state`` is working, waiting, idle (its turn is over) or ended; ``since`` is when that began, and
    ``seen`` when it was heard of last. ``reason``: what it waits for (permission, question, idle), or
    why it ended. ``gone``: its process is, so that it does not do what it said; None: that is not
    known, or it has ended. ``message`` is what it said it waits for, redacted when it was recorded, not
    made harmless. ``others``: how many more programs are at work there. ``edited``: files, relative to
    the worktree, with when they were edited last (`store.edits`).
    """

    program: str
    program_session: str | None
    state: str
    since: int
    seen: int
    reason: str | None = None
    model: str | None = None
    transcript: str | None = None
    subagents: int = 0
    gone: bool | None = None
    message: str | None = None
    others: int = 0
    edited: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def as_json(self, now: int) -> dict[str, Any]:
        """Return it as every command's JSON names things."""
        return {
            "agent_program": self.program,
            "program_session": self.program_session,
            "state": self.state,
            "since_at": clock.stamp(self.since),
            "since_seconds": max(0, now - self.since) // clock.SECOND,
            "heard_at": clock.stamp(self.seen),
            "reason": self.reason,
            "message": self.message,
            "model": self.model,
            "transcript": self.transcript,
            "subagent_count": self.subagents,
            "gone": self.gone,
            "other_programs": self.others,
        }


def told(store: str, repo: str) -> frozenset[str]:
    """Return the sessions of a repository that have an activity file."""
    try:
        listed = os.listdir(os.path.dirname(layout.activity(store, repo, "-")))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    return frozenset(name[: -len(".jsonl")] for name in listed if name.endswith(".jsonl"))


def of_sessions(
    store: str, wanted: Iterable[tuple[str | None, str, str, str | None, bool]], broken: Broken
) -> dict[str, Doing]:
    """Return what programs do in the worktrees of sessions, by session.

    ``wanted`` has (repository key, job, session, path of the worktree, whether it is a person's own
    checkout) of each.
    """
    found = {}
    memory = Memory()
    known: dict[str, frozenset[str]] = {}
    for repo, job, session, worktree, persons in wanted:
        if repo is None:
            continue
        if repo not in known:
            known[repo] = told(store, repo)
        if session in known[repo]:
            one = doing(store, repo, job, session, worktree, persons, memory, broken)
            if one is not None:
                found[session] = one
    return found


def doing(
    store: str,
    repo: str,
    job: str,
    session: str,
    worktree: str | None,
    persons: bool,
    memory: Memory,
    broken: Broken,
) -> Doing | None:
    """Return what a program does in a session's worktree; None where none has told anything.

    ``persons``: that is a person's own checkout.
    """
    try:
        states, edited = memory.activity(store, repo, session, worktree or "/")
    except OSError as error:
        broken(f"what agent programs do in session {session} is not known ({error})")
        return None
    first = activity.foremost(states)
    if first is None:
        return None
    found = Doing(
        first.program, first.program_session, first.state, first.since, first.seen, first.reason,
        first.model, first.transcript, len(first.subagents),
        others=sum(one.state != ENDED for one in states if one is not first), edited=edited,
    )  # fmt: skip
    if found.state != ENDED:
        found = replace(
            found, gone=_is_gone(store, repo, session, found, memory, None if persons else worktree)
        )
    if found.gone and found.reason == "idle":
        # It had asked for a prompt: its turn was over, and nothing is left in the midst.
        found = replace(found, state=IDLE, reason=None)
    if found.state == WAITING and not found.gone:
        known = memory.messages.get((session, found.since))
        if known is None:
            known = asking.message(store, repo, job, session, found.since) or ""
            memory.messages[session, found.since] = known
        found = replace(found, message=known or None)
    return found


def _is_gone(
    store: str, repo: str, session: str, one: Doing, memory: Memory, worktree: str | None
) -> bool | None:
    """Whether a program's process is gone; None where that cannot be told from here.

    Who calls a living one gone raises a false alarm: so it is only where that process is known for
    the program's, and where nobody stands in ``worktree``, either; None for a person's own, where the
    person does.
    """
    if one.program_session is None:
        return None
    state = telling.state_of(store, repo, session) or {}
    alive = liveness.program_alive(store, state, one.program, one.program_session)
    if alive is not False:
        return None if alive is None else False
    return worktree is None or not memory.stands_in(Place("", "", worktree))
