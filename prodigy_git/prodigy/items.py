"""What became of each item of a MapReduce: put together from all that Prodigy and git have of it.

Prodigy 0.4 writes no event, and seldom a checkpoint. What is always there is git's: an agent that has
done its item leaves a branch ``agent-{job}_agent_{n}-item_{n}``, and a merge of that name in the run's
branch; one without a commit leaves ``prodigy-mapreduce-agent-{job}_agent_{n}`` alone. An agent that
failed, or was interrupted, leaves its worktree. An item that nobody began leaves nothing: only a
checkpoint, or whoever has the run's input, knows of it.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git_status
from prodigy_git.model.dlq import Failure, Item
from prodigy_git.model.event import Event
from prodigy_git.prodigy import reading
from prodigy_git.prodigy.checkpoints import job_checkpoint
from prodigy_git.prodigy.dead_letters import dead_letters
from prodigy_git.prodigy.events import events
from prodigy_git.prodigy.found import AGENT
from prodigy_git.prodigy.reading import Broken
from prodigy_git.prodigy.runs import Run, agents

Outcome = Literal["completed", "dead", "under_way", "pending"]
"""``dead``: in the queue, or given up. ``under_way``: its agent was at it when the run stopped."""
UNKNOWN = object()
"""The data of an item that no file has."""


@dataclass(frozen=True)
class RunItem:
    """One item of a run."""

    item_id: str
    outcome: Outcome
    agent_id: str
    data: Any = UNKNOWN
    commits: tuple[str, ...] = ()
    """What its agent committed, the first one first."""
    branch: str | None = None
    """A branch of an agent's that git has, with those commits."""
    merged: bool = False
    """Whether the run's own branch has them."""
    failures: tuple[Failure, ...] = ()
    letter: Item | None = None
    """Its dead letter, as it is in the queue."""


@dataclass
class _Known:
    """What one source says of an item."""

    data: Any = UNKNOWN
    completed: bool = False
    failed: bool = False
    commits: tuple[str, ...] = ()
    failures: list[Failure] = field(default_factory=list)


def items(store: str, run: Run, *, broken: Broken = reading.quiet) -> dict[str, RunItem]:
    """Return the items of a MapReduce that something is known of, in their order.

    Git is asked, where the run's repository is known, and not written to. Raises nothing: what cannot
    be read is reported.
    """
    known: dict[str, _Known] = {}
    _from_checkpoint(store, run, known, broken)
    _from_events(store, run, known, broken)
    letters = {one.item_id: one for one in dead_letters(store, run, broken=broken)}
    left = agents(store, run, broken=broken)
    made = _Made()
    try:
        made = _from_git(run)
    except ProdigyError as error:
        broken(f"job {run.job_id}: git does not say what its agents committed ({error})")
    names = {*known, *letters, *left, *made.branches, *made.merged, *made.without}
    return {
        name: _item(run, name, known.get(name, _Known()), letters.get(name), name in left, made)
        for name in sorted(names, key=_order)
    }


def with_input(found: dict[str, RunItem], given: list[Any], run: Run) -> dict[str, RunItem]:
    """Return the items with the data of the run's input, which Prodigy numbers from 0.

    Raises `ProdigyError` where that is not the input: there are items beyond its end, or a dead letter
    has other data.
    """
    every = dict(found)
    for number, data in enumerate(given):
        name = f"item_{number}"
        before = every.get(name)
        if before is not None and before.data is not UNKNOWN and before.data != data:
            raise ProdigyError(
                f"{name} has other data in Prodigy's files: give the run's own input"
            )
        every[name] = (
            RunItem(name, "pending", _agent_of(run, name), data)
            if before is None
            else replace(before, data=data)
        )
    beyond = [name for name in found if _order(name)[0] >= len(given)]
    if beyond:
        raise ProdigyError(
            f"the run has {beyond[-1]}, and the input ends with item_{len(given) - 1}: give the run's "
            "own input"
        )
    return dict(sorted(every.items(), key=lambda pair: _order(pair[0])))


def _item(
    run: Run, name: str, known: _Known, letter: Item | None, is_left: bool, made: "_Made"
) -> RunItem:
    outcome: Outcome = "pending"
    # What is in the queue was not done since: Prodigy takes it out then.
    if letter is not None:
        outcome = "dead"
    elif known.completed or name in made.merged or name in made.branches:
        outcome = "completed"
    elif known.failed:
        outcome = "dead"
    elif is_left:
        outcome = "under_way"
    elif name in made.without:
        outcome = "completed"
    failures = list(known.failures)
    data = known.data
    if letter is not None:
        failures = letter.failure_history or failures
        work = letter.work_item
        data = work["data"] if isinstance(work, dict) and "data" in work else work
    done = outcome == "completed"
    return RunItem(
        item_id=name,
        outcome=outcome,
        agent_id=_agent_of(run, name),
        data=data,
        commits=(made.commits.get(name) or known.commits) if done else (),
        branch=made.branches.get(name) if done else None,
        merged=name in made.merged,
        failures=tuple(failures),
        letter=letter,
    )


def _agent_of(run: Run, name: str) -> str:
    return f"{run.job_id}_agent_{name.removeprefix('item_')}"


def _order(name: str) -> tuple[int, str]:
    number = name.removeprefix("item_")
    return (int(number), name) if number != name and number.isdigit() else (-1, name)


