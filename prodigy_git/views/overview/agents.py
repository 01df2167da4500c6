"""Who there is: an agent for each session, and for each item that one has of whom there is none."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, divergence
from prodigy_git.jobs import owner
from prodigy_git.record import cursor, enrolment, gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken
from prodigy_git.store.other_hosts import Seen
from prodigy_git.views import trouble
from prodigy_git.views.overview import last_seen, program_states, surroundings
from prodigy_git.views.overview.items import Held
from prodigy_git.views.overview.logs import WELL, Said
from prodigy_git.views.overview.memory import Memory
from prodigy_git.views.overview.program_states import Doing
from prodigy_git.views.trouble import Facts, State

_LOOKERS = 8  # threads that wait for git


@dataclass
class Agent:
    """A session; or what an agent has on its hands of whom no session is known.

    Moments are in microseconds since 1970. ``ahead`` and ``behind`` are commits, against the base
    branch as it is now, else against the commit where the session began; None where that is not known.
    ``dirty`` is None where nobody asked.
    """

    state: State
    repo: str | None
    job_id: str | None
    session_id: str | None
    agent_id: str | None
    item_id: str | None
    attempt: int | None = None
    began: int | None = None
    last: int | None = None
    branch: str | None = None
    base: str | None = None
    ahead: int | None = None
    behind: int | None = None
    commits: int | None = None
    dirty: bool | None = None
    worktree: str | None = None
    missing: bool = False
    """Its worktree should be there, and is not."""
    removed: bool = False
    """Git was told to remove its worktree, and nobody works in it."""
    can_be_made_again: bool = False
    """It is missing, and what git has left of it, or its branch, is there."""
    unlinked: bool = False
    """Its folder is there, but git finds no repository from it: one of them was moved."""
    trash: str | None = None
    """Where its worktree lies in the trash."""
    head: str | None = None
    last_commit: str | None = None
    """The last that was recorded."""
    error: str | None = None
    log: str | None = None
    """Where its own output is, if the log or the store tells."""
    pid: int | None = None
    prodigys: bool = False
    """Its worktree is one of Prodigy's."""
    persons: bool = False
    """It is a person's own checkout, and no agent."""
    claimed: bool = False
    """It has its item by a claim: `resume` gives that back if it is dead."""
    activity: Doing | None = None
    """What an agent program does in its worktree; None where none has told anything."""
    host: Seen | None = None
    """Where it is, if on another host: nothing of it is here."""
    facts: Facts = field(default_factory=Facts, repr=False)

    @property
    def name(self) -> str:
        """The agent, its session where it has no name."""
        return self.agent_id or self.session_id or "-"

    @property
    def key(self) -> str:
        """What tells it from all others, in one word."""
        who = self.session_id or self.agent_id
        host = () if self.host is None else (self.host.id,)
        return "/".join(one or "" for one in (self.repo, self.job_id, who, self.item_id, *host))


def by_trouble(one: Agent) -> tuple[int, int, int, str]:
    """Return what puts agents in order: who waits for a person, then trouble; the longest first.

    Those at work are in the order of their names: it does not change with each event.
    """
    silent = (one.last or 0) if one.state in trouble.TROUBLE else 0
    is_free = False
    if one.state == "waiting" and one.activity is not None:
        silent = one.activity.since
        # Who is in the midst of something comes before who only could be given something to do.
        is_free = one.activity.reason == "idle"
    return trouble.RANK[one.state], is_free, silent, one.key


def judge_again(agents: Iterable[Agent], now: int, stuck_after: int) -> None:
    """Set each agent's state by what was found out about it, at another time."""
    for one in agents:
        one.state = trouble.state_of(one.facts, now, stuck_after)


