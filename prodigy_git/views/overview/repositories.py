"""What there is to see of repositories: jobs, agents, what waits; `advice` says what to do about it.

One function, `of_store`, for whoever shows it. It reads job states without their locks, session files
in brief, git's files, and asks git a fixed number of questions per repository.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from prodigy_git import layout
from prodigy_git.cleanup.trash.unfinished import HalfWay
from prodigy_git.jobs import prodigy_runs, summary
from prodigy_git.prodigy import sessions as prodigys_sessions
from prodigy_git.record import clock, files, gitdir, jsonline
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs, edits, events, home, other_hosts, other_sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken
from prodigy_git.store.other_hosts import Hosts
from prodigy_git.views import trouble
from prodigy_git.views.overview import agents, doubts, elsewhere, logs, surroundings
from prodigy_git.views.overview.agents import Agent
from prodigy_git.views.overview.elsewhere import HostRow
from prodigy_git.views.overview.logs import WELL, Said
from prodigy_git.views.overview.memory import Memory


@dataclass
class Repository:
    """One repository of the store; ``common`` is None where its git directory is not there."""

    key: str
    common: str | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)
    """As `summary.of`; ``queued``: how many items wait in the dead letter queue."""
    ended_jobs: int = 0
    agents: list[Agent] = field(default_factory=list)
    """Trouble first (`agents.by_trouble`); ended ones only if asked for."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(trouble.ORDER, 0))
    """Agents by state, all of them."""
    checkouts: list[Agent] = field(default_factory=list)
    """People's own (`record.persons`): they are no agents, and not counted."""
    same_files: list[edits.Same] = field(default_factory=list)
    """Files that programs have edited in several worktrees at once, those edited last first."""
    trash: int = 0
    trash_bytes: int = 0
    trash_measured: bool = True
    """Whether ``trash_bytes`` is all of it."""
    hooks: list[str] = field(default_factory=list)
    """What is wrong with each hook that is not in effect."""
    half_way: list[HalfWay] = field(default_factory=list)
    """Removals and restores that were interrupted."""
    unenrolled: list[str] = field(default_factory=list)
    """Paths of linked worktrees that belong to no session."""
    finished_worktrees: int = 0
    """Of sessions that have ended well."""
    here: str | None = None
    """What this host is called, where a hub has others too."""
    hosts: list[HostRow] = field(default_factory=list)
    """The others that have anything in their hands, or can have."""


@dataclass(frozen=True)
class Wish:
    """What is to be looked at. ``stuck_after`` is in microseconds; ``ended`` lists those, too.

    ``around``: also at hooks, trash and worktrees that belong to nobody. ``watched``: what is found is
    judged again as time passes (`agents.judge_again`).
    """

    job: str | None = None
    dirty: bool = False
    stuck_after: int = trouble.STUCK_AFTER
    ended: bool = False
    around: bool = True
    watched: bool = False


def here(cwd: str) -> tuple[str, str | None, Place]:
    """Return (store, repository key, its place) of the repository around ``cwd``; takes no new key.

    The key is None for a repository that the store knows nothing of. Raises `ProdigyError` outside.
    """
    from prodigy_git.git import repository

    place = gitdir.find(cwd, {}) or repository.find(cwd)
    there = home.enrolled(place)
    if there is not None and there.known:
        return there.store, there.repo, place
    store = home.named()
    return store, prodigy_runs.key_here(store, place.common), place


def of_store(
    store: str, keys: Iterable[str], wish: Wish, memory: Memory, broken: Broken
) -> list[Repository]:
    """Return what there is to see of repositories, in their order; damage is reported to ``broken``.

    ``memory`` is what was found out before, where the same is looked at again and again.
    """
    chosen = list(keys)
    sessions = briefs.read_all(store, broken, memory.briefs)
    # With a session of ours in its worktree, one of Prodigy's is told by that.
    recorded = {one.prodigy_session for one in sessions} - {None}
    sessions = [_as_prodigy_left_it(one) for one in sessions if one.id not in recorded]
    jobs = {pair for key in chosen for pair in events.jobs(store, key)}
    of_key: dict[str, list[Brief]] = {key: [] for key in chosen}
    for one in sessions:
        # Prodigy's own sessions name no repository: they are where their job is.
        key = one.repo or next((k for k in chosen if (k, one.job) in jobs), "")
        if key in of_key:
            of_key[key].append(one)
    hosts = other_hosts.known(store)
    return [_repository(store, key, of_key[key], wish, hosts, memory, broken) for key in chosen]


def _as_prodigy_left_it(one: Brief) -> Brief:
    """Return a session as it will be ended: Prodigy removes the worktree of an agent that is done."""
    if one.prodigy_session is None or one.agent is None or one.over:
        return one
    if one.worktree is None or os.path.lexists(one.worktree):
        return one
    return msgspec.structs.replace(one, status="Completed" if one.commits else "Cancelled")


