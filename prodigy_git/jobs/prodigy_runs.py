"""A MapReduce of Prodigy's as a job: in the tables that whoever looks at a job reads.

Prodigy's own logs are mostly empty. What the room `prodigy` knows of a run is folded as if it
had been logged, together with what logs there are: Prodigy's, and what our hooks recorded of commits in
the run's worktrees. So one set of numbers comes of all of it, and nothing of it is written anywhere.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from prodigy_git import layout
from prodigy_git.jobs import books, fold, replay
from prodigy_git.jobs.index import Index, filled
from prodigy_git.jobs.items import Place
from prodigy_git.jobs.run_facts import RunFacts
from prodigy_git.jobs.steps import Step
from prodigy_git.model.dlq import Artifacts, Failure, Item, Queue
from prodigy_git.model.event import Event, parse_line
from prodigy_git.prodigy.found import look
from prodigy_git.record import clock, repokey
from prodigy_git.store import events
from prodigy_git.store.events import Broken

if TYPE_CHECKING:
    from prodigy_git.prodigy.items import RunItem
    from prodigy_git.prodigy.runs import Run

_STATES: dict[str, books.ItemState] = {
    "completed": "completed", "dead": "dead", "under_way": "in_progress", "pending": "pending",
}  # fmt: skip


def of_repository(store: str, repo: str, broken: Broken) -> "list[Run]":
    """Return the MapReduces of a repository, by its key, oldest first.

    Also where the store has no document of the repository yet, as before the first command of ours. A
    run whose repository cannot be proven is its own key's.
    """
    return [one for one in _reduced(store, broken) if key_of(store, one) == repo]


def keys(store: str) -> set[str]:
    """Return the keys of the repositories that Prodigy has run a MapReduce in, as `of_repository`."""
    return {key_of(store, one) for one in _reduced(store, lambda _: None)}


def _reduced(store: str, broken: Broken) -> "list[Run]":
    """Return the MapReduces of a store; where Prodigy left none, what reads them is not imported."""
    trouble: list[str] = []
    if not look(store, None, trouble.append).jobs:
        for one in trouble:
            broken(one)
        return []
    from prodigy_git.prodigy.runs import runs

    return runs(store, kind="MapReduce", broken=broken)


def key_here(store: str, common: str) -> str | None:
    """Return a repository's key; where the store has none for it, the one that it would get if Prodigy
    has run a MapReduce in it. None: the store has nothing of it.
    """
    key = repokey.known(store, common)
    if key is not None:
        return key
    try:
        key = repokey.meant(store, common)
    except (OSError, ValueError):
        return None
    return key if key in keys(store) else None


def common_of(store: str, repo: str) -> str | None:
    """Return the git directory of a repository of the store; None where it is not in sight.

    Also of one that the store has runs of, and no document.
    """
    try:
        known = repokey.common_of(store, repo)
        runs = [] if known else of_repository(store, repo, lambda _: None)
    except (OSError, ValueError):
        return None
    return known or next((one.common for one in runs if one.common), None)


def of_session(store: str, name: str, broken: Broken) -> "Run | None":
    """Return the run of a session of Prodigy's: its newest MapReduce, or the workflow that it is."""
    from prodigy_git.prodigy.runs import run_of

    found = [one for one in _reduced(store, broken) if one.session_id == name]
    return found[-1] if found else run_of(store, None, name, broken=broken)


def find(store: str, repo: str, job: str, broken: Broken) -> "Run | None":
    """Return the MapReduce of Prodigy's that a job is; None for a job of ours, or none at all.

    One that was imported is ours.
    """
    if not _perhaps(store, repo, job):
        return None
    from prodigy_git.prodigy.runs import run_of

    found = run_of(store, None, job, broken=broken)
    if found is None or found.kind != "MapReduce" or key_of(store, found) != repo:
        return None
    return found


