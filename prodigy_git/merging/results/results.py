"""Which branch is the result of which item: what each attempt left, and which of them counts.

Read only: no lock is taken, nothing is written. Three sources, each asked for what it knows best:

- the job's index      which attempt ended how, and who brought an item to where it is
- the sessions' files  the branch, where it began, the commit that was recorded last
- git                  where branches and worktrees are now
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from prodigy_git import glance, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import divergence, integration
from prodigy_git.jobs import peek, prodigy_runs, summary
from prodigy_git.jobs.index import Index
from prodigy_git.merging.results import attempted
from prodigy_git.merging.results.attempted import Attempted, State
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs, enrolled, mappings, other_sessions
from prodigy_git.store.briefs import Brief
from prodigy_git.store.events import Broken


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt at an item has left; or one session, where it has no item."""

    job_id: str
    item_id: str | None
    attempt: int | None
    """The number of the attempt; None where nothing says it."""
    agent_id: str | None
    session_id: str | None
    """None where no worktree was made for it."""
    state: State
    counts: bool
    """Whether it is the item's result: of an item that was reopened none is, until it is done again."""
    branch: str | None
    """Its branch's short name; None where that is gone, or belongs to a later session, or to nobody
    (a detached HEAD)."""
    head: str | None
    """The commit: of the worktree that is there, else of the branch, else the one recorded last. None
    where git has none of these."""
    base: str | None
    """The commit that the worktree began at."""
    base_branch: str | None
    """The branch that the worktree began at."""
    worktree: str | None
    """Its path, where it is still there."""
    completed_at: str | None
    """When it ended, as the log has it."""
    error: str | None
    """Why it failed."""

    @property
    def name(self) -> str:
        """What it is called among others: its item, else its session, else its agent."""
        return self.item_id or self.session_id or self.agent_id or self.job_id


def of_job(store: str, repo: str, job: str, broken: Broken) -> list[Result]:
    """Return the results of all attempts of a job, by item in the job's order, then by attempt.

    Sessions without an item come last, oldest first: those that ended well count, each for itself. A
    MapReduce of Prodigy's is a job, too: its agents are known as far as git has them. Costs one
    process of git's, however many there are. What cannot be read is reported. Raises `ProdigyError`
    where there is no such job, and no session of it.
    """
    try:
        with peek.opened(store, repo, job, broken) as index:
            return of_index(index, broken)
    except ProdigyError:
        known = _sessions(store, repo, job, broken)
        if not known:
            raise
    # Its log was cleaned.
    return _made(_Git(store, repo), job, [], known, {})


def of_index(index: Index, broken: Broken) -> list[Result]:
    """Return what `of_job` does, of a job whose index is open, as by `peek.opened`."""
    store, repo, job = index.store, index.repo, index.job_id
    known = _sessions(store, repo, job, broken)
    git = _Git(store, repo)
    attempts = list(attempted.of_items(index, known))
    left = {} if index.run is None else _of_run(store, index, git)
    return _made(git, job, attempts, known, left)


def _sessions(store: str, repo: str, job: str, broken: Broken) -> dict[str, Brief]:
    return {
        one.id: one
        for one in briefs.read_some(store, mappings.sessions_of(store, job, broken))
        if one.job == job and one.repo in (None, repo)
    }


def _made(
    git: "_Git",
    job: str,
    attempts: list[Attempted],
    known: Mapping[str, Brief],
    prodigys: "Mapping[str, _Left]",
) -> list[Result]:
    told = {one.session for one in attempts if not one.elsewhere}
    rest = sorted(known.values(), key=lambda one: (one.started or 0, one.id))
    attempts += attempted.not_in_log([one for one in rest if one.id not in told], attempts)
    found = [
        git.result(job, one, None if one.elsewhere else known.get(one.session or ""))
        for one in attempts
    ]
    found = [
        replace(one, **prodigys[one.item_id or ""]) if one.item_id in prodigys else one
        for one in found
    ]
    return git.checked(found)


