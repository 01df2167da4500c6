"""Who is dead, stuck or failed: the one definition, for every view. Pure: no input or output.

Of an agent as it stands now (`state_of`), and of each attempt that there was (`outcome_of`).
"""

from dataclasses import dataclass
from typing import Literal

from prodigy_git.jobs.attempts import Attempt
from prodigy_git.jobs.books import ItemState
from prodigy_git.record import clock
from prodigy_git.store.briefs import ENDED

STUCK_AFTER = 15 * 60 * clock.SECOND
"""How long an agent may be silent where nothing else was said, in microseconds."""

State = Literal["waiting", "dead", "failed", "stuck", "retrying", "running", "idle", "finished"]
ORDER: tuple[State, ...] = (
    "waiting", "dead", "failed", "stuck", "retrying", "running", "idle", "finished",
)  # fmt: skip
"""Who waits for a person first, then trouble."""
TROUBLE: frozenset[State] = frozenset(("dead", "failed", "stuck", "retrying"))
RANK = {state: number for number, state in enumerate(ORDER)}


@dataclass(frozen=True)
class Facts:
    """What decides the state. Moments are in microseconds since 1970.

    ``status`` is the session's own, None where no session is known. ``item`` is what became of the work
    item where this agent is the last that had it, else None; ``superseded`` says that another one has
    it or had it since. ``owned`` says whether the process that owns the claim lives, or its lease
    holds: None where there is no claim, or where that cannot be told from here.
    """

    status: str | None = None
    item: ItemState | None = None
    superseded: bool = False
    owned: bool | None = None
    deserted: bool = False
    """No process stands in its worktree; what started it is gone, or another has its item."""
    missing: bool = False
    """The session's worktree is not where it should be."""
    afar: bool = False
    """It is on another host: that it is silent, or its worktree not to be seen, says nothing."""
    removed: bool = False
    """Git was told to remove it, and nobody works there."""
    persons: bool = False
    """It is a person's own checkout (`record.persons`): nothing there is in trouble."""
    unattended: bool = False
    """A worktree that somebody made with git: that an agent is set to work there, nobody said."""
    program: str | None = None
    """What an agent program does there: working, waiting, idle (its turn is over) or ended."""
    program_gone: bool = False
    """Its process is gone, so that it does not do that any more."""
    last: int | None = None
    """When the last event was."""


def state_of(facts: Facts, now: int, stuck_after: int) -> State:
    """Return the state at ``now``; ``stuck_after`` is how long an agent may be silent.

    An item that this agent has, or was the last to have, decides; without one the session does. Of one
    that is at work an agent program says best what it does: who waits for a person, or whose turn is
    over, is silent for that reason.
    """
    if facts.persons:
        if facts.status in ENDED:
            return "finished"
        return _by_program(facts) or ("running" if facts.program == "working" else "idle")
    if facts.item is not None:
        if facts.item in ("dead", "failed"):
            return "failed"
        if facts.item == "pending":
            return "retrying"
        if facts.item == "completed":
            return "finished"
    elif facts.status == "Failed":
        # As long as its worktree is there somebody has to look at it; then there is nothing to do.
        return "finished" if facts.superseded or facts.missing or facts.afar else "failed"
    elif facts.status in ("Completed", "Cancelled"):
        return "finished"
    elif facts.removed:
        return "finished"  # whoever had it removed has seen to it that it is over
    elif facts.superseded and facts.deserted:
        return "dead"  # its item was given back, or up, because its process had gone
    if facts.owned is False:
        return "dead"
    if facts.afar:
        return "idle" if facts.status in ("Paused", "Initializing") else "running"
    if facts.missing and facts.status == "Initializing":  # it is being made, which is soon done
        return "dead" if is_silent(facts.last, now, stuck_after) else "idle"
    if facts.missing and facts.owned is None:
        return "dead"
    if facts.status in ("Paused", "Initializing"):
        return "idle"
    by_program = _by_program(facts)
    if by_program is not None:
        return by_program
    if not is_silent(facts.last, now, stuck_after):
        return "running"
    if facts.unattended:
        return "idle"
    # Weak evidence, and so no more than a hint: a script may start sessions for others and end.
    return "dead" if facts.deserted and facts.owned is None else "stuck"


def _by_program(facts: Facts) -> State | None:
    """Return the state that an agent program's says; None where it works, or where others know more.

    A claim whose owner lives, or cannot be asked, goes on behind a program's end: `run` ends it.
    """
    if facts.program in ("waiting", "idle") and not facts.program_gone:
        return "waiting" if facts.program == "waiting" else "idle"
    if facts.program is None or facts.item is not None:
        return None
    if facts.program_gone and facts.program in ("waiting", "working"):
        return "idle" if facts.persons else "dead"
    return "idle" if facts.program in ("idle", "ended") else None


def is_silent(last: int | None, now: int, stuck_after: int) -> bool:
    """Whether the last event is longer ago than ``stuck_after``; one that is not known is."""
    return last is None or now - last > stuck_after


Outcome = Literal[
    "completed", "failed", "retried", "running", "waiting", "idle", "stuck", "dead", "cancelled",
    "abandoned", "own",
]  # fmt: skip
"""``failed``: for good. ``retried``: failed, and the item was or is to be tried again. ``waiting``: its
agent program waits for a person. ``idle``: that one's turn is over, or it has ended. ``stuck``: silent.
``dead``: its process is gone. ``abandoned``: never ended, and somebody else has the item since, or the
job is over. ``own``: a person's own checkout, which nobody has to end."""


def outcome_of(
    one: Attempt,
    *,
    newest: bool,
    over: bool,
    given_up: bool,
    gone: bool,
    persons: bool,
    program: str | None,
    program_gone: bool,
    heard: int | None,
    now: int,
    stuck_after: int,
) -> Outcome:
    """Return how an attempt ended, or how it stands at ``now``.

    ``newest``: nobody has tried the item since; ``over``: the job has ended; ``given_up``: the item is
    dead or failed; ``gone``: the process that owns the claim does not live any more; ``persons``: it is
    no agent's, but a person's own checkout. ``program`` and ``program_gone`` as in `Facts`; ``heard``
    is when an agent program was heard of last.
    """
    if one.outcome == "failed":
        final = newest and (one.item_id is None or given_up or over)
        return "failed" if final else "retried"
    if one.outcome != "running":
        return one.outcome
    if persons:
        return "own"
    if over or not newest:
        return "abandoned"
    if gone:
        return "dead"
    doing = _by_program(
        Facts(
            item=None if one.item_id is None else "in_progress",
            program=program, program_gone=program_gone,
        )
    )  # fmt: skip
    if doing is not None:
        return "waiting" if doing == "waiting" else "dead" if doing == "dead" else "idle"
    # A session without an agent may be somebody's own, who was never told to do anything.
    last = max(filter(None, (one.last, heard)), default=None)
    silent = is_silent(last, now, stuck_after) and one.agent_id is not None
    return "stuck" if silent else "running"