def _repository(
    store: str,
    key: str,
    sessions: list[Brief],
    wish: Wish,
    hosts: Hosts,
    memory: Memory,
    broken: Broken,
) -> Repository:
    found = Repository(key, prodigy_runs.common_of(store, key))
    if found.common is not None and not os.path.isdir(found.common):
        broken(f"repository {key}: {found.common} is gone")
        found.common = None
    said, everybody, sessions = looked_at(store, key, found.common, sessions, wish, memory, broken)
    found.jobs, found.ended_jobs = said.jobs, said.ended
    # There may be thousands that have ended: they are counted, and that is it.
    shown = {one.session_id for one in everybody}
    agents_own = [one for one in sessions if not one.persons]
    found.counts["finished"] = sum(one.id not in shown for one in agents_own)
    found.finished_worktrees = sum(
        one.status in WELL and os.path.isdir(one.worktree or "") for one in agents_own
    )
    found.same_files = edits.same(
        {one.session_id: one.activity.edited for one in everybody
         if one.session_id is not None and one.activity is not None}
    )  # fmt: skip
    if hosts.several():
        found.here = hosts.named(None)
        others = _elsewhere(store, key, said, wish, hosts, memory)
        found.hosts = elsewhere.rows(hosts, others)
        everybody += [one for one in others if wish.ended or elsewhere.worth_a_row(one)]
    found.checkouts = [one for one in everybody if one.persons]
    everybody = [one for one in everybody if not one.persons]
    for one in everybody:
        found.counts[one.state] += 1
    found.agents = [one for one in everybody if wish.ended or one.state != "finished"]
    found.checkouts = [one for one in found.checkouts if wish.ended or one.state != "finished"]
    # A job that nobody opened nobody will end, either: it is over when its agents are.
    at_work = {one.job_id for one in everybody if one.state != "finished"}
    if not wish.ended and wish.job is None:
        there = [
            job
            for job in found.jobs
            if job["opened"] or job["prodigy"] is not None or job["job_id"] in at_work
        ]
        found.ended_jobs += len(found.jobs) - len(there)
        found.jobs = there
    if found.common is not None:
        place = Place(found.common, found.common, found.common)
        agents.compare(place, found.agents, memory, broken)
        if wish.dirty:
            agents.look_for_changes(found.agents)
        if wish.around:
            found.hooks = surroundings.hooks(found.common)
            found.unenrolled = surroundings.unenrolled(found.common)
            if found.unenrolled:
                theirs = prodigys_sessions.worktrees(store, key)
                found.unenrolled = [
                    path for path in found.unenrolled if os.path.realpath(path) not in theirs
                ]
    found.agents.sort(key=agents.by_trouble)
    if wish.around:
        waiting = surroundings.trash(store, key, broken)
        found.trash, found.trash_bytes, found.trash_measured = waiting
        found.half_way = surroundings.half_way(store, key, lambda _: None)  # just reported
    return found


def _elsewhere(
    store: str, key: str, said: Said, wish: Wish, hosts: Hosts, memory: Memory
) -> list[Agent]:
    """Return the agents on other hosts, judged; people's own checkouts there are none."""
    sessions = [
        one
        for one in other_sessions.read(store, key, ended=wish.ended)
        if wish.job in (None, one.job) and not one.persons
    ]
    found = elsewhere.everybody(key, sessions, said, hosts)
    now = clock.now()
    agents.hear(store, key, found, now - wish.stuck_after, memory)
    agents.judge(found, now, wish.stuck_after)
    elsewhere.believe_leases(found)
    return found


def looked_at(
    store: str,
    key: str,
    common: str | None,
    sessions: list[Brief],
    wish: Wish,
    memory: Memory,
    broken: Broken,
) -> tuple[Said, list[Agent], list[Brief]]:
    """Return what the logs say, all agents, judged, and the sessions that were meant.

    Of sessions that have ended well only those that have an item are agents, or with `Wish.ended` all.
    Whoever seems to be in trouble has been looked at again (`doubts`).
    """
    if wish.job is not None:
        sessions = [one for one in sessions if one.job == wish.job]
    jobs = _jobs(store, key, sessions, wish)

    def look(some: list[Brief], jobs: list[str], broken: Broken) -> tuple[Said, list[Agent]]:
        ended = wish.ended or wish.job is not None
        said = logs.read(store, key, jobs, some, memory, broken, ended=ended)
        at_hand = {one.session for held in said.held.values() for one in held}
        if not wish.ended:
            some = [one for one in some if one.status not in WELL or one.id in at_hand]
            some = [one for one in some if one.job not in said.at_rest]
        now = clock.now()
        found = agents.everybody(store, key, common, some, said, memory, broken)
        agents.hear(store, key, found, now - wish.stuck_after, memory)
        agents.judge(found, now, wish.stuck_after)
        return said, found

    def again(some: list[Agent]) -> list[Agent]:
        memory.look_again(
            store, key, [(one.job_id, name) for one in some for name in agents.heard_as(one)]
        )
        names = [one.session_id for one in some if one.session_id is not None]
        known = briefs.read_some(store, names, memory.briefs)
        where = {one.job_id for one in some}
        return look(known, [one for one in jobs if one in where], lambda _: None)[1]

    said, found = look(sessions, jobs, broken)
    return said, doubts.settled(found, again, watched=wish.watched), sessions


def _jobs(store: str, key: str, sessions: list[Brief], wish: Wish) -> list[str]:
    """Return the jobs to be looked at: not those that are one session's own."""
    logged = {job for _, job in events.jobs(store, key) if not _is_empty(store, key, job)}
    there = set(summary.known(store, key)) | logged
    if wish.job is not None:
        return [wish.job] if wish.job in there else []
    own = {one.id for one in sessions} | other_sessions.ids(store, key)
    # Of sessions that have been cleaned the mapping still tells.
    with contextlib.suppress(OSError, ValueError):
        own |= jsonline.decode_object(files.read(layout.session_to_job(store, key))).keys()
    return sorted(there - own)


def _is_empty(store: str, key: str, job: str) -> bool:
    """Whether a log is what Prodigy leaves of a session of whose agent it logged nothing."""
    if not job.startswith(("session-", "workflow-")):
        return False
    return not any(map(os.path.getsize, events.log_files(store, key, job)))
