"""What an explanation looks at: one store, and the jobs of one repository or of all."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import prodigy_runs
from prodigy_git.lifecycle import locate
from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.record import repokey
from prodigy_git.record.gitdir import Place
from prodigy_git.store import events, stream
from prodigy_git.store.events import Broken

Job = tuple[str, str]
"""Repository key, job id."""


@dataclass
class Scope:
    """A store, the folder one stands in, its repository, and the jobs that are looked at.

    ``here`` and ``repo`` are None outside of a repository; ``repo`` is, too, where the store knows
    nothing of it. ``broken`` gets a line for everything that cannot be read, each once.
    """

    store: str
    cwd: str
    here: Place | None
    repo: str | None
    jobs: list[Job]
    named: bool
    """Whether the jobs were named: then no other is looked at."""
    broken: Broken
    naming: dict[str, list[tuple[Job, Event]]] = field(default_factory=dict)
    """Events that were come across on the way, by the beginning of a commit's id that they name."""
    _told: set[str] = field(default_factory=set)

    def report(self, text: str) -> None:
        """Report what is broken: a log is read several times, and complained of once."""
        if text not in self._told:
            self._told.add(text)
            self.broken(text)

    def read(self, selection: Selection, jobs: list[Job] | None = None) -> Iterator[Event]:
        """Yield the selected events of some jobs, by default of all that are looked at."""
        wanted = self.jobs if jobs is None else jobs
        paths = [path for job in wanted for path in prodigy_runs.log_files(self.store, *job)]
        return stream.merge(paths, self.report, selection)

    def common(self, repo: str | None) -> str | None:
        """Return the common git directory of a repository of the store; None where it is gone."""
        if self.here is not None and repo in (None, self.repo):
            return self.here.common
        if repo is None:
            return None
        try:
            path = repokey.common_of(self.store, repo)
        except (OSError, ValueError):
            return None
        return path if path is not None and os.path.isdir(path) else None


def around(cwd: str, job: str | None, broken: Broken) -> Scope:
    """Return what is looked at from ``cwd``; with ``job`` (perhaps ``REPOSITORY/JOB``) that alone.

    Raises `ProdigyError` where there is no such job, `names.BadName`.
    """
    store, place, repo = locate.around(cwd)
    if repo is None and place is not None:
        repo = prodigy_runs.key_here(store, place.common)
    if job is None:
        known = _jobs(store, repo) if place is None or repo is not None else []
        return Scope(store, cwd, place, repo, known, False, broken)
    key, slash, name = job.rpartition("/")
    names.checked(name, "job id")
    if slash:
        names.checked(key, "repository key")
    found = [one for one in _jobs(store, key or None) if one[1] == name]
    own = [one for one in found if one[0] == repo]
    chosen = found if slash else own or found
    if not chosen:
        raise ProdigyError(f"no job {job}: 'prodigy-git job list --all-repos' shows what there is")
    return Scope(store, cwd, place, repo, chosen, True, broken)


def _jobs(store: str, repo: str | None) -> list[Job]:
    """Return the jobs that have a log or a state, sorted."""
    keys = [repo] if repo is not None else _folders(f"{store}/state")
    found = {
        (key, job) for key in keys for job in _folders(f"{layout.state(store, key)}/mapreduce/jobs")
    }
    found |= set(events.jobs(store, repo))
    for key in keys if repo is not None else prodigy_runs.keys(store):
        runs = prodigy_runs.of_repository(store, key, lambda _: None)
        # What lies under a run's own key is its repository's.
        found -= {(one.key, one.job_id) for one in runs}
        found |= {(key, one.job_id) for one in runs}
    return sorted(found)


def _folders(path: str) -> list[str]:
    try:
        return sorted(filter(names.is_safe, os.listdir(path)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def text(fields: dict[str, Any], name: str) -> str | None:
    """Return a field that has to be a text; None where it is not."""
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def unique(found: list[Event]) -> list[Event]:
    """Return events by time, each once, whichever selections they came by."""
    seen: set[str] = set()
    kept = []
    for event in sorted(found, key=lambda one: one.moment or 0):
        if event.id is None or event.id not in seen:
            kept.append(event)
            seen.add(event.id or "")
    return kept
