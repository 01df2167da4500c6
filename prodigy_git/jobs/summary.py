"""What there is to say of a job, for those who look at it; reads the index, never the whole log."""

import os
from typing import TYPE_CHECKING, Any

from prodigy_git import layout, names, tally
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, holders, index_counts, next_item, owner, peek, prodigy_runs
from prodigy_git.jobs.index import NUMBER, Index
from prodigy_git.record import clock
from prodigy_git.store import other_hosts, other_sessions
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.prodigy.runs import Run

_RECENT = 600 * clock.SECOND  # what the rate is worked out over
_SHOWN = 20


def known(store: str, repo: str) -> list[str]:
    """Return the ids of the jobs of a repository that many sessions can share, sorted.

    Not of those that have been cleaned: the input of a job may be there longer than its log. The
    MapReduces that Prodigy ran are among them.
    """
    runs = prodigy_runs.of_repository(store, repo, lambda _: None)
    return sorted({*_ours(store, repo), *(one.job_id for one in runs)})


def _ours(store: str, repo: str) -> list[str]:
    folder = f"{layout.state(store, repo)}/mapreduce/jobs"
    try:
        found = sorted(filter(names.is_safe, os.listdir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        name
        for name in found
        if os.path.isdir(layout.job_log(store, repo, name))
        or any(one.endswith(".json") for one in os.listdir(f"{folder}/{name}"))
    ]


def under_way(store: str, repo: str, broken: Broken) -> list[str]:
    """Return the ids of a repository's jobs that were opened and have not ended, sorted.

    Only of ours: nobody takes an item of a run of Prodigy's.
    """
    found = []
    for name in _ours(store, repo):
        try:
            with peek.opened(store, repo, name, broken) as index:
                if index.job.opened is not None and index.job.status not in books.ENDED:
                    found.append(name)
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"job {name}: {error}")
    return found


def is_sessions_own(store: str, head: dict[str, Any]) -> bool:
    """Whether a job, as `head` has it, is only what one session does that was given none."""
    if head["opened"] or head["total_items"]:
        return False
    if os.path.lexists(layout.session(store, head["job_id"])):
        return True
    return other_sessions.has(store, head["repo"], head["job_id"])


def line(store: str, repo: str, job: str, broken: Broken) -> dict[str, Any]:
    """Return a job in a few words: phase, status, items in each state. Raises `ProdigyError`."""
    with peek.opened(store, repo, job, broken) as index:
        return head(index)


def head(index: Index) -> dict[str, Any]:
    """Return what `line` does of an index that is open, as by `peek.opened`.

    The items in numbers are `tally.items`; ``waiting`` are those of ``pending`` that nobody can have
    yet; ``opened``: it was opened, and is not only what sessions have in common. ``program``: whose the
    job is, ``prodigy-git`` or ``prodigy``; of one of Prodigy's, ``status`` is `prodigy_runs.Run.state`.
    """
    job, run = index.job, index.run
    opening = job.opened
    return {
        "job_id": job.job_id,
        "repo": index.repo,
        "program": "prodigy-git" if run is None else "prodigy",
        "phase": job.phase if run is None else prodigy_runs.phase(index),
        "status": job.status if run is None else run.state,
        "started_at": opening.at if opening is not None else job.started_at or None,
        "updated_at": job.updated_at or None,
        "ended_at": job.ended_at or None,
        "error": job.error if run is None else run.error or job.error,
        "opened": opening is not None and run is None,
        **tally.items(_counts(index)),
        "waiting": _waiting(index),
        "max_attempts": job.max_attempts,
    }


def _counts(index: Index) -> dict[str, int]:
    """Return how many items are in each state; those that nobody has begun are pending.

    Of a job that another program opened the log alone says how many there are.
    """
    counts, opening = index.meta.counts, index.job.opened
    if opening is None or opening.items_sha256:
        return counts
    unseen = opening.total_items - sum(counts.values())
    return counts if unseen <= 0 else {**counts, "pending": counts.get("pending", 0) + unseen}


def _seconds(job: books.Job) -> float | None:
    """Return for how long a job has run, or ran; None where nobody knows when it began."""
    opening = job.opened
    begun = clock.parse(opening.at if opening is not None else job.started_at)
    if begun is None:
        return None
    until = clock.parse(job.ended_at) if job.status in books.ENDED else None
    return max(0, (clock.now() if until is None else until) - begun) / clock.SECOND


def _waiting(index: Index) -> int:
    now = clock.now()
    # Two questions, each of which an index answers alone.
    for_their_time = index.rows(next_item.COMING_COUNT, (now,))[0][0]
    return int(for_their_time + index.rows(next_item.COUNT)[0][0])


def whole(store: str, repo: str, job: str, broken: Broken) -> dict[str, Any]:
    """Return all there is to say of a job, as `of`. Raises `ProdigyError`.

    Only looks: the claims of dead agents are said to be dead, and not ended.
    """
    with peek.opened(store, repo, job, broken) as index:
        return of(index)


