"""What Prodigy ran: each MapReduce job and each sequential workflow, as one list."""

import os
from dataclasses import dataclass
from typing import Any, Literal

from prodigy_git import layout, names
from prodigy_git.prodigy import found, reading
from prodigy_git.prodigy.found import AGENT, Folders, sessions_under
from prodigy_git.prodigy.owners import Owners
from prodigy_git.prodigy.reading import Broken, inner, text
from prodigy_git.prodigy.worktree_states import (
    WorktreeState,
    is_there,
    worktree_state,
)
from prodigy_git.record import clock, gitdir, prodigys
from prodigy_git.record.gitdir import Place

Kind = Literal["MapReduce", "Workflow"]
State = Literal["open", "interrupted", "completed", "failed", "cancelled", "unknown"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of Prodigy's; times as its files have them, with their nanoseconds."""

    job_id: str
    """A MapReduce's id; of a sequential workflow the session's, which Prodigy resumes it by."""
    kind: Kind
    key: str
    """The folder below ``events/``, ``dlq/``, ``state/``, and ``worktrees/`` for the agents."""
    repo: str | None
    """The store's key for the repository; None where it has none, or cannot be proven."""
    common: str | None
    """The repository's common git directory, where it is known."""
    session_id: str | None
    workflow: str | None
    """The workflow's name, which Prodigy notes for sequential ones only."""
    state: State
    """``open``: neither ended nor interrupted, which a run that was killed is too, and one that goes
    on; ``unknown``: no file speaks of it."""
    began: str | None
    ended: str | None
    """When it ended or was interrupted."""
    error: str | None
    branch: str | None
    target: str | None
    """The branch that it came from, and is to be merged to."""
    worktree: str | None
    """Where the run's own worktree is, or was."""
    exists: bool
    """Whether that is there."""
    events: str
    """The folder of its events."""
    queues: tuple[str, ...]
    """The folders that its dead letters may be in."""
    checkpoints: str
    """The folder of its checkpoints."""


def runs(
    store: str,
    repo: str | None = None,
    *,
    kind: Kind | None = None,
    broken: Broken = reading.quiet,
) -> list[Run]:
    """Return Prodigy's runs, oldest first; with ``repo`` those of the repository with that key.

    A run whose repository cannot be proven is in the list of the whole store only. With ``kind`` those
    of that kind; to look for MapReduces alone no session's files are read but theirs.
    """
    return _runs(store, repo, None, broken, kind)


def run_of(
    store: str, repo: str | None, job_id: str, *, broken: Broken = reading.quiet
) -> Run | None:
    """Return the run with a job's id, the last one where there are several; None: there is none."""
    if not names.is_safe(job_id):
        return None
    there = _runs(store, repo, job_id, broken)
    return there[-1] if there else None


def _runs(
    store: str, repo: str | None, job: str | None, broken: Broken, kind: Kind | None = None
) -> list[Run]:
    there = found.look(store, job, broken)
    owners = Owners(store, repo)
    made = []
    for key, name in there.jobs if kind != "Workflow" else ():
        one = _run(store, owners, there, "MapReduce", key, name, broken)
        if one is not None:
            made.append(one)
    reduced = {key for key, _ in there.jobs}
    sequential = {
        name
        for name in (*there.workflows, *there.parents)
        if kind != "MapReduce"
        and job in (None, name)
        and name not in reduced
        and not _is_reduced(store, name)
    }
    for name in sorted(sequential):
        one = _run(store, owners, there, "Workflow", name, name, broken)
        if one is not None:
            made.append(one)
    return sorted(made, key=lambda run: (run.began or "", run.job_id))


def _is_reduced(store: str, session: str) -> bool:
    """Whether a session is a MapReduce's, though its jobs are not among those that were asked for."""
    return any(
        not prodigys.is_run(job)  # what a resumed workflow's agent says has a log, too
        for top in ("events", "dlq")
        for job in reading.folders(store, f"{store}/{top}/{session}", reading.quiet)
    )


def _run(
    store: str, owners: Owners, there: Folders, kind: Kind, key: str, job: str, broken: Broken
) -> Run | None:
    """Return one run; None where it is another repository's than the one asked for."""
    session = key if key in there.parents or kind == "Workflow" else None
    above = None if session is None else there.parents.get(session)
    if session is None and key.startswith("session-") and not _is_repository(store, key):
        session = key  # its state is gone, or was cleaned; the name is the session's all the same
    if above is not None and session is not None and not owners.may_be(above, session):
        return None
    state = (
        None
        if above is None or session is None
        else worktree_state(store, above, session, broken=broken)
    )
    common, owner = owners.of(key, above, session, state)
    if owners.wanted is not None and owner != owners.wanted:
        return None
    fields = (
        {}
        if session is None
        else reading.document(store, layout.session(store, session), broken) or {}
    )
    if kind == "Workflow" and not prodigys.wrote(inner(fields, "metadata")):
        return None  # ours, which somebody has called like that
    if fields.get("id", session) != session:
        broken(f"{layout.session(store, session or '')} holds another session: passed over")
        fields = {}
    return Run(
        job_id=job,
        kind=kind,
        key=key,
        repo=owner,
        common=common,
        session_id=session,
        workflow=text(inner(fields, "workflow_data"), "workflow_name"),
        state=_state(fields, state),
        began=text(fields, "started_at")
        or (state.created_at if state else None)
        or _named_time(job),
        ended=_ended(fields, state),
        error=text(fields, "error") or (state.error if state else None),
        branch=state.branch if state else _own_branch(common, session),
        target=(state.original_branch or None) if state else None,
        worktree=state.worktree if state else None,
        exists=state is not None and is_there(state),
        events=layout.job_log(store, key, job),
        queues=tuple(found.queue_folders(store, key, job)) if kind == "MapReduce" else (),
        checkpoints=(
            layout.job_state(store, key, job)
            if kind == "MapReduce"
            else f"{layout.state(store, key)}/checkpoints"
        ),
    )


def _own_branch(common: str | None, session: str | None) -> str | None:
    """Return the branch of a session whose state Prodigy has removed; None where that is gone, too."""
    if common is None or session is None:
        return None
    name = f"{prodigys.BRANCH}{session}"
    return None if gitdir.tip(Place(common, common, common), name) is None else name


def state_at(store: str, top: str) -> tuple[str, State]:
    """Return the session of the worktree of Prodigy's at ``top``, and the state that its run is in.

    For whoever asks about one worktree: two files are read. An agent's is in its run's state.
    """
    above, name = os.path.split(top)
    session, keys = name, [os.path.basename(above)]
    if name.startswith(AGENT):
        session = keys[0]
        keys = reading.folders(store, f"{store}/worktrees", reading.quiet)
    fields = reading.document(store, layout.session(store, session), reading.quiet) or {}
    states = (worktree_state(store, key, session) for key in keys)
    state = next((one for one in states if one is not None), None)
    return session, _state(fields, state)


def _is_repository(store: str, key: str) -> bool:
    return os.path.lexists(layout.repository(store, key))


def _state(fields: dict[str, Any], state: WorktreeState | None) -> State:
    status = fields.get("status")
    noted = None if state is None else state.status
    if status in ("Completed", "Failed", "Cancelled"):
        ended: dict[str, State] = {
            "Completed": "completed", "Failed": "failed", "Cancelled": "cancelled",
        }  # fmt: skip
        return ended[status]
    if noted in ("completed", "merged", "cleaned_up"):
        return "completed"
    if noted in ("failed", "abandoned"):
        return "failed" if noted == "failed" else "cancelled"
    if status == "Paused" or noted == "interrupted":
        return "interrupted"
    return "open" if status in ("Running", "Initializing") or noted else "unknown"


def _ended(fields: dict[str, Any], state: WorktreeState | None) -> str | None:
    ended = text(fields, "completed_at")
    if ended is None and state is not None:
        ended = state.interrupted_at or state.merged_at
    return ended


def _named_time(job: str) -> str | None:
    """Return the time that Prodigy calls a job after: ``mapreduce-20250111_120000``, in UTC."""
    stamp = job.removeprefix("mapreduce-")
    day, _, time = stamp.partition("_")
    if len(day) != 8 or len(time) != 6 or not (day + time).isdigit():
        return None
    made = f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
    return made if clock.parse(made) is not None else None


def agents(store: str, run: Run, *, broken: Broken = reading.quiet) -> dict[str, str]:
    """Return the agents of a MapReduce that have left a worktree's state: agent's id by item's id.

    Prodigy numbers a job's items from 0 and calls both by that number.
    """
    found_agents = {}
    for session in sessions_under(store, run.key, broken):
        agent = session.removeprefix(AGENT)
        number = agent.removeprefix(f"{run.job_id}_agent_")
        if agent != session and number != agent and number.isdigit():
            found_agents[f"item_{int(number)}"] = agent
    return found_agents


def agent_states(
    store: str, run: Run, *, broken: Broken = reading.quiet
) -> dict[str, WorktreeState]:
    """Return the states of the agents' worktrees of a MapReduce, by the id of the agent's item."""
    states = {}
    for item, agent in agents(store, run, broken=broken).items():
        state = worktree_state(store, run.key, AGENT + agent, broken=broken)
        if state is not None:
            states[item] = state
    return states
