"""The stories of a work item and of an agent: attempt by attempt."""

from typing import Any

from prodigy_git import duration, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import attempts, books, dead_letters, holders, peek, prodigy_runs
from prodigy_git.jobs.attempts import Attempt
from prodigy_git.jobs.index import Index
from prodigy_git.lifecycle import whereabouts
from prodigy_git.model.dlq import Item
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.names import BadName
from prodigy_git.record import clock
from prodigy_git.views.explain import item_now, where_now
from prodigy_git.views.explain.scope import Job, Scope, text, unique

_OTHERS = 10
"""How many of the items that it waits for advice is given on."""
_UNNAMED = 3
"""How many agents' own events are read for ends that do not name their item."""


def of_item(where: Scope, name: str, known: list[Job]) -> dict[str, Any]:
    """Return what is known of a work item.

    ``repo``, ``job_id``, ``attempts`` as `attempt_of` and `where_now.of_session`, ``state`` (None where
    the job gives no state), ``attempt``, ``max_attempts``, ``since_at``, ``agent_id``, ``alive``,
    ``lease_ends_at``, ``retry_at``, ``data``, ``late``, ``events`` as `counted`, ``queue`` (as in the
    queue's file, None where it is not in it), ``holder``, ``completed_by``, ``why_free`` and
    ``waits_for`` as `item_now.of`, the first two with `where_now.of_session` of their session;
    ``next``. Raises `ProdigyError` where several jobs have such an item and none is meant here.
    """
    repo, job = _one_job(where, name, known)
    found: dict[str, Any] = {
        "repo": repo, "job_id": job, "state": None, "attempt": None, "max_attempts": None,
        "since_at": None, "agent_id": None, "alive": None, "lease_ends_at": None, "retry_at": None,
        "data": None, "late": 0, "queue": None, **item_now.NOTHING,
    }  # fmt: skip
    run: dict[str, Any] | None = None
    unlogged: list[Event] = []
    try:
        with peek.opened(where.store, repo, job, where.report) as index:
            found |= _state(index, name)
            if found["state"] == "dead":
                found["queue"] = (
                    _queued(where, repo, job, name)
                    if index.run is None
                    else _letter(prodigy_runs.queue(index, where.report).items, name)
                )
            unlogged = prodigy_runs.events_of(index, name)
            run = None if index.run is None else prodigy_runs.shown(index, index.run)
    except (ProdigyError, OSError) as error:
        where.report(str(error))  # what the log says is told all the same
    told = unique(list(where.read(Selection(items=frozenset((name,))), [(repo, job)])))
    made = attempts.of_events([*told, *unlogged])
    if found["state"] not in (None, "pending", "in_progress"):
        ends = _unnamed_ends(where, (repo, job), made)
        if ends:
            made = attempts.of_events(unique([*told, *ends]))
    mine = [one for one in made if one.item_id == name]
    branches = {
        event.session_id: branch
        for event in told
        if (branch := text(event.own(), "branch")) is not None and event.session_id is not None
    }
    found["attempts"] = [
        {**attempt_of(one), **_place_of(where, repo, one.session_id, one.agent_id, branches)}
        for one in mine
    ]
    for which in ("holder", "completed_by"):
        if (one := found[which]) is not None:
            one |= _place_of(where, repo, one["session_id"], one["agent_id"], branches)
    found["events"] = counted(told)
    # Nothing of ours is done with an item of Prodigy's.
    found["next"] = _next(where, found, name) if run is None else run["next"]
    return found


def _place_of(
    where: Scope, repo: str, session: str | None, agent: str | None, branches: dict[str, str]
) -> dict[str, Any]:
    """Return where an attempt's work is; its branch from the log where the session's file is gone."""
    if session is None or not names.is_safe(session):
        return dict.fromkeys(("branch", "branch_exists", "worktree", "worktree_state"))
    found = where_now.of_session(where, repo, session, agent)
    del found["status"], found["persons"]
    if found["branch"] is None and session in branches:
        found["branch"] = branches[session]
        found["branch_exists"] = where_now.has_branch(where, repo, branches[session])
    return found


