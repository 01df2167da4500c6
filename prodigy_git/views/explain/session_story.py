"""The story of a session: from its base to its end, and where what it made is now."""

import os
from typing import TYPE_CHECKING, Any

from prodigy_git import layout
from prodigy_git.jobs import attempts, prodigy_runs
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.prodigy.sessions import MADE_BY
from prodigy_git.record import clock
from prodigy_git.transcripts import of_sessions
from prodigy_git.views.explain import program_stretches, where_now
from prodigy_git.views.explain.item_story import attempt_of, commits_of, counted
from prodigy_git.views.explain.scope import Job, Scope, text, unique
from prodigy_git.views.overview import program_states

if TYPE_CHECKING:
    from prodigy_git.prodigy.runs import Run

_OF_NOTE = frozenset((
    "SessionStarted", "SessionFinished", "AgentStarted", "AgentCompleted", "AgentFailed",
    "AgentRetrying", "ClaimReleased", "WorktreeCreated", "WorktreeCleaned", "WorktreeRestored",
    "WorktreeMerged", "WorktreeMergeUndone", "MergeConflict", "MergeCheckFailed",
    "BranchPushed", "BranchNotPushed",
    "WorkItemProcessed", "CommitCreated", "CommitsRewritten", "DLQItemAdded",
))  # fmt: skip


def job_of(document: dict[str, Any]) -> str | None:
    """Return the job that a session's file names."""
    data = document.get("mapreduce_data")
    metadata = document.get("metadata")
    for fields in (data, metadata):
        if isinstance(fields, dict) and (found := text(fields, "job_id")) is not None:
            return found
    return text(document, "id")


def story(where: Scope, name: str, known: list[Job]) -> dict[str, Any]:
    """Return what is known of a session; ``file`` says whether its file is there and sound.

    ``repo``, ``job_id``, ``agent_id``, ``item_id``, ``status``, ``error``, ``started_at``,
    ``ended_at``, ``created_by``, ``persons`` (whether it is a person's own checkout), ``branch``,
    ``branch_exists``, ``base_branch``, ``base_commit``, ``parent_session_id``, ``checkpoints`` (how
    many are kept), ``commits`` and ``attempts`` as `attempt_of` has them, ``life`` (the events of note,
    and what agent programs did between them, in time order), ``events`` (how many there are by type),
    ``worktree`` (its path, where it is now, or was) and ``worktree_state`` (there, trash, gone, or
    elsewhere: then it is on ``host``),
    ``salvage_refs``, ``logs``, ``next``,
    ``activity`` (what an agent program does there).
    """
    found = where_now.of_file(where, name)
    run = _run_of(where, found)
    if run is not None:
        found |= {
            "job_id": run.job_id, "repo": prodigy_runs.key_of(where.store, run),
            "branch": run.branch, "base_branch": run.target, "worktree_path": run.worktree,
            "created_by": MADE_BY,
        }  # fmt: skip
    jobs = known or _jobs_of(where, found)
    told = unique(list(where.read(Selection(sessions=frozenset((name,))), jobs)))
    if found["started_at"] is None and told:
        found |= _of_events(told, jobs)
    made = [one for one in attempts.of_events(told) if name in (one.session_id, None)]
    shown = [attempt_of(one) for one in made]
    found["attempts"] = [one for one in shown if one["item_id"] or one["agent_id"]]
    found["commits"] = commits_of(told)
    found["life"] = program_stretches.life(told, _OF_NOTE)
    found["events"] = counted(told)
    found["logs"] = _logs(where, found, shown)
    found["salvage_refs"], found["branch_exists"] = where_now.refs(where, name, found)
    found["worktree_state"], found["worktree"] = where_now.worktree(where, name, found)
    found["activity"] = _activity(where, name, found)
    if run is not None and run.exists:
        found["worktree_state"] = "there"
    found["next"] = (
        _next(name, found) if run is None else prodigy_runs.goes_on_with(where.store, run)
    )
    del found["session"], found["worktree_path"]
    found["parent_session_id"] = found.pop("parent_session", None)
    return found


def _activity(where: Scope, name: str, found: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an agent program does there; None of a session that has ended, or is not known."""
    known = found["session"]
    if known is None or known.ended:
        return None
    one = (found["repo"], known.job, name, found["worktree"], known.persons)
    doing = program_states.of_sessions(where.store, [one], where.report).get(name)
    return None if doing is None else doing.as_json(clock.now())


def _run_of(where: Scope, found: dict[str, Any]) -> "Run | None":
    """Return the run of Prodigy's that a session is; None for one of ours."""
    known = found["session"]
    if known is None or found["created_by"] != MADE_BY:
        return None
    return prodigy_runs.of_session(where.store, known.id, where.report)


def _of_events(told: list[Event], jobs: list[Job]) -> dict[str, Any]:
    """Return what the log alone says, where the session's file is gone or was never here."""
    started = next((one for one in told if one.type == "SessionStarted"), None)
    finished = next((one for one in reversed(told) if one.type == "SessionFinished"), None)
    made = next((one for one in reversed(told) if one.type == "CommitCreated"), None)
    return {
        "repo": jobs[0][0] if len({repo for repo, _ in jobs}) == 1 else None,
        "job_id": next((one.job_id for one in told if one.job_id), None),
        "agent_id": next((one.agent_id for one in told if one.agent_id), None),
        "item_id": next((one.item_id for one in told if one.item_id), None),
        "started_at": told[0].timestamp,
        "created_by": None if started is None else text(started.own(), "created_by"),
        "base_commit": None if started is None else text(started.own(), "base"),
        "branch": None if made is None else text(made.own(), "branch"),
        "status": None if finished is None else text(finished.own(), "status"),
        "ended_at": None if finished is None else finished.timestamp,
    }


def _jobs_of(where: Scope, found: dict[str, Any]) -> list[Job]:
    """Return the job that the session's file names; without a file all that are looked at."""
    if found["job_id"] is None:
        return where.jobs
    if found["repo"] is not None:
        return [(found["repo"], found["job_id"])]
    return [one for one in where.jobs if one[1] == found["job_id"]] or where.jobs


def _logs(where: Scope, found: dict[str, Any], shown: list[dict[str, Any]]) -> list[str]:
    """Return where the agent's and the command's output is: what was recorded, and `run`'s if there."""
    logs = [one["log"] for one in shown if one["log"]]
    known = found["session"]
    if known is not None and found["repo"] is not None:
        path = layout.run_log(where.store, found["repo"], found["job_id"], known.id)
        if os.path.exists(path):
            logs.append(path)
        there = of_sessions.of_session(where.store, known.id)
        logs += [] if there is None else [one.path for one in there.sources]
    return list(dict.fromkeys(logs))


def _next(name: str, found: dict[str, Any]) -> list[str]:
    state, ended = (
        found["worktree_state"],
        found["status"] in ("Completed", "Failed", "Cancelled"),
    )
    if state == "trash" or (state == "gone" and found["salvage_refs"]):
        return [f"'prodigy-git worktree restore {name}' brings the worktree back"]
    if not found["file"]:
        return []
    if state == "gone" and not ended:
        return [f"'prodigy-git resume {name}' makes the worktree again from its branch"]
    if state == "there" and ended:
        return [f"'prodigy-git worktree show {name}' says what 'worktree clean' would do"]
    if state == "there" and not found["persons"]:
        return [f"'prodigy-git finish {name}' ends it"]
    return []