def key_of(store: str, run: "Run") -> str:
    """Return the key of a run's repository: the one that it would get, where it has none yet."""
    if run.repo is not None or run.common is None:
        return run.repo or run.key
    try:
        return repokey.meant(store, run.common)
    except (OSError, ValueError):
        return run.key


def logical(store: str, key: str, job: str) -> tuple[str, str]:
    """Return (repository key, job) of the job whose events lie under a key: a run has its own."""
    if not _perhaps(store, "", job) or os.path.lexists(layout.repository(store, key)):
        return key, job
    from prodigy_git.prodigy.runs import run_of

    run = run_of(store, None, job)
    return (key_of(store, run), job) if run is not None and run.key == key else (key, job)


def log_files(store: str, repo: str, job: str) -> list[str]:
    """Return the log files of a job; of a run Prodigy's own, too."""
    found = events.log_files(store, repo, job)
    run = find(store, repo, job, lambda _: None)
    if run is not None and run.key != repo:
        found += events.log_files(store, run.key, job)
    return found


def _perhaps(store: str, repo: str, job: str) -> bool:
    """Whether Prodigy may have left anything of a job: asked of every job, and quick."""
    if os.path.lexists(layout.items(store, repo, job)):
        return False
    for top in ("events", "dlq"):
        try:
            keys = os.listdir(f"{store}/{top}")
        except OSError:
            continue
        if any(os.path.isdir(f"{store}/{top}/{key}/{job}") for key in keys if key != repo):
            return True
    own = not os.path.lexists(layout.repository(store, repo))
    return own and os.path.isdir(layout.job_log(store, repo, job))


def index_of(store: str, repo: str, run: "Run", broken: Broken) -> Index | None:
    """Return an index in memory of all that is known of a run; None where our log opened the job.

    Raises `OSError` where a log cannot be listed.
    """
    from prodigy_git.prodigy.items import items
    from prodigy_git.prodigy.runs import agent_states

    state = books.State(books.Job(run.job_id))
    if run.key != repo:
        replay.advance(state, store, repo, {}, broken)
        if state.job.opened is not None:
            return None
    replay.advance(state, store, run.key, {}, broken)
    found = items(store, run, broken=broken)
    states = agent_states(store, run, broken=broken)
    logged = dict(state.job.counts)
    told: dict[str, list[Step]] = {}
    for one in found.values():
        there = states.get(one.item_id)
        begun = None if there is None else _stamp(there.created_at)
        told[one.item_id] = _told(one, state.items.get(one.item_id), begun)
        fold.apply(state, told[one.item_id])
    state.job.counts = logged  # of what was made up here no log has an event
    _note_times(state.job, run, found.values())
    given = [Place(name, None, 0, 0) for name in found]
    made = filled((store, repo, run.job_id), state, {}, given, broken)
    made.run = run
    made.of_run = RunFacts(found, told)
    return made


def phase(index: Index) -> books.Phase:
    """Return the phase that a run is in, or stopped in, as far as that is known."""
    assert index.run is not None
    if index.run.state in books.ENDED:
        return "complete"
    return "map" if index.of_run.items else index.job.phase


def commits(index: Index) -> int:
    """Return how many commits a run's agents made: as our log has them, or else as git has."""
    logged = index.job.counts.get("CommitCreated", 0)
    return max(logged, sum(len(one.commits) for one in index.of_run.items.values()))


def lasted(run: "Run") -> float | None:
    """Return for how many seconds a run has run, or ran; None where nobody knows."""
    began, ended = clock.parse(run.began or ""), clock.parse(run.ended or "")
    if began is None or (ended is None and run.state != "open"):
        return None
    return max(0, (ended or clock.now()) - began) / clock.SECOND