def _one_job(where: Scope, name: str, known: list[Job]) -> Job:
    if len(known) == 1:
        return known[0]
    try:
        _, repo, job = whereabouts.job(where.cwd, None)
    except (ProdigyError, BadName):
        repo, job = "", ""
    if (repo, job) in known:
        return repo, job
    if not known:
        raise ProdigyError(f"no job has an item {name}")
    shown = ", ".join(job if repo == where.repo else f"{repo}/{job}" for repo, job in known)
    raise ProdigyError(f"several jobs have an item {name}: give one with --job: {shown}")


def _state(index: Index, name: str) -> dict[str, Any]:
    held = holders.of_item(index, name)  # first: it brings the index up
    item = index.item(name)
    if item is None:
        return {}
    view, alive = held.get(name, (books.view(item), None))
    start = view.start
    ready = books.ready_at(item, view.attempt) if view.state == "pending" else None
    moment = None if ready is None else clock.parse(ready[0])
    retry = None if ready is None or moment is None else moment + ready[1] * 1000
    return {
        "state": view.state,
        "attempt": view.attempt,
        "max_attempts": books.last_attempt(item, index.job.max_attempts),
        "since_at": view.since,
        "agent_id": view.agent,
        "alive": alive,
        "lease_ends_at": start.lease if start is not None and view.state == "in_progress" else None,
        "retry_at": _stamp(retry),
        "data": index.data(name),
        "late": item.late,
        **item_now.of(index, name, view, retry),
    }


def _queued(where: Scope, repo: str, job: str, name: str) -> dict[str, Any] | None:
    """Return what the queue's file says of an item; it is written now and then, and may lack it."""
    return _letter(dead_letters.read(where.store, repo, job, where.report).items, name)


def _letter(queue: list[Item], name: str) -> dict[str, Any]:
    item = next((one for one in queue if one.item_id == name), None)
    if item is None:
        return {"reprocess_eligible": True, "manual_review_required": False}
    return {
        "reprocess_eligible": item.reprocess_eligible,
        "manual_review_required": item.manual_review_required,
        "error_signature": item.error_signature,
        "failure_count": item.failure_count,
    }


def _unnamed_ends(where: Scope, job: Job, made: list[Attempt]) -> list[Event]:
    """Return the ends that do not name their item, of agents whose attempts seem to have none."""
    agents = {one.agent_id for one in made if one.outcome == "running" and one.agent_id}
    found = []
    for agent in sorted(agents)[:_UNNAMED]:
        kinds = frozenset(("AgentCompleted", "AgentFailed"))
        told = where.read(Selection(agents=frozenset((agent,)), types=kinds), [job])
        found += [event for event in told if event.item_id is None]
    return found


def attempt_of(one: Attempt) -> dict[str, Any]:
    """Return an attempt: who, from when to when, how it ended, its commits and where its log is."""
    return {
        "job_id": one.job_id,
        "item_id": one.item_id,
        "agent_id": one.agent_id,
        "session_id": one.session_id,
        "attempt": one.number,
        "started_at": _stamp(one.began),
        "ended_at": _stamp(one.ended),
        "last_event_at": _stamp(one.last),
        "seconds": None if one.lasted is None else one.lasted / clock.SECOND,
        "outcome": one.outcome,
        "late": one.late,
        "error": one.error,
        "failure_reason": one.reason,
        "error_signature": one.signature,
        "log": one.log,
        "commits": [
            {
                "commit": commit.sha, "at": _stamp(commit.at), "action": commit.action,
                "subject": commit.subject, "replaced_by": commit.replaced,
            }
            for commit in one.commits
        ],
    }  # fmt: skip


def commits_of(told: list[Event]) -> list[dict[str, Any]]:
    """Return the commits that events tell of; ``replaced_by`` what replaced one, as they say."""
    replaced: dict[str, str] = {}
    for event in told:
        listed = event.own().get("rewrites") if event.type == "CommitsRewritten" else None
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("new"), str):
                replaced[str(one.get("old"))] = one["new"]
    return [
        {
            "commit": text(own, "commit"), "at": event.timestamp, "action": text(own, "action"),
            "subject": text(own, "subject"), "branch": text(own, "branch"),
            "replaced_by": replaced.get(text(own, "commit") or ""),
        }
        for event in told
        if event.type == "CommitCreated"
        for own in [event.own()]
    ]  # fmt: skip