def named(
    store: str, repo: str, names: Iterable[str], *, job: str | None = None, broken: Broken
) -> list[Result]:
    """Return the results that names name, in their order, each once.

    A name is a session's, an item's, an agent's or a branch's, the first of these that there is. An
    item stands for the attempt that counts, else for its last one; an agent for all of its attempts
    that count, else for its last one. ``job`` says in which job to look, where several have such an
    item. Raises `ProdigyError` for a name that nothing has.
    """
    look = _Look(store, repo, job, broken)
    found: dict[tuple[str, str | None, int | None, str | None, str | None], Result] = {}
    for name in names:
        for one in look.named(name):
            key = (one.job_id, one.item_id, one.attempt, one.agent_id, one.session_id)
            found.setdefault(key, one)
    return list(found.values())


class _Left(TypedDict):
    branch: str | None
    head: str | None
    worktree: str | None


def _of_run(store: str, index: Index, git: "_Git") -> dict[str, _Left]:
    """Return what the agents of a run of Prodigy's have left, by item."""
    from prodigy_git.prodigy.runs import agent_states

    assert index.run is not None
    states = agent_states(store, index.run)
    found: dict[str, _Left] = {}
    for name, item in index.of_run.items.items():
        state = states.get(name)
        place = None if state is None else gitdir.find(state.worktree, {})
        if state is not None and place is not None and place.top == state.worktree:
            branch, head = gitdir.head(place)
            found[name] = {"branch": branch, "head": head, "worktree": place.top}
        else:
            last = item.commits[-1] if item.commits else None
            tip = git.tip(item.branch)
            found[name] = {
                "branch": None if tip is None else item.branch, "head": tip or last,
                "worktree": None,
            }  # fmt: skip
    return found


class _Git:
    """What git has of a repository's branches and worktrees, asked once, when it is needed."""

    def __init__(self, store: str, repo: str) -> None:
        self._store, self._repo = store, repo
        common = prodigy_runs.common_of(store, repo)
        self.place = None if common is None else Place(common, common, common)
        known = {} if self.place is None else integration.refs(self.place)
        # As the sessions' files have them: bytes that are not UTF-8 cannot be written there.
        self._tips = {
            gitdir.printable(ref.removeprefix("refs/heads/")): (
                ref.removeprefix("refs/heads/"),
                sha,
            )
            for ref, sha in known.items()
            if ref.startswith("refs/heads/")
        }
        self._there = enrolled.places(store, repo)
        self._owners: dict[str, str] | None = None

    def tip(self, branch: str | None) -> str | None:
        """Return the commit that a branch is at; None where there is no such branch."""
        return self._tips[branch][1] if branch in self._tips else None

    def result(self, job: str, one: Attempted, brief: Brief | None) -> Result:
        """Return an attempt as a result."""
        branch, head, worktree = None, one.last, None
        if brief is not None:
            branch, head = self._at(brief)
            head = head or one.last
        there = None if one.elsewhere else self._there.get(one.session or "")
        if there is not None and os.path.isdir(there[0].top):
            worktree = there[0].top
            branch, at = gitdir.head(there[0])
            head = at or head
        ended = one.state in ("succeeded", "failed", "released")
        return Result(
            job, one.item, one.number, one.agent, one.session, one.state or "open", one.counts,
            branch, head, None if brief is None else brief.base_commit,
            None if brief is None else brief.base_branch, worktree,
            (one.at or (None if brief is None else brief.completed_at)) if ended else None,
            one.error if one.state != "succeeded" else None,
        )  # fmt: skip

    def _at(self, brief: Brief) -> tuple[str | None, str | None]:
        """Return a session's branch, if it still is that session's, and its commit."""
        recorded = brief.last_commit or brief.base_commit
        known = self._tips.get(brief.branch or "")
        if known is None:
            return None, recorded
        name, tip = known
        if tip != recorded and self._owner(brief.branch or "") not in (None, brief.id):
            return None, recorded  # the name was used again since
        return name, tip

    def _owner(self, branch: str) -> str | None:
        """Return the session that a branch belongs to: the last one that was given its name."""
        if self._owners is None:
            mine = [
                one
                for one in briefs.read_all(self._store, lambda _: None)
                if one.repo == self._repo and one.branch is not None
            ]
            mine.sort(key=lambda one: (one.started or 0, one.id))
            self._owners = {one.branch: one.id for one in mine if one.branch is not None}
        return self._owners.get(branch)

    def checked(self, found: list[Result]) -> list[Result]:
        """Return results without the commits that git does not have (any more)."""
        # What a ref or a HEAD names is there.
        tips = {tip for _, tip in self._tips.values()}
        asked = {one.head for one in found if one.head and not (one.branch or one.worktree)} - tips
        if not asked or self.place is None:
            return found if self.place is not None else [replace(one, head=None) for one in found]
        there = divergence.resolve(self.place, sorted(asked))
        return [
            replace(one, head=None) if one.head in asked and one.head not in there else one
            for one in found
        ]