def at_work(index: Index) -> str | None:
    """Return why somebody may be at work on a run, as the end of a sentence; None where nobody is.

    Processes and files are asked, once for an index; never for a run that has ended.
    """
    assert index.run is not None
    if index.run.state in books.ENDED:
        return None
    if index.of_run.at_work is None:
        from prodigy_git.prodigy import goes_on

        there = goes_on.standers()
        index.of_run.at_work = goes_on.goes_on(index.store, index.run, there) or ""
    return index.of_run.at_work or None


def is_done_with(index: Index) -> bool:
    """Whether an overview passes over a job: it has ended, or nothing is to do about Prodigy's run."""
    if index.run is None:
        return index.job.status in books.ENDED
    return index.run.state in books.ENDED and not advice(index, index.run)


def events_of(index: Index, name: str) -> list[Event]:
    """Return what is known of an item of a run and is in no log, as events that go behind those."""
    found = []
    item = index.item(name)
    starts = () if item is None else item.starts.values()
    for step in index.of_run.unlogged.get(name, ()):
        fields = {field: getattr(step, field) for field in Step.__struct_fields__}
        if any(not start.attempt for start in starts):
            fields["attempt"] = None  # as in the log: the end is of what that has begun
        known = {field: value for field, value in fields.items() if value not in (None, "")}
        head = {"job_id": index.job_id, "event_type": step.type}
        found.append(parse_line(msgspec.json.encode(head | known)))
    return found


def _note_times(job: books.Job, run: "Run", found: "Iterable[RunItem]") -> None:
    letters = [one.letter.last_attempt for one in found if one.letter is not None]
    moments = [_stamp(moment) for moment in (run.began, run.ended, *letters)]
    known = sorted(filter(None, (*moments, job.started_at, job.updated_at)))
    if known:
        job.started_at, job.updated_at = known[0], known[-1]
    ended = _stamp(run.ended)
    if run.state in books.ENDED and ended is not None:
        job.ended_at = job.ended_at or ended


def _stamp(moment: str | None) -> str | None:
    parsed = clock.parse(moment or "")
    return None if parsed is None else clock.stamp(parsed)


def _told(one: "RunItem", logged: books.Item | None, begun_at: str | None) -> list[Step]:
    """Return what is to be added to the log for an item to stand as it does; nothing if it stands so.

    ``begun_at``: when its agent's worktree was made, if that is known.
    """
    view = None if logged is None else books.view(logged)
    if view is not None and (view.state == _STATES[one.outcome] or one.outcome == "pending"):
        return []
    starts = () if logged is None else logged.starts.values()
    begun = max((start.attempt for start in starts), default=0)
    last = max(1, begun, len(one.failures), one.letter.failure_count if one.letter else 0)
    head: dict[str, Any] = {"agent_id": one.agent_id, "item_id": one.item_id}
    if one.outcome == "under_way":
        worktree = f"mapreduce-agent-{one.agent_id}"
        return [Step("AgentStarted", timestamp=begun_at, **head, attempt=last, worktree=worktree)]
    if one.outcome == "completed":
        last = max(last, 0 if view is None else view.attempt)
        return [Step("AgentCompleted", **head, attempt=last, commits=list(one.commits) or None)]
    if one.outcome == "pending":
        return []
    steps = []
    if logged is None or not logged.failures:
        given = one.failures or (Failure.of({"timestamp": "", "error": ""}),)
        steps = [_failed(head, number, failure) for number, failure in enumerate(given, 1)]
        steps[-1].retry_eligible = False
    if one.letter is not None:
        at = _stamp(one.letter.last_attempt)
        steps.append(Step("DLQItemAdded", timestamp=at, **head, attempt=last))
    return steps


def _failed(head: dict[str, Any], number: int, failure: Failure) -> Step:
    return Step(
        "AgentFailed", timestamp=_stamp(failure.timestamp), **head,
        attempt=failure.attempt_number or number, error=failure.said, failure_reason=failure.reason,
        json_log_location=failure.json_log_location,
    )  # fmt: skip


