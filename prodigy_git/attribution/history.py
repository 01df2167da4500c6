"""What a repository's logs tell of its commits: who made them, what they replaced, what ran then."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prodigy_git.model.event import Event
from prodigy_git.model.selection import Selection
from prodigy_git.store import stream

_TYPES = frozenset((
    "CommitCreated", "CommitsRewritten", "WorktreeMerged", "AgentProgramStarted", "AgentProgramEnded",
))  # fmt: skip
_MOST, _MOST_ALIKE = 200, 20
"""How many commits are looked at that one may stand for, and those of one subject: the last ones."""


class Made(NamedTuple):
    """That a commit was made; ``session`` and the rest are None where nobody's session made it.

    ``moment`` is when it was recorded, in microseconds since 1970.
    """

    commit: str
    event: str | None
    moment: int
    job: str | None = None
    session: str | None = None
    agent: str | None = None
    item: str | None = None
    subject: str | None = None
    copied: bool = False
    """Whether it may be another commit made anew: by a merge, a rebase, a cherry-pick."""


class Run(NamedTuple):
    """That an agent program ran in a session, from one moment to another (None: it still does)."""

    program: str
    program_session: str
    model: str | None
    transcript: str | None
    start: int
    end: int | None


@dataclass(slots=True)
class History:
    """What the logs of one repository tell.

    ``made`` are its commits by id, ``replaced`` those that a commit stands for, ``merged`` the branch's
    head that a commit on the target brought (one that was squashed has no other tie to it), ``runs``
    the programs of a session, in their order. ``of_session`` and ``of_subject`` name the commits of a
    session, and those with one subject. ``ties`` are commits of other sessions by whose files a commit
    is told to stand for them (`by_files.ties`).
    """

    made: dict[str, Made] = field(default_factory=dict)
    replaced: dict[str, list[str]] = field(default_factory=dict)
    merged: dict[str, Made] = field(default_factory=dict)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    of_session: dict[str, list[str]] = field(default_factory=dict)
    of_subject: dict[str, list[str]] = field(default_factory=dict)
    ties: dict[str, list[str]] = field(default_factory=dict)

    def without_tie(self) -> list[str]:
        """Return the commits of which nothing in the logs says that they may stand for others."""
        return [
            commit for commit, one in self.made.items()
            if not one.copied and commit not in self.replaced and commit not in self.merged
        ]  # fmt: skip


def read(paths: Iterable[str], broken: Callable[[str], None]) -> History:
    """Return what logs tell, in time order; a line that is broken is told to ``broken``."""
    found = History()
    for event in stream.merge(list(paths), broken, Selection(types=_TYPES)):
        moment = event.moment
        if moment is not None:
            _take(found, event, event.own(), moment)
    return found


def _take(found: History, event: Event, own: dict[str, Any], moment: int) -> None:
    session = event.session_id
    if event.type == "CommitCreated":
        commit = own.get("commit")
        if isinstance(commit, str) and commit not in found.made:
            before = found.of_session.setdefault(session or "", [])
            before.append(commit)
            made = _made(commit, event, moment)._replace(
                subject=_text(own.get("subject")), copied=own.get("action") != "commit"
            )
            found.made[commit] = made
            if made.subject is not None:
                found.of_subject.setdefault(made.subject, []).append(commit)
    elif event.type == "CommitsRewritten":
        rewrites = own.get("rewrites")
        for one in rewrites if isinstance(rewrites, list) else ():
            old, new = (one.get("old"), one.get("new")) if isinstance(one, dict) else (None, None)
            if isinstance(old, str) and isinstance(new, str) and old != new:
                there = found.replaced.setdefault(new, [])
                if old not in there:
                    there.append(old)
    elif event.type == "WorktreeMerged":
        commit = own.get("commit")
        if isinstance(commit, str) and commit != own.get("head"):
            found.merged[commit] = _made(commit, event, moment)
    elif session is not None:
        _ran(found.runs.setdefault(session, []), event.type, own, moment)


def _made(commit: str, event: Event, moment: int) -> Made:
    return Made(
        commit, event.id, moment,
        event.job_id, event.session_id, event.agent_id, event.item_id,
    )  # fmt: skip


def _ran(runs: list[Run], kind: str, own: dict[str, Any], moment: int) -> None:
    program, name = _text(own.get("agent_program")), _text(own.get("program_session"))
    if program is None or name is None:
        return
    transcript = _text(own.get("json_log_location"))
    mine = [
        n for n, run in enumerate(runs) if (run.program, run.program_session) == (program, name)
    ]
    if kind == "AgentProgramStarted":
        if mine and runs[mine[-1]].end is None:
            runs[mine[-1]] = runs[mine[-1]]._replace(end=moment)
        runs.append(Run(program, name, _text(own.get("model")), transcript, moment, None))
    elif mine:
        last = runs[mine[-1]]
        runs[mine[-1]] = last._replace(end=moment, transcript=last.transcript or transcript)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def origins(found: History, commit: str) -> list[Made]:
    """Return who made what a commit stands for: those that it replaced, theirs, and so on.

    The nearest come first; at most `_MOST` commits are looked at.
    """
    ahead = _before(found, commit)
    seen = {commit}
    out = []
    while ahead and len(seen) <= _MOST:
        one = ahead.pop(0)
        if one in seen:
            continue
        seen.add(one)
        made = found.made.get(one)
        if made is not None:
            out.append(made)
        ahead += _before(found, one)
    return out


def _before(found: History, commit: str) -> list[str]:
    """Return what a commit may stand for: what it replaced, else what was merged or picked as it.

    A branch that was squashed, rebased on its way, or picked from leaves no other tie than its head and
    its subjects; one that was squashed by hand, its files. Which lines are the same, the texts say.
    """
    replaced = found.replaced.get(commit)
    if replaced:
        return list(replaced)
    made, squashed = found.made.get(commit), found.merged.get(commit)
    alike = found.of_subject.get(made.subject or "", []) if made is not None and made.copied else []
    of_branch = [] if squashed is None else found.of_session.get(squashed.session or "", [])
    tied = [one for last in found.ties.get(commit, ()) for one in _up_to(found, last)]
    return [*reversed(alike[-_MOST_ALIKE:]), *reversed(of_branch[-_MOST:]), *tied]


def _up_to(found: History, commit: str) -> list[str]:
    """Return a commit and those that its session made before, the last ones first."""
    of_session = found.of_session[found.made[commit].session or ""]
    end = of_session.index(commit) + 1
    return of_session[max(0, end - _MOST) : end][::-1]