def everybody(
    store: str,
    key: str,
    common: str | None,
    sessions: list[Brief],
    said: Said,
    memory: Memory,
    broken: Broken,
) -> list[Agent]:
    """Return an agent for each session, and for each item that one has of whom there is no session."""
    by_session: dict[str, Held] = {}
    by_item: dict[tuple[str, str], Held] = {}
    for job, some in said.held.items():
        for one in some:  # those in progress come first
            by_item[job, one.item] = one
            if one.session is not None and one.host is None:
                by_session.setdefault(one.session, one)
    agents = []
    taken: set[int] = set()
    around = surroundings.Worktrees(store, key, common)
    lives = _Lives(store, key)
    told = program_states.told(store, key)
    for brief in map(said.as_logged, sessions):
        mine = by_item.get((brief.job, brief.item or ""))
        if mine is None or mine.session not in (None, brief.id) or mine.agent != brief.agent:
            mine = by_session.get(brief.id)
        mine = None if mine is not None and mine.host is not None else mine
        if mine is not None:
            taken.add(id(mine))
        elsewhere = mine is None and brief.item is not None and brief.job in said.held
        last = said.over.get(brief.job, {}).get(brief.item or "")
        if last is not None:
            own = last.host is None and last.session in (None, brief.id)
            if last.state == "in_progress" and own and last.session is not None:
                mine = last  # its job was cancelled: it may still end
            elsewhere = last.state == "completed" or not own
        where = None if brief.status in WELL else _worktree(brief)
        if where is None and brief.status not in (*WELL, "Initializing"):
            # Git may have moved it: its enrolment has gone with it.
            moved = around.moved_to(brief.id)
            if moved is not None:
                brief = msgspec.structs.replace(brief, worktree=moved)
                where = _worktree(brief)
        made = _of_session(store, key, brief, where, mine, elsewhere, memory, around, lives)
        made.claimed = made.claimed and last is None  # a job that has ended takes nothing back
        if brief.id in told and brief.status not in briefs.ENDED:
            doing = program_states.doing(
                store, key, brief.job, brief.id, made.worktree, made.persons, memory, broken
            )
            _note_program(made, doing)
        agents.append(made)
    for job, some in said.held.items():
        agents += [of_item(key, job, one) for one in some if id(one) not in taken and not one.host]
    known = {one.id for one in sessions}
    for job, some in said.left.items():
        some = [one for one in some if one.host is None and one.session not in known]
        agents += [of_item(key, job, one) for one in some]
    return agents


class _Lives:
    """Which processes are still there: asked once for all sessions that one process started."""

    def __init__(self, store: str, key: str) -> None:
        """Ask nothing yet."""
        self._store, self._key = store, key
        self._known: dict[tuple[str, str], bool | None] = {}

    def alive(self, job: str, process: dict[str, Any]) -> bool | None:
        """Return what `owner.alive` does."""
        asked = job, repr(process)
        if asked not in self._known:
            self._known[asked] = owner.alive(self._store, self._key, job, process)
        return self._known[asked]


def _of_session(
    store: str,
    key: str,
    brief: Brief,
    where: tuple[Place, str] | None,
    mine: Held | None,
    elsewhere: bool,
    memory: Memory,
    around: surroundings.Worktrees,
    lives: "_Lives",
) -> Agent:
    over = brief.over and mine is None
    place, suffix = where or (None, "")
    agent = Agent(
        "finished", key, brief.job, brief.id, brief.agent, brief.item,
        began=brief.started, last=brief.updated, branch=brief.branch,
        base=brief.base_branch or brief.base_commit, commits=brief.commits,
        last_commit=brief.last_commit,
        worktree=brief.worktree, trash=brief.trash, error=brief.error,
        prodigys=brief.prodigy_session is not None, persons=brief.persons,
    )  # fmt: skip
    if place is not None:
        with contextlib.suppress(OSError):
            branch, agent.head = gitdir.head(place)
            agent.branch = branch or "(detached)"
        known = cursor.read(place.private, suffix)
        if known is not None and not brief.over:  # the file is written once a second at most
            agent.commits, agent.last_commit = known.commits, known.last or agent.last_commit
    away = place is None and brief.worktree is not None and brief.status not in WELL
    away = away and not around.on_its_way(brief.id)
    agent.missing = away and brief.status != "Initializing"  # then it has none yet
    agent.removed = (
        agent.missing
        and (mine is None or mine.state != "in_progress")
        and brief.worktree is not None
        and around.removed(brief.id, brief.worktree)
        and not memory.stands_in(Place("", "", brief.worktree))
    )
    agent.can_be_made_again = (
        agent.missing
        and brief.worktree is not None
        and around.is_left_of(brief.worktree, brief.branch)
    )
    linkless = agent.missing and os.path.isfile(f"{brief.worktree}/.git")
    agent.unlinked = linkless and gitdir.find(str(brief.worktree), {}) is None
    if not over:
        log = layout.run_log(store, key, brief.job, brief.id)
        agent.log = log if os.path.exists(log) else None
    if mine is not None:
        of_claim(agent, mine)
    process = None if over else brief.process
    if agent.pid is None and process is not None:
        agent.pid = process["pid"]
    started_by = None if process is None else lives.alive(brief.job, process)
    agent.facts = Facts(
        status=brief.status,
        item=None if mine is None else mine.state,
        superseded=elsewhere,
        owned=None if mine is None else mine.owned,
        # That another has its item says as much as that what started it is gone.
        deserted=(started_by is False or elsewhere)
        and place is not None
        and not memory.stands_in(place),
        missing=away,
        removed=agent.removed,
        persons=agent.persons,
        unattended=brief.agent is None and brief.item is None and brief.prodigy_session is None
        and (brief.created_by not in (None, "new-worktree") or brief.made_for is not None),
        last=brief.updated,
    )  # fmt: skip
    return agent


def _note_program(agent: Agent, doing: Doing | None) -> None:
    """Note what an agent program does there: that is a sign of life, too."""
    if doing is None:
        return
    agent.activity = doing
    agent.last = max(agent.last or 0, doing.seen)
    agent.facts = replace(
        agent.facts, program=doing.state, program_gone=doing.gone is True, last=agent.last
    )


