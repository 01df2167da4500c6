"""Stopping agents that `run` started, wherever its terminal is.

The request is written, then the command's processes are asked to end, and after a while made to.
The worker records what became of the item. Where it is gone, this does, once nothing of the command is.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, liveness, peek, summary
from prodigy_git.lifecycle import command_process, stop_requests
from prodigy_git.lifecycle import finish as finishing
from prodigy_git.lifecycle.command_process import Command, Ending
from prodigy_git.store import ended_by_others, sessions
from prodigy_git.store.events import Broken

_PATIENCE = 30.0
"""Seconds that a worker gets to record the end of its command."""
_BEGINNING = 5.0
"""Seconds that are waited for a command that is about to begin."""
_PAUSE = 0.05


@dataclass(frozen=True)
class Agent:
    """An agent at work on an item, as `summary.at_work` has it."""

    job_id: str
    item_id: str
    agent_id: str
    attempt: int
    session_id: str
    """Empty where there is none."""
    worktree: str | None
    alive: bool | None
    by_run: bool
    """Whether `run` claimed its item: its owner holds a lock then."""
    over: bool = False
    """Whether others have ended this attempt (`finish`), while its command goes on."""
    host: str | None = None
    """The host that it is on, where that is another one: nothing of it can be stopped from here."""


@dataclass(frozen=True)
class Stopped:
    """What was stopped; ``state`` is the item's, ``enforced``: it did not end when it was asked to."""

    job_id: str
    item_id: str
    agent_id: str
    attempt: int
    session_id: str
    worktree: str | None
    state: str
    enforced: bool

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``stop --json`` prints them."""
        return asdict(self)


def at_work(store: str, repo: str, job: str | None, broken: Broken) -> list[Agent]:
    """Return who is at work on a job's items; without a job on those of all, also of those over.

    Commands of `run` that go on after their item was ended are among them. Raises `ProdigyError` where
    there is no such job.
    """
    found = []
    for name in summary.known(store, repo) if job is None else [job]:
        with peek.opened(store, repo, name, broken) as index:
            rows = summary.at_work(index)
        found += [
            Agent(
                name, row["item_id"], row["agent_id"], row["attempt"], row["session_id"] or "",
                row["worktree"], row["alive"],
                (row["owner"] or {}).get("lock") is not None,
                host=row["host"] if row.get("host_id") is not None else None,
            )
            for row in rows
            if row["agent_id"] is not None
        ]  # fmt: skip
        in_progress = {row["session_id"] for row in rows}
        found += [
            Agent(
                name, one.item_id, one.agent_id, one.attempt, one.session_id,
                _worktree(store, repo, one.session_id), alive=True, by_run=True, over=True,
            )
            for one in command_process.noted(store, repo, name)
            if one.session_id not in in_progress
        ]  # fmt: skip
    return found


def _worktree(store: str, repo: str, session: str) -> str | None:
    path = f"{layout.worktrees(store, repo)}/{session}"
    return path if os.path.isdir(path) else None


def named(agents: Sequence[Agent], name: str) -> Agent:
    """Return whom an agent's, item's or session's id means. Raises `ProdigyError`."""
    found = [one for one in agents if name in (one.agent_id, one.item_id, one.session_id)]
    if not found:
        raise ProdigyError(
            f"no agent or item {name} is at work here: 'prodigy-git status' shows who is"
        )
    if len(found) > 1:
        which = ", ".join(f"{one.session_id} (job {one.job_id})" for one in found)
        raise ProdigyError(f"{name} may be any of {which}: name one of these")
    return found[0]


