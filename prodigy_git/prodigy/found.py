"""Where Prodigy's runs lie: told by the names of folders and files alone, without reading any.

A MapReduce is run in a worktree of its own, and the name of that worktree is the key of its events,
queue, state and agents' worktrees. The documents that came first say the repository's name: there too.
"""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from prodigy_git import layout
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.reading import Broken
from prodigy_git.record import prodigys

AGENT = "mapreduce-agent-"
"""How the sessions, and worktrees, of a MapReduce's agents begin."""
_NAMED = "mapreduce-%Y%m%d_%H%M%S"
"""What Prodigy calls a job."""


class Folders(NamedTuple):
    """What there is, by listing alone."""

    parents: dict[str, str]
    """By session: the folder below ``worktrees/`` that has its state. Without those of agents."""
    jobs: dict[tuple[str, str], None]
    """The (key, job) of each MapReduce, in order."""
    workflows: dict[str, None]
    """The sessions that have checkpoints of a sequential workflow, in order."""


def metadata_folder(store: str, key: str) -> str:
    """Return the folder of the worktrees' states under a key."""
    return f"{layout.worktrees(store, key)}/.metadata"


def sessions_under(store: str, key: str, broken: Broken = reading.quiet) -> list[str]:
    """Return the ids of the sessions that have such a file under a key, sorted; reads none of them."""
    return reading.documents(store, metadata_folder(store, key), ".json", broken)


def look(store: str, job: str | None, broken: Broken) -> Folders:
    """Return what Prodigy has left; with ``job`` of the jobs that one only."""
    parents: dict[str, str] = {}
    agents = set()
    for key in reading.folders(store, f"{store}/worktrees", broken):
        for session in sessions_under(store, key, broken):
            if session.startswith(AGENT):
                agents.add(key)
            elif prodigys.is_run(session):  # of our own worktrees there is such a file, too
                parents.setdefault(session, key)
    jobs: dict[tuple[str, str], None] = {}
    workflows: dict[str, None] = {}
    for key in reading.folders(store, f"{store}/events", broken):
        own = _is_ours(store, key, parents, agents)
        for name in _of(store, f"{store}/events/{key}", job, broken):
            # Prodigy opens a log for what a session's agent says, too, also where that is nothing.
            theirs = (not own and not prodigys.is_run(name)) or _has_its_log(store, key, name)
            if theirs and not _is_early_log(store, key, name):
                jobs[key, name] = None
    for key in reading.folders(store, f"{store}/dlq", broken):
        own = _is_ours(store, key, parents, agents)
        for name in _of(store, f"{store}/dlq/{key}", job, broken):
            if not own or any(map(os.path.isdir, queue_folders(store, key, name))):
                jobs[key, name] = None
    for key in reading.folders(store, f"{store}/state", broken):
        folder = f"{layout.state(store, key)}/mapreduce/jobs"
        for name in _of(store, folder, job, broken):
            if os.path.lexists(f"{folder}/{name}/metadata.json"):
                jobs[key, name] = None
        has_own = os.path.lexists(layout.repository(store, key))
        saved = f"{layout.state(store, key)}/checkpoints"
        if job in (None, key) and not has_own and os.path.isdir(saved):
            workflows[key] = None
    return Folders(parents, jobs, workflows)


def _of(store: str, folder: str, job: str | None, broken: Broken) -> list[str]:
    if job is None:
        return reading.folders(store, folder, broken)
    there = os.path.isdir(f"{folder}/{job}") and not os.path.islink(f"{folder}/{job}")
    return [job] if there else []


def _is_ours(store: str, key: str, parents: dict[str, str], agents: set[str]) -> bool:
    """Whether a key may be a repository's, whose jobs are ours unless something says otherwise."""
    if os.path.lexists(layout.repository(store, key)):
        return True
    return key not in parents and key not in agents and not key.startswith("session-")


def _has_its_log(store: str, key: str, job: str) -> bool:
    """Whether a job's log has a file that Prodigy began: ours are called by the day, or by the hour."""
    try:
        names = os.listdir(layout.job_log(store, key, job))
    except OSError:
        return False
    return not job.startswith(("session-", "workflow-")) and any(map(is_its_log, names))


def _is_early_log(store: str, key: str, name: str) -> bool:
    """Whether a log is that of a job which has its own name from the second after.

    Prodigy reads the clock for each of the two (as seen with 0.4.4). Such a log is empty, and nothing
    else in the store is called as it.
    """
    queues = f"{store}/dlq/{key}"
    if os.path.lexists(f"{queues}/{name}"):
        return False
    try:
        named = datetime.strptime(name, _NAMED)
        later = ((named + timedelta(seconds=more)).strftime(_NAMED) for more in (1, 2))
        if not any(os.path.isdir(f"{queues}/{other}") for other in later):
            return False
        with os.scandir(layout.job_log(store, key, name)) as there:
            return not any(one.stat(follow_symlinks=False).st_size for one in there)
    except (OSError, ValueError, OverflowError):
        return False


def is_its_log(name: str) -> bool:
    """Whether a log file is called as Prodigy calls its: ``events-20250111_120000.jsonl``."""
    stem = name.removeprefix("events-").removesuffix(".jsonl")
    day, line, time = stem.partition("_")
    return bool(line) and len(day) == 8 and len(time) == 6 and (day + time).isdigit()


def queue_folders(store: str, key: str, job: str) -> Iterator[str]:
    """Yield the folders that a job's queue may be in: where Prodigy writes it, and documents it."""
    yield f"{store}/dlq/{key}/{job}/mapreduce/dlq/{job}/items"
    yield f"{store}/dlq/{key}/{job}/items"