def of(index: Index) -> dict[str, Any]:
    """Return all there is to say of a job whose index is open, as by `peek.opened`.

    ``waiting_for_others``: how many items are to be after others that are not completed;
    ``held_up_by``: {item_id, state, waiting_count} of those others that were given up.
    ``attempts``, and of these ``failed_attempts``; ``retried_well`` are those of items that were
    completed since. ``agent_count`` as `tally.line` counts; ``commits``: how many were recorded.
    ``in_progress_items``: {item_id, agent_id, attempt, since_at, session_id, worktree, owner,
    lease_ends_at, alive}, where a hub has other hosts also host and host_id; ``agents``: {agent_id,
    in_progress, completed, failed, last_at}, how the items stand that each was the last to have;
    ``agent_id`` is None for all together that nobody named. ``failures``: of items that are not
    completed {error_signature, item_count, first_at, last_at, example, to_be_retried}; ``rates``: for
    how many seconds it has run, items ended in the last ten minutes, per minute, and when the rest will
    be done at that rate.
    """
    held = at_work(index)  # first: it brings the index up
    found = head(index)
    found["sessions"] = dict(index.rows("SELECT status, count(*) FROM sessions GROUP BY status"))
    found["commits"] = index.job.counts.get("CommitCreated", 0)
    if index.run is not None:
        found["commits"] = prodigy_runs.commits(index)
    found |= index_counts.read(index.rows)
    found["events"] = sum(index.job.counts.values())
    found["in_progress_items"] = held
    found["waiting_for_others"], found["held_up_by"] = _for_others(index)
    found["agents"] = _agents(index)
    found["failures"] = _failures(index)
    found["rates"] = _rates(index) if index.run is None else _rates_of_run(index, index.run)
    found["prodigy"] = None if index.run is None else prodigy_runs.shown(index, index.run)
    return found


def at_work(index: Index) -> list[dict[str, Any]]:
    """Return the items in progress of a job whose index is open, as `of` has them.

    Who seems to be gone is looked for once more (`holders.of_all`).
    """
    hosts = other_hosts.known(index.store)
    return [
        {
            **_in_progress(index, name, view, alive),
            **_host(index, hosts, view.start),
        }
        for name, (view, alive) in holders.of_all(index).items()
    ]


def _host(index: Index, hosts: other_hosts.Hosts, start: books.Start | None) -> dict[str, Any]:
    """Return which host a claim was made on; nothing where there is only one."""
    if not hosts.several():
        return {}
    other = owner.other_host(index.store, start)
    return {"host": hosts.named(other), "host_id": other}


def _for_others(index: Index) -> tuple[int, list[dict[str, Any]]]:
    """Return how many items wait for others, and those of the others that were given up."""
    if not index.meta.ordered:
        return 0, []
    states = {number: state for state, number in NUMBER.items()}
    rows = index.rows(next_item.HOLDING_UP, (_SHOWN,))
    return index.rows(next_item.COUNT)[0][0], [
        {"item_id": name, "state": states[state], "waiting_count": count}
        for name, state, count in rows
    ]


def _in_progress(index: Index, name: str, view: books.View, alive: bool | None) -> dict[str, Any]:
    start = view.start
    session = start.worktree or start.session if start is not None else None
    path = None
    own = owner.session_here(index.store, start)
    if own is not None and names.is_safe(own):
        key = index.repo if index.run is None else index.run.key
        path = f"{layout.worktrees(index.store, key)}/{own}"
    return {
        "item_id": name,
        "agent_id": view.agent,
        "attempt": view.attempt,
        "since_at": view.since or None,
        "session_id": session,
        "worktree": path if path is not None and os.path.isdir(path) else None,
        "owner": start.owner if start is not None else None,
        "lease_ends_at": start.lease if start is not None else None,
        "alive": alive,
    }


def _agents(index: Index) -> list[dict[str, Any]]:
    rows = index.rows(
        "SELECT agents.id, sum(state = 1), sum(state = 2), sum(state IN (3, 4)), max(at) FROM items"
        " LEFT JOIN agents ON agents.id = agent WHERE agent IS NOT NULL AND state IS NOT NULL"
        " GROUP BY agents.id ORDER BY 2 DESC, 4 DESC, 5 DESC LIMIT 1000"
    )
    keys = ("agent_id", "in_progress", "completed", "failed", "last_at")
    found = [dict(zip(keys, row, strict=True)) for row in rows]
    return [{**one, "last_at": one["last_at"] or None} for one in found]


def _failures(index: Index) -> list[dict[str, Any]]:
    rows = index.rows(
        "SELECT signature, count(*), min(nullif(at, '')), max(nullif(at, '')), min(id),"
        " sum(state IN (0, 1)) FROM items"
        " WHERE signature IS NOT NULL AND state IN (0, 1, 3, 4)"
        " GROUP BY signature ORDER BY 2 DESC, 1 LIMIT ?",
        (_SHOWN,),
    )
    keys = ("error_signature", "item_count", "first_at", "last_at", "example", "to_be_retried")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _rates_of_run(index: Index, run: "Run") -> dict[str, Any]:
    """Return the same of a run of Prodigy's, which notes no time at which an item ended."""
    seconds = prodigy_runs.lasted(run)
    ended = index.count("completed", "dead", "failed")
    return {
        "seconds": seconds,
        "ended_per_minute": round(ended * 60 / seconds, 2) if seconds else 0.0,
        "seconds_left": None,
    }


def _rates(index: Index) -> dict[str, Any]:
    """Return items per minute; over the job's life where that is shorter than ten minutes.

    Up to now, or to the job's end.
    """
    now = clock.parse(index.job.ended_at) or clock.now()
    begun = clock.parse(index.job.started_at) or now
    since = max(begun, now - _RECENT)
    ((ended,),) = index.rows(
        "SELECT count(*) FROM items WHERE state IN (2, 3, 4) AND due > ?", (since,)
    )
    minutes = (now - since) / (60 * clock.SECOND)
    rate = ended / minutes if minutes > 0 else 0.0
    left = 0 if index.job.status in books.ENDED else index.count("pending", "in_progress")
    seconds = round(left / rate * 60) if rate > 0 and left else None
    return {
        "seconds": _seconds(index.job),
        "ended_per_minute": round(rate, 2),
        "seconds_left": seconds,
    }