class _Look:
    """Looks for names in one repository, or one job of it; what was read is kept for the next name."""

    def __init__(self, store: str, repo: str, job: str | None, broken: Broken) -> None:
        self._store, self._repo, self._job, self._broken = store, repo, job, broken
        self._briefs = [
            one
            for one in briefs.read_all(store, lambda _: None)
            if one.repo == repo and job in (None, one.job)
        ]
        self._results: dict[str, list[Result]] = {}

    def named(self, name: str) -> list[Result]:
        """Return the results that a name names. Raises `ProdigyError` where there are none."""
        for one in self._briefs:
            if one.id == name and (its := [r for r in self._of(one.job) if r.session_id == name]):
                return its
        mine = (name, gitdir.printable(name))  # the latter as a recorded commit's branch
        jobs = {
            one.job for one in self._briefs if name in (one.item, one.agent) or one.branch in mine
        }
        found = self._among(name, jobs)
        if not found:
            # It may have no session: an item that was done by other means, or a run of Prodigy's.
            known = summary.known(self._store, self._repo) if self._job is None else [self._job]
            rest = (one for one in known if one not in jobs and self._may_have(one, name))
            found = self._among(name, rest)
        if not found:
            where = "" if self._job is None else f" in job {self._job}"
            raise other_sessions.refusal(self._store, name) or ProdigyError(
                f"no session, item, agent or branch {name}{where} has left anything: "
                "'prodigy-git sessions list' shows what there is"
            )
        return found

    def _may_have(self, job: str, name: str) -> bool:
        """Whether a job may have such an item or agent: a glance tells most of those that have not."""
        path = layout.index(self._store, self._repo, job)
        question = "SELECT 1 FROM items WHERE id = ? OR agent = ? LIMIT 1"
        return not os.path.lexists(path) or bool(glance.rows(path, question, (name, name)))

    def _among(self, name: str, jobs: Iterable[str]) -> list[Result]:
        every = [one for job in sorted(jobs) for one in self._of(job)]
        items = [one for one in every if one.item_id == name]
        where = sorted({one.job_id for one in items})
        if len(where) > 1:
            raise ProdigyError(f"item {name} is in the jobs {', '.join(where)}: give --job")
        if items:
            return [one for one in items if one.counts] or items[-1:]
        mine = [one for one in every if one.agent_id == name]
        if mine:
            last = max(mine, key=lambda one: one.completed_at or "~")  # one at work is the last
            return [one for one in mine if one.counts] or [last]
        return [one for one in every if one.branch == name][-1:]

    def _of(self, job: str) -> list[Result]:
        if job not in self._results:
            try:
                self._results[job] = of_job(self._store, self._repo, job, self._broken)
            except (ProdigyError, OSError) as error:
                if job == self._job:
                    raise
                self._broken(str(error))
                self._results[job] = []
        return self._results[job]