def _from_checkpoint(store: str, run: Run, known: dict[str, _Known], broken: Broken) -> None:
    saved = job_checkpoint(store, run, broken=broken)
    if saved is None:
        return
    for name, data in saved.items.items():
        one = known[name] = _Known(data)
        if name in saved.completed:
            one.completed, one.commits = True, saved.completed[name]
        elif name in saved.failed:
            one.failed = True
            one.failures.append(
                Failure.of(
                    {"timestamp": saved.updated_at or "", "error": saved.failed[name],
                     "attempt_number": max(1, saved.attempts.get(name, 1))}
                )
            )  # fmt: skip


def _from_events(store: str, run: Run, known: dict[str, _Known], broken: Broken) -> None:
    at: dict[str, str] = {}
    for event in events(store, run, broken=broken):
        agent = event.agent_id
        if event.type == "AgentStarted" and agent and event.item_id:
            at[agent] = event.item_id
        elif event.type in ("AgentCompleted", "AgentFailed"):
            name = event.item_id or at.get(agent or "")
            if name is not None:
                _ended(known.setdefault(name, _Known()), event)
        elif event.type == "JobStarted":
            total = event.own().get("total_items")
            for number in range(total if isinstance(total, int) and 0 <= total < 1 << 20 else 0):
                known.setdefault(f"item_{number}", _Known())


def _ended(one: _Known, event: Event) -> None:
    own = event.own()
    if event.type == "AgentCompleted":
        shas = own.get("commits")
        one.completed, one.failed = True, False
        if isinstance(shas, list) and not one.commits:
            one.commits = tuple(sha for sha in shas if isinstance(sha, str))
        return
    error = own.get("error")
    one.failed = not one.completed and own.get("retry_eligible") is not True
    one.failures.append(
        Failure.of(
            {"timestamp": event.timestamp or "", "error": error if isinstance(error, str) else "",
             "attempt_number": len(one.failures) + 1, "agent_id": event.agent_id}
        )
    )  # fmt: skip


@dataclass
class _Made:
    """What git has of a run's agents, by item."""

    branches: dict[str, str] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    without: set[str] = field(default_factory=set)
    """Those whose agent has left the branch that it began with, and none of its own."""
    commits: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _from_git(run: Run) -> _Made:
    made = _Made()
    if run.common is None:
        return made
    begun, tips = _branches(run, run.common, made)
    made.without = begun - made.branches.keys()
    starts = [tip for tip in (run.branch, run.target) if tip is not None]
    asked = [f"refs/heads/{name}" for name in starts]
    asked = [
        ref for ref in asked if git_status(run.common, "rev-parse", "-q", "--verify", ref)[0] == 0
    ]
    history = _history(run, run.common, [*asked, *tips.values()])
    # Where an agent's worktree began: each place at which the run's own branch stood.
    stood = {git_status(run.common, "rev-parse", ref)[1].strip() for ref in asked}
    for sha, (parents, subject) in history.items():
        name = _merged_item(run, subject) if len(parents) == 2 else None
        if name is not None:
            made.merged.add(name)
            tips.setdefault(name, parents[1])
            stood |= {sha, parents[0]}
    for name, tip in tips.items():
        own = []
        at: str | None = tip
        while at is not None and at in history and at not in stood:
            own.append(at)
            at = next(iter(history[at][0]), None)
        made.commits[name] = tuple(reversed(own))
    return made


def _branches(run: Run, common: str, made: _Made) -> tuple[set[str], dict[str, str]]:
    """Note the agents' branches; return the items that one was begun for, and the tips by item."""
    prefixes = (f"agent-{run.job_id}_agent_", f"prodigy-{AGENT}{run.job_id}_agent_")
    patterns = [f"refs/heads/{prefix}*" for prefix in prefixes]
    listed = git_status(common, "for-each-ref", "--format=%(objectname) %(refname)", *patterns)
    begun = set()
    tips = {}
    for line in listed[1].splitlines():
        sha, _, ref = line.partition(" ")
        branch = ref.removeprefix("refs/heads/")
        if branch.startswith(prefixes[1]):
            number = branch.removeprefix(prefixes[1])
            if number.isascii() and number.isdigit():
                begun.add(f"item_{int(number)}")
            continue
        name = _named(run, branch)
        if name is not None:
            made.branches[name] = branch
            tips[name] = sha
    return begun, tips


def _named(run: Run, branch: str) -> str | None:
    """Return the item of an agent's branch, which names it twice."""
    number, _, name = branch.removeprefix(f"agent-{run.job_id}_agent_").partition("-")
    fits = number.isascii() and number.isdigit() and name == f"item_{number}"
    return name if fits else None


def _merged_item(run: Run, subject: str) -> str | None:
    branch = subject.removeprefix("Merge agent ")
    begins = branch.startswith(f"agent-{run.job_id}_agent_")
    return _named(run, branch) if branch != subject and begins else None


def _history(run: Run, common: str, tips: list[str]) -> dict[str, tuple[list[str], str]]:
    """Return (parents, subject) of the commits that were made since the run began."""
    if not tips:
        return {}
    since = [] if run.began is None else [f"--since={run.began[:19]}Z"]
    asked = ["log", "--format=%H %P%x00%s", *since, "--stdin"]
    # There may be more than fit on a command line.
    wanted = "".join(f"{tip}\n" for tip in dict.fromkeys(tips))
    status, out, err = git_status(common, *asked, stdin=wanted.encode("utf-8", "surrogateescape"))
    if status != 0:
        raise ProdigyError(err.strip().splitlines()[-1] if err.strip() else "git log failed")
    found = {}
    for line in out.split("\n"):
        shas, _, subject = line.partition("\0")
        sha, *parents = shas.split()[:3] or [""]
        if sha:
            found[sha] = (parents, subject)
    return found