def stop(
    store: str,
    repo: str,
    agents: Sequence[Agent],
    *,
    fail: bool,
    grace: float,
    broken: Broken,
    refused: Callable[[str], None],
) -> list[Stopped]:
    """Stop agents, all at once; ``grace`` is in seconds. ``refused`` is told who cannot be, and why."""
    under_way: list[tuple[Agent, Command, Ending]] = []
    for agent in agents:
        try:
            command = _command(store, repo, agent)
            ending = Ending(command, grace)
            if not ending.alive() and liveness.is_it(command.worker):
                raise ProdigyError(
                    f"its command, process {command.process['pid']}, is gone: it is about to end"
                )
            under_way.append((agent, command, ending))
        except ProdigyError as why:
            refused(f"agent {agent.agent_id}, item {agent.item_id}: {why}")
    for agent, _, _ in under_way:
        stop_requests.put(store, repo, agent.job_id, agent.session_id, fail=fail)
    waiting, ended = list(under_way), []
    while waiting:
        for one in list(waiting):
            try:
                if not one[2].go_on():
                    continue
                ended.append(one)
            except ProdigyError as why:
                stop_requests.take(store, repo, one[0].job_id, one[0].session_id)
                refused(f"agent {one[0].agent_id}, item {one[0].item_id}: {why}")
            waiting.remove(one)
        time.sleep(_PAUSE)
    return [
        _recorded(store, repo, agent, command, ending.enforced, fail, broken)
        for agent, command, ending in ended
    ]


def _command(store: str, repo: str, agent: Agent) -> Command:
    if agent.host is not None:
        raise ProdigyError(f"it is on host {agent.host}: 'prodigy-git stop {agent.agent_id}' there")
    where = store, repo, agent.job_id, agent.session_id
    command = command_process.find(*where)
    until = time.monotonic() + _BEGINNING
    while command is None and agent.by_run and agent.alive and time.monotonic() < until:
        time.sleep(_PAUSE)  # its worktree is being made
        command = command_process.find(*where)
    if command is None:
        raise ProdigyError(
            "no command of 'run' is known for it: it was claimed in another way, or is about to "
            "begin or to end; 'prodigy-git job show' says which process has it"
        )
    return command


def _recorded(
    store: str, repo: str, agent: Agent, command: Command, enforced: bool, fail: bool,
    broken: Broken,
) -> Stopped:  # fmt: skip
    """Wait until the end is in the log; where the worker is gone, write it."""
    until, written = time.monotonic() + _PATIENCE, False
    while (state := _state(store, repo, agent, broken)) is None:
        if not liveness.is_it(command.worker):
            if written:
                broken(
                    f"item {agent.item_id}: its end could not be recorded; the next command on the "
                    "job does that"
                )
                state = "in_progress"
                break
            written = True
            if _state(store, repo, agent, broken) is None:
                _write(store, agent, fail, broken)
        elif time.monotonic() > until:
            broken(
                f"item {agent.item_id}: process {command.worker.get('pid')}, which started the "
                "command, has not recorded its end yet; it does when it goes on"
            )
            state = "in_progress"
            break
        else:
            time.sleep(_PAUSE)
    if not liveness.is_it(command.worker):
        stop_requests.take(store, repo, agent.job_id, agent.session_id)
        command_process.forget(store, repo, agent.job_id, agent.session_id)
    return Stopped(
        agent.job_id, agent.item_id, agent.agent_id, agent.attempt, agent.session_id,
        agent.worktree, state, enforced,
    )  # fmt: skip


def _state(store: str, repo: str, agent: Agent, broken: Broken) -> str | None:
    """Return how the item stands; None while this very attempt at it goes on."""
    with peek.opened(store, repo, agent.job_id, broken) as index:
        item = index.item(agent.item_id)
        if item is None:
            return "unknown"
        view = books.view(item)
    if view.state == "in_progress" and view.attempt == agent.attempt:
        return None
    return view.state


def _write(store: str, agent: Agent, fail: bool, broken: Broken) -> None:
    found = sessions.load(store, agent.session_id)
    if found.ended and ended_by_others.by_others(found) is None:
        return
    finishing.finish(
        store, agent.session_id, failed=fail, cancelled=not fail, error=stop_requests.WORDS,
        broken=broken,
    )  # fmt: skip
