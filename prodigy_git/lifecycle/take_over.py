"""Taking over what Prodigy left in the store: its runs become jobs of ours, that can go on here.

Nothing of Prodigy's is written, moved or removed. For each run, in this order; whatever a kill leaves
undone the next call does, and what is done it leaves alone:

1. the job's items, and the queue      files that no event names yet: they are written anew
2. one append of all that was done     the job is ours from here on
3. each worktree's session, and its end      each is looked for in its worktree
"""

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs import peek
from prodigy_git.lifecycle import adopt, taken_job
from prodigy_git.model.session import Status
from prodigy_git.prodigy import goes_on as prodigys_course
from prodigy_git.prodigy import items as prodigys_items
from prodigy_git.prodigy import runs as prodigys_runs
from prodigy_git.prodigy.items import RunItem
from prodigy_git.prodigy.runs import Run
from prodigy_git.record import enrolment, files, gitdir, repokey
from prodigy_git.record.gitdir import Place
from prodigy_git.store import ended_by_others, home, sessions
from prodigy_git.store.events import Broken

BECAUSE = "Prodigy's run was taken over"
_STATUS: dict[str, Status] = {"completed": "Completed", "cancelled": "Cancelled"}


@dataclass(frozen=True)
class Tree:
    """A worktree of a run: its session, None where it gets one; ``note`` says what is the matter."""

    worktree: str
    session_id: str | None
    agent_id: str | None
    item_id: str | None
    status: Status
    error: str | None
    ends: bool
    """Whether its session is to be ended, or was."""
    note: str | None = None


@dataclass(frozen=True)
class Taken:
    """What is to be done about a run, or was."""

    run: Run
    left: str | None
    """Why nothing is done, as the end of a sentence; None: something is."""
    is_new: bool
    """Whether the job is made."""
    items: dict[str, RunItem]
    missing: list[str]
    """The items that are not done and whose data is in no file."""
    adds: list[str]
    """The items that a job that was taken over before is given data for."""
    trees: list[Tree]
    problems: list[str] = field(default_factory=list)

    @property
    def does(self) -> bool:
        """Whether anything is to be done."""
        todo = any(one.session_id is None or one.ends for one in self.trees if one.note is None)
        return self.left is None and (self.is_new or bool(self.adds) or todo)

    def count(self, *outcomes: str) -> int:
        """Return how many of the items came to any of these outcomes."""
        return sum(one.outcome in outcomes for one in self.items.values())

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``import --json`` prints them."""
        run = self.run
        return {
            "job_id": run.job_id, "session_id": run.session_id, "kind": run.kind,
            "workflow": run.workflow, "state": run.state, "began_at": run.began,
            "ended_at": run.ended, "error": run.error, "branch": run.branch,
            "target_branch": run.target, "worktree": run.worktree, "exists": run.exists,
            "why_left": self.left,
            "does": self.does,
            "new_job": self.is_new and self.left is None,
            "completed": self.count("completed"),
            "dead": self.count("dead"),
            "pending": self.count("pending", "under_way"),
            "items": [
                {
                    "item_id": name, "outcome": one.outcome, "commits": list(one.commits),
                    "branch": one.branch, "merged": one.merged,
                    "has_data": one.data is not prodigys_items.UNKNOWN,
                }
                for name, one in self.items.items()
            ],
            "missing_data": self.missing,
            "given_data": self.adds,
            "worktrees": [
                {
                    "worktree": one.worktree, "session_id": one.session_id,
                    "agent_id": one.agent_id, "item_id": one.item_id, "status": one.status,
                    "note": one.note,
                }
                for one in self.trees
            ],
            "problems": self.problems,
        }  # fmt: skip


def look(
    cwd: str, wanted: list[str], given: list[Any] | None, broken: Broken
) -> tuple[str, str, Place, list[Taken]]:
    """Return the store, the repository's key and place, and what there is to do about each run.

    ``wanted`` are the ids of runs, or of their sessions; none: all of the repository around ``cwd``.
    A run that is named is not taken to go on for its fresh files alone. ``given`` is the input of the
    one run that is named. Changes nothing. Raises `ProdigyError`.
    """
    place = repository.find(cwd)
    store = home.here(cwd)
    try:
        repo = repokey.meant(store, place.common)
    except ValueError as error:
        raise ProdigyError(str(error)) from error
    of_store = prodigys_runs.runs(store, broken=broken)
    runs = [
        one for one in of_store if one.common is not None and files.same(one.common, place.common)
    ]
    twins = Counter(one.job_id for one in runs)
    for one in of_store:
        if one.common is None and _is_called(one, place):
            broken(f"{one.job_id}: git does not say which repository it is of, passed over")
    known = {name for one in runs for name in (one.job_id, one.session_id)}
    for name in wanted:
        if name not in known:
            elsewhere = any(name in (one.job_id, one.session_id) for one in of_store)
            why = "is none of this repository's that can be proven" if elsewhere else "is none"
            raise ProdigyError(f"{name} {why}: 'prodigy-git import --dry-run' shows the runs")
    if wanted:
        runs = [one for one in runs if one.job_id in wanted or one.session_id in wanted]
    if given is not None and [one.kind for one in runs] != ["MapReduce"]:
        raise ProdigyError("--items is the input of one MapReduce: name the one that it belongs to")
    there = prodigys_course.standers() if runs else []
    return store, repo, place, [
        _plan(store, repo, one, given, there, broken, doubt=not wanted)
        if twins[one.job_id] == 1
        else _not_told_apart(one)
        for one in runs
    ]  # fmt: skip


def _is_called(run: Run, place: Place) -> bool:
    """Whether a run was in a folder that is called like the repository's."""
    here = os.path.basename(os.path.dirname(place.common))
    return run.worktree is not None and os.path.basename(os.path.dirname(run.worktree)) == here


