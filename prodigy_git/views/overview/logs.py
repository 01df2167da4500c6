"""What the logs of a repository's jobs say of its items and sessions, read without their locks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import prodigy_runs, summary
from prodigy_git.jobs.books import ENDED
from prodigy_git.jobs.index import Index
from prodigy_git.store import briefs, other_sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken
from prodigy_git.views.overview import items
from prodigy_git.views.overview.items import Held
from prodigy_git.views.overview.memory import Memory

_AT_ONCE = 500
"""Names in a question: SQLite takes 999 values, in every version."""
WELL = ("Completed", "Cancelled")
"""How a session ends so that nobody has to see more of it than that there was one."""


@dataclass
class Said:
    """What the logs said when they were read."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    """As `summary.of`, with ``queued`` and ``opened``: those that have not ended, or were asked for."""
    ended: int = 0
    """How many others there are."""
    held: dict[str, list[Held]] = field(default_factory=dict)
    """By job, the items that somebody is to see, of the jobs that hand out items."""
    over: dict[str, dict[str, Held]] = field(default_factory=dict)
    """By job that has ended, the items of the sessions that somebody is to see."""
    left: dict[str, list[Held]] = field(default_factory=dict)
    """By job that has ended and was asked for, the items that were not done."""
    at_rest: set[str] = field(default_factory=set)
    """The runs of Prodigy's that nobody is at work on, whose sessions are over: they need nobody."""
    standings: dict[str, tuple[int, str]] = field(default_factory=dict)
    """How it stands with each of those sessions, as `books.Standing`."""

    theirs: frozenset[str] = frozenset()
    """The sessions of other hosts; one of ours may have the name of one, and the log has both."""

    def as_logged(self, brief: Brief) -> Brief:
        """Return a session with the end that only the log has so far."""
        resumed, status = self.standings.get(brief.id, (0, ""))
        if brief.over or resumed != brief.resumed or status not in briefs.ENDED:
            return brief
        if brief.id in self.theirs:
            return brief
        return msgspec.structs.replace(brief, status=status)


def read(
    store: str,
    key: str,
    jobs: Iterable[str],
    sessions: Iterable[Brief],
    memory: Memory,
    broken: Broken,
    *,
    ended: bool,
) -> Said:
    """Read the logs of ``jobs``; with ``ended`` those that have ended count as the others do."""
    said = Said(theirs=other_sessions.ids(store, key))
    wanted: dict[str, list[Brief]] = {}
    for one in sessions:
        if one.status not in WELL:
            wanted.setdefault(one.job, []).append(one)
    for job in jobs:
        mine = wanted.get(job, [])
        try:
            with memory.job(store, key, job, broken, ended=ended) as index:
                if index is not None:
                    _running(said, index, mine, broken)
            if index is None:
                said.ended += 1
                if mine:  # of whom the job's end has not told what became
                    with memory.job(store, key, job, broken, ended=True) as index:
                        if index is not None:
                            _ended(said, index, mine)
        except (ProdigyError, OSError, ValueError) as error:
            broken(f"job {job}: {error}")
    return said


def _running(said: Said, index: Index, mine: list[Brief], broken: Broken) -> None:
    shown = summary.of(index)
    shown["queued"] = items.queued(index, broken)
    said.jobs.append(shown)
    if index.run is not None:
        _of_prodigy(said, index, mine)
        return
    if index.job.status in ENDED:
        _ended(said, index, mine)
        left = items.held(index)
        said.left[index.job_id] = [one for one in left if one.state in ("dead", "failed")]
    else:
        said.held[index.job_id] = items.held(index)
        said.standings.update(_standings(index, mine))


def _ended(said: Said, index: Index, mine: list[Brief]) -> None:
    if index.run is not None:
        _of_prodigy(said, index, mine)
        return
    named = [one.item for one in mine if one.item is not None]
    said.over[index.job_id] = items.named(index, named)
    said.standings.update(_standings(index, mine))


def _of_prodigy(said: Said, index: Index, mine: list[Brief]) -> None:
    """Its agents are Prodigy's to look after: what is to do about the run is told once, for all."""
    said.standings.update(_standings(index, mine))
    if prodigy_runs.at_work(index) is None:
        said.at_rest.add(index.job_id)


def _standings(index: Index, mine: list[Brief]) -> dict[str, tuple[int, str]]:
    found = {}
    names = [one.id for one in mine]
    for begin in range(0, len(names), _AT_ONCE):
        some = names[begin : begin + _AT_ONCE]
        marks = ",".join("?" * len(some))
        question = f"SELECT id, resumed, status FROM sessions WHERE id IN ({marks})"
        for name, resumed, status in index.rows(question, some):
            found[name] = (resumed, status)
    return found
