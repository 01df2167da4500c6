"""Writing a job's state and checkpoints: snapshots of the fold, with the log position they are at."""

import os

from pydantic import BaseModel

from prodigy_git import layout
from prodigy_git.jobs.fold import fold
from prodigy_git.model.job import JobState, LogPosition, MapCheckpoint, SetupCheckpoint
from prodigy_git.model.session import Session
from prodigy_git.record import clock, files, jsonline, log
from prodigy_git.store import events, locked, sessions
from prodigy_git.store.events import Broken

KEPT = 10
"""How many map checkpoints of a job are kept."""


def write_setup(store: str, repo: str, opener: Session) -> None:
    """Write ``setup-checkpoint.json`` for the session that opens a job; later ones change nothing.

    prodigy-git has no set-up of its own: a job's set-up is done once its first worktree is there.
    """
    folder = layout.job_state(store, repo, opener.job)
    path = f"{folder}/setup-checkpoint.json"
    with locked.job(store, repo, opener.job):
        if os.path.exists(path):
            return
        state = _state(store, repo, opener.job, lambda _: None)
        now = clock.stamp(clock.now())
        _write(
            path,
            SetupCheckpoint(
                job_id=opener.job, completed=True, timestamp=now, position=state.position
            ),
        )
        _write(f"{folder}/job-state.json", state)
    _announce(store, repo, opener, "setup", path)


def write_map(store: str, repo: str, ended: Session, broken: Broken) -> None:
    """Write ``job-state.json`` and a map checkpoint after an agent has ended."""
    folder = layout.job_state(store, repo, ended.job)
    now = clock.stamp(clock.now())
    path = f"{folder}/map-checkpoint-{now.replace(':', '').replace('-', '')}.json"
    with locked.job(store, repo, ended.job):
        state = _state(store, repo, ended.job, broken)
        _write(f"{folder}/job-state.json", state)
        shared = state.model_dump(
            include={"completed_items", "in_progress_items", "failed_items", "agent_results"}
        )
        _write(
            path,
            MapCheckpoint(job_id=ended.job, timestamp=now, position=state.position, **shared),
        )
        _drop_oldest(folder)
    _announce(store, repo, ended, "map", path)


def _state(store: str, repo: str, job: str, broken: Broken) -> JobState:
    """Fold a job's log as it is now.

    The position counts lines per file before the events are read: what is appended meanwhile is in
    the state and again in the tail, and the fold takes an event once.
    """
    lines = {
        events.position_name(path): sum(1 for _ in events.read_file(path, lambda _: None))
        for path in events.log_files(store, repo, job)
    }
    state = fold(job, events.read_job(store, repo, job, broken))
    state.position = LogPosition(lines=lines)
    return state


def _write(path: str, document: BaseModel) -> None:
    text = jsonline.encode(document.model_dump(mode="json", exclude_none=True))
    files.replace(path, (text + "\n").encode("ascii"))


def _drop_oldest(folder: str) -> None:
    """Keep the newest checkpoints; their names sort by time."""
    found = sorted(name for name in os.listdir(folder) if name.startswith("map-checkpoint-"))
    for name in found[:-KEPT]:
        os.unlink(f"{folder}/{name}")


def _announce(store: str, repo: str, by: Session, phase: str, path: str) -> None:
    event = sessions.envelope(by, f"checkpoint:{path}", "CheckpointSaved")
    event |= {"phase": phase, "checkpoint_path": path, "version": 1}
    log.append(store, repo, by.job, [event])
