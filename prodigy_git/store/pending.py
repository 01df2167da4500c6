"""What git knows and the log does not have yet: of which sessions that can be, and recording it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.record import underway
from prodigy_git.store import enrolled, sessions
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Synced:
    """What `record` did for a session.

    ``recorded`` counts the commits that it recorded itself; None where there was nothing to read, since
    git has no such worktree (any more). ``error`` says why a session may lack something.
    """

    session_id: str
    job_id: str
    recorded: int | None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields under the names that all commands use."""
        return {
            "session_id": self.session_id,
            "job_id": self.job_id,
            "recorded_now": self.recorded,
            "error": self.error,
        }


def of_session(store: str, name: str) -> list[str]:
    """Return the session ``name`` alone. Raises `ProdigyError` where there is none."""
    return [sessions.load(store, name).id]


def of_repository(store: str, repo: str) -> list[str]:
    """Return the sessions of a repository that have a worktree, or a recorder under way."""
    found = {there.session for there in enrolled.in_repositories(store, [repo])}
    return sorted(found | _marked(store, repo, None))


def of_job(store: str, repo: str, job: str) -> list[str]:
    """Return the sessions of a job that have a worktree, or a recorder under way."""
    there = enrolled.in_repositories(store, [repo])
    found = {one.session for one in there if one.job == job}
    return sorted(found | _marked(store, repo, job))


def of_store(store: str) -> list[str]:
    """Return the sessions of all repositories that have a worktree, or a recorder under way."""
    try:
        repos = sorted(filter(names.is_safe, os.listdir(f"{store}/state")))
    except FileNotFoundError:
        repos = []
    found = {there.session for there in enrolled.in_repositories(store, repos)}
    return sorted(found | _marked(store, None, None))


def has_job(store: str, repo: str, job: str) -> bool:
    """Whether a job has left anything in the store."""
    return any(
        os.path.isdir(folder)
        for folder in (layout.job_log(store, repo, job), layout.job_state(store, repo, job))
    )


def _marked(store: str, repo: str | None, job: str | None) -> set[str]:
    """Return the sessions that a recorder was woken for and is not through with."""
    found = set()
    for name in {name for name, _ in underway.marks(store)}:
        try:
            one = sessions.load(store, name)
        except (ProdigyError, names.BadName, OSError):
            continue
        if repo in (None, one.text("repo")) and job in (None, one.job):
            found.add(name)
    return found


def record(store: str, wanted: Iterable[str], broken: Broken) -> list[Synced]:
    """Record what the sessions ``wanted`` lack, and wait for recorders whose worktree is gone.

    Returns what was done for each; trouble is reported to ``broken`` too. Never raises for one session.
    """
    known = sessions.Known()
    done = []
    for name in wanted:
        job = ""
        try:
            found = sessions.load(store, name)
            job = found.job
            count = sessions.record_pending(store, found, known)[1]
            done.append(Synced(name, job, count))
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"session {name}: could not be brought up to date ({error})")
            done.append(Synced(name, job, None, str(error)))
    return done