def shown(index: Index, run: "Run") -> dict[str, Any]:
    """Return what only a run of Prodigy's has: its session, its branch, what to do about it.

    ``next`` are sentences; ``items_known``: something says how many items it has, and not only which
    were begun.
    """
    return {
        "session_id": run.session_id,
        "branch": run.branch,
        "target_branch": run.target,
        "worktree": run.worktree if run.exists else None,
        "at_work": at_work(index),
        "commands": [command for command, _ in advice(index, run)],
        "items_known": index.job.opened is not None
        or run.state == "completed"
        or any(one.outcome == "pending" for one in index.of_run.items.values()),
        "next": [f"'{command}' {what}" for command, what in advice(index, run)],
    }


def goes_on_with(store: str, run: "Run") -> list[str]:
    """Return what to do about the session of a run, in sentences."""
    found = []
    if run.kind == "MapReduce":
        found.append(f"'prodigy-git job show {run.job_id}' says how it stands with its items")
    elif run.state in ("interrupted", "failed") and os.path.isdir(run.checkpoints):
        found.append(f"'prodigy resume {run.session_id}' goes on where it stopped")
    if run.state == "completed" and run.exists and not _is_merged(store, run):
        found.append(f"'prodigy worktree merge {run.session_id}' merges it")
    return found


def advice(index: Index, run: "Run") -> list[tuple[str, str]]:
    """Return what to do about a run: (command, what it does); nothing where there is nothing to do.

    Prodigy's own commands where they do it: its `resume` needs a checkpoint, which a MapReduce seldom
    has, and its `dlq retry` does nothing.
    """
    if at_work(index) is not None:
        return []
    left = index.count("dead", "failed")
    take_over = f"prodigy-git import {run.job_id}"
    found = []
    if run.state == "completed" and run.exists and not _is_merged(index.store, run):
        target = f" into {run.target}" if run.target else ""
        found.append((f"prodigy worktree merge {run.session_id}", f"merges it{target}"))
    if run.state in ("open", "unknown"):
        found.append((take_over, "takes it over: nobody is at work on it"))
    elif run.state in ("failed", "interrupted"):
        found.append((take_over, "takes it over, to go on with"))
    elif left:
        found.append((take_over, f"takes it over, so that what failed can be tried again ({left})"))
    return found


def _is_merged(store: str, run: "Run") -> bool:
    if run.worktree is None or run.session_id is None:
        return True
    from prodigy_git.prodigy.worktree_states import worktree_state

    key = os.path.basename(os.path.dirname(run.worktree))
    state = worktree_state(store, key, run.session_id)
    return state is not None and (state.merged or state.status in ("merged", "cleaned_up"))


def not_ours(run: "Run") -> str:
    """Return why no step of ours can be taken on a run, and what to do, in one line."""
    return (
        f"job {run.job_id} is a run of Prodigy's, whose items are not handed out here: "
        f"'prodigy-git import {run.job_id}' takes it over, "
        f"'prodigy-git job show {run.job_id}' says how it stands"
    )


def queue(index: Index, broken: Broken) -> Queue:
    """Return the dead letters of a run whose index is open, each with what is left of its worktree."""
    from prodigy_git.prodigy.dead_letters import dead_letters
    from prodigy_git.prodigy.runs import agent_states

    assert index.run is not None
    states = agent_states(index.store, index.run, broken=broken)
    found = []
    for letter in dead_letters(index.store, index.run, broken=broken):
        state = states.get(letter.item_id)
        if letter.worktree_artifacts is None and state is not None:
            fields = {"worktree_path": state.worktree, "branch_name": state.branch}
            left = Artifacts.of({name: text for name, text in fields.items() if text is not None})
            letter = _with_artifacts(letter, left)
        found.append(letter)
    return Queue(items=found)


def _with_artifacts(letter: Item, left: Artifacts) -> Item:
    return Item.of({**letter.as_json(none=False), "worktree_artifacts": left.as_json(none=False)})