def counted(told: list[Event]) -> dict[str, int]:
    """Return how many events there are of each type."""
    counts: dict[str, int] = {}
    for event in told:
        counts[event.type] = counts.get(event.type, 0) + 1
    return counts


def _stamp(moment: int | None) -> str | None:
    return None if moment is None else clock.stamp(moment)


def _next(where: Scope, found: dict[str, Any], name: str) -> list[str]:
    """Return what to do about it, in sentences."""
    state, job = found["state"], found["job_id"]
    if state == "pending":
        return _next_of_pending(where, found, name)
    if state == "in_progress":
        if found["alive"] is False:
            return [f"its agent is gone: 'prodigy-git resume {job}' makes it pending again"]
        again = f" --attempt {found['attempt']}" if (found["attempt"] or 1) > 1 else ""
        return [f"'prodigy-git job done {job} {name}{again}' ends it, where no 'finish' does"]
    if state == "dead":
        return [
            f"'prodigy-git dlq show {name} --job {job}' shows what is left of it",
            f"{_retrying(job, name, found['queue'])} makes it pending again",
        ]
    return []


def _next_of_pending(where: Scope, found: dict[str, Any], name: str) -> list[str]:
    why, repo, job = found["why_free"], found["repo"], found["job_id"]
    if why == "paused":
        return [f"'prodigy-git job resume {job}' hands out items again"]
    if why == "ended":
        return [f"'prodigy-git job reopen {job}' lets it go on"]
    if why != "after":
        when = f", from {duration.moment(found['retry_at'])} on" if why == "backoff" else ""
        return [f"'prodigy-git run --job {job} --item {name} -- COMMAND' works on it{when}"]
    others = found["waits_for"][:_OTHERS]
    again = [
        f"{_retrying(job, one['item_id'], _queued(where, repo, job, one['item_id']))} tries "
        "again what it waits for"
        for one in others
        if one["state"] == "dead"
    ]
    first = others[0]["item_id"]
    return again or [
        f"'prodigy-git explain {first} --as item --job {job}' says how it stands with {first}"
    ]


def _retrying(job: str, name: str, queue: dict[str, Any] | None) -> str:
    force = " --force" if _held_back(queue) else ""
    return f"'prodigy-git dlq retry {name} --job {job}{force}'"


def _held_back(queue: dict[str, Any] | None) -> bool:
    return queue is not None and (
        queue["manual_review_required"] or not queue["reprocess_eligible"]
    )


def _unlogged(where: Scope, job: Job, agent: str) -> list[Event]:
    """Return what is known of an agent of a run of Prodigy's that no log has."""
    try:
        with peek.opened(where.store, *job, where.report) as index:
            question = "SELECT id FROM items WHERE agent = ? AND state IS NOT NULL"
            names = index.rows(question, (agent,), lambda row: str(row[0]))
            return [event for one in names for event in prodigy_runs.events_of(index, one)]
    except (ProdigyError, OSError) as error:
        where.report(str(error))
        return []


def of_agent(where: Scope, name: str, known: list[Job]) -> dict[str, Any]:
    """Return what an agent did, in the jobs that are looked at.

    ``repos``, ``attempts`` as `attempt_of`, oldest first, ``commits`` as `commits_of`, ``events`` as
    `counted`, ``next``.
    """
    made: list[Attempt] = []
    all_told: list[Event] = []
    repos = set()
    for job in where.jobs:
        told = unique(list(where.read(Selection(agents=frozenset((name,))), [job])))
        if told or job in known:
            repos.add(job[0])
        if job in known and not told:
            made += attempts.of_events(_unlogged(where, job, name))
        made += [one for one in attempts.of_events(told) if one.agent_id == name]
        all_told += told
    made.sort(key=lambda one: one.began or one.ended or 0)
    return {
        "repos": sorted(repos),
        "attempts": [attempt_of(one) for one in made],
        "commits": commits_of(all_told),
        "events": counted(all_told),
        "next": [],
    }