def _not_told_apart(run: Run) -> Taken:
    """Return that nothing is done about a run whose id, and so whose branches, another one has, too."""
    why = f"two runs are called {run.job_id}: Prodigy names them, and their branches, by the second"
    return Taken(run, why, False, {}, [], [], [])


def _out_of_sight(run: Run) -> str | None:
    """Return why nobody can tell what a run has left: a folder of it that we may not look into."""
    for folder in (*run.queues, run.checkpoints, run.events):
        try:
            os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"{folder} cannot be read ({error.strerror})"
    return None


def _plan(
    store: str,
    repo: str,
    run: Run,
    given: list[Any] | None,
    there: list[prodigys_course.Stander],
    broken: Broken,
    *,
    doubt: bool,
) -> Taken:
    why = prodigys_course.goes_on(store, run, there, doubt=doubt) or _out_of_sight(run)
    items: dict[str, RunItem] = {}
    adds: list[str] = []
    is_new = run.kind == "MapReduce"
    if is_new:
        items = prodigys_items.items(store, run, broken=broken)
        if given is not None:
            items = prodigys_items.with_input(items, given, run)
        if indexes.exists(store, repo, run.job_id):
            with peek.opened(store, repo, run.job_id, broken) as index:
                is_new = index.run is not None or index.job.opened is None
                if not is_new:
                    adds = taken_job.without_data(index, items)
    open_ones = [one for one in items.values() if one.outcome in ("pending", "under_way", "dead")]
    missing = [one.item_id for one in open_ones if one.data is prodigys_items.UNKNOWN]
    trees = [] if why is not None else _trees(store, run, items, broken)
    return Taken(run, why, is_new, items, missing, adds, trees)


def _trees(store: str, run: Run, items: dict[str, RunItem], broken: Broken) -> list[Tree]:
    """Return the worktrees of a run that are there, the run's own first."""
    made = []
    if run.exists and run.worktree is not None:
        status = _STATUS.get(run.state, "Failed")
        error = run.error
        if error is None and status == "Failed":
            error = "interrupted" if run.state == "interrupted" else "its run has not ended"
        made.append(_tree(store, run, run.worktree, None, None, status, error))
    if run.kind == "MapReduce":
        for item, state in prodigys_runs.agent_states(store, run, broken=broken).items():
            if not os.path.isdir(state.worktree) or os.path.islink(state.worktree):
                continue
            one = items.get(item)
            failures = one.failures if one is not None else ()
            error = failures[-1].said if failures else "interrupted"
            agent = one.agent_id if one is not None else None
            made.append(_tree(store, run, state.worktree, agent, item, "Failed", error))
    return made


def _tree(
    store: str, run: Run, path: str, agent: str | None, item: str | None, status: Status,
    error: str | None,
) -> Tree:  # fmt: skip
    one = Tree(path, None, agent, item, status, error, ends=True)
    place = gitdir.find(path, {})
    if place is None or place.top != path or not _is_of(place, run):
        return replace(one, note="git does not know it as a worktree of this repository")
    try:
        there = enrolment.read(place.private)
    except (OSError, ValueError) as error_:
        return replace(one, note=str(error_))
    if there is None:
        return one
    if not there.known or not enrolment.ours(there, store):
        return replace(one, note="another store has it")
    try:
        found = sessions.load(store, there.session)
    except (ProdigyError, OSError) as error_:
        return replace(one, session_id=there.session, note=str(error_))
    if found.job != run.job_id:
        note = f"its session {found.id} belongs to job {found.job}"
        return replace(one, session_id=found.id, ends=False, note=note)
    ends = not found.ended and ended_by_others.resumptions(found) == 0
    return replace(one, session_id=found.id, ends=ends)


def _is_of(place: Place, run: Run) -> bool:
    return run.common is not None and files.same(place.common, run.common)


def carry_out(store: str, repo: str, plan: Taken, max_attempts: int, broken: Broken) -> Taken:
    """Do what `look` has found for a run, and return it with the sessions that there are now.

    What fails is one of its problems. Where the job cannot be made, nothing else is done.
    """
    run = plan.run
    if run.kind == "MapReduce":
        try:
            taken_job.make(store, repo, run, plan.items, plan.missing, max_attempts, broken)
        except (ProdigyError, OSError, ValueError) as error:
            return replace(plan, problems=[f"job {run.job_id} cannot be made ({error})"])
    done = []
    for one in plan.trees:
        try:
            done.append(_settle(store, repo, run, one, broken))
        except (ProdigyError, OSError, ValueError) as error:
            plan.problems.append(f"{one.worktree}: {error}")
            done.append(one)
    return replace(plan, trees=done)


def _settle(store: str, repo: str, run: Run, one: Tree, broken: Broken) -> Tree:
    if one.note is not None:
        return one
    session = one.session_id
    if session is None:
        made = adopt.adopt(
            one.worktree, job=run.job_id, agent=one.agent_id, item=one.item_id, by="import",
            broken=broken,
        )  # fmt: skip
        session = made.session_id
    if one.ends:
        found = sessions.load(store, session)
        end = ended_by_others.End(
            one.status, one.error, BECAUSE, ended_by_others.resumptions(found)
        )
        ended_by_others.end_now(store, repo, found, end)
    return replace(one, session_id=session)


def key_of(store: str, place: Place) -> str:
    """Return the key of a repository, taken where it has none. Raises `ProdigyError`, `OSError`."""
    trouble = home.trouble(store)
    if trouble is not None:
        raise ProdigyError(f"{trouble}: nothing is taken over")
    try:
        return repokey.take(store, place.common)
    except ValueError as error:
        raise ProdigyError(str(error)) from error