def of_item(key: str, job: str, mine: Held) -> Agent:
    """Return what somebody has, or was the last to have, of whom no session is known."""
    agent = Agent("finished", key, job, mine.session, mine.agent, mine.item, began=mine.since)
    of_claim(agent, mine)
    agent.facts = Facts(item=mine.state, owned=mine.owned, last=mine.since)
    return agent


def of_claim(agent: Agent, mine: Held) -> None:
    """Note what an agent has in its hands."""
    agent.attempt, agent.claimed = mine.attempt, mine.state == "in_progress"
    agent.agent_id, agent.item_id = agent.agent_id or mine.agent, agent.item_id or mine.item
    agent.error = mine.error or agent.error
    agent.log = mine.log or agent.log
    agent.pid = mine.pid
    agent.last = max(filter(None, (agent.last, mine.since)), default=None)


def _worktree(brief: Brief) -> tuple[Place, str] | None:
    """Return a session's worktree, and its enrolment's suffix; None: gone, or another session's."""
    path = brief.worktree
    if path is None or not os.path.isdir(path):
        return None
    place = gitdir.find(path, {})
    if place is None or place.top != path.rstrip("/"):
        return None
    with contextlib.suppress(OSError, ValueError):
        there = enrolment.read(place.private)
        own = there is not None and there.session == brief.id
        return (place, there.suffix) if there is not None and own else None
    return place, ""


def hear(store: str, key: str, agents: list[Agent], limit: int, memory: Memory) -> None:
    """Find out when each was heard of last."""
    of_job: dict[str, list[Agent]] = {}
    for one in agents:
        over = one.facts.status in briefs.ENDED and not one.claimed
        if not over and one.job_id is not None and names.is_safe(one.job_id):
            of_job.setdefault(one.job_id, []).append(one)
    for job, some in of_job.items():
        seen = memory.seen.setdefault((key, job), {})
        unknown = {name for one in some for name in heard_as(one)} - seen.keys()
        if unknown:
            memory.reads_log(store, key, job)
            seen.update(dict.fromkeys(unknown, 0))
            seen.update(last_seen.moments(store, key, job, unknown, limit))
        for one in some:
            moments = (one.last, *(seen.get(name) for name in heard_as(one)))
            one.last = max(filter(None, moments), default=None)


def heard_as(one: Agent) -> list[str]:
    """Return the names whose events are an agent's signs of life."""
    # An agent may work on one item after the other: its session's own events say more, if it has one.
    known = one.facts.status is not None
    return [name for name in (one.session_id, None if known else one.agent_id) if name]


def judge(agents: list[Agent], now: int, stuck_after: int) -> None:
    """Set each agent's state, by when it was heard of last, too."""
    for one in agents:
        one.facts = replace(one.facts, last=one.last)
    judge_again(agents, now, stuck_after)


def compare(place: Place, agents: list[Agent], memory: Memory, broken: Broken) -> None:
    """Count the commits that each has ahead of and behind its base."""
    bases: dict[str, list[str]] = {}
    for one in agents:
        if one.head is not None and one.base is not None and one.base not in bases:
            name = one.base
            bases[name] = [f"refs/heads/{name}", f"refs/remotes/{name}", name]
    asked = [revision for some in bases.values() for revision in some]
    asked += [one.head for one in agents if one.head is not None and one.base is not None]
    try:
        there = divergence.resolve(place, asked)
        pairs = {}
        for number, one in enumerate(agents):
            base = next((there[n] for n in bases.get(one.base or "", ()) if n in there), None)
            if base is not None and one.head in there:
                pairs[number] = (there[one.head], base)
        counted = memory.diverged(place, frozenset(pairs.values()))
    except ProdigyError as error:
        broken(str(error))
        return
    for number, pair in pairs.items():
        if pair in counted:
            agents[number].ahead, agents[number].behind = counted[pair]


def look_for_changes(agents: list[Agent]) -> None:
    """Find out whose worktrees have something that is not committed."""
    from concurrent.futures import ThreadPoolExecutor  # brings logging with it

    some = [one for one in agents if one.worktree is not None and not one.missing]
    with ThreadPoolExecutor(_LOOKERS) as pool:
        for one, dirty in zip(
            some, pool.map(lambda one: is_dirty(one.worktree), some), strict=True
        ):
            one.dirty = dirty


def is_dirty(path: str | None) -> bool | None:
    """Whether a worktree has changed or untracked files; None where git cannot tell."""
    place = gitdir.find(path, {}) if path is not None and os.path.isdir(path) else None
    if place is None:
        return None
    try:
        status, out, _ = ask.look(place, "status", "--porcelain", "-z", "--no-renames")
    except ProdigyError:
        return None
    return bool(out) if status == 0 else None
