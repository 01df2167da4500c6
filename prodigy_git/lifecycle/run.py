"""Working on a job's items: claim one, make its worktree, run a command there, record how it ended.

Signals are heeded while nothing is lost by it: until the worktree is there, and while we wait. From
then on the command is told; what it did is recorded, and then the worker stops.
"""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError, Unsure
from prodigy_git.jobs import claims, endings, owner
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import (
    command_environment,
    command_process,
    elapsing,
    judging,
    preparing,
    process,
    pushing_commits,
    ready,
    reporting,
    stop_requests,
)
from prodigy_git.lifecycle.interrupts import Signals
from prodigy_git.lifecycle.lease import Lease, Terms
from prodigy_git.lifecycle.new_worktree import NewWorktree, new_worktree
from prodigy_git.lifecycle.pool import Member
from prodigy_git.lifecycle.sinks import Ours
from prodigy_git.lifecycle.streams import WholeLines
from prodigy_git.record import clock, files, redacting, within
from prodigy_git.store.events import Broken
from prodigy_git.store.runlog import LIMIT, RunLog

_HIGH = 100
"""The lock's descriptor is above those that scripts use for their own (``exec 3>file``)."""


@dataclass(frozen=True)
class Wish:
    """What is to be run, and how; lengths of time are in seconds, sizes in bytes."""

    command: Sequence[str]
    agent: str | None = None
    timeout: float | None = None
    attempts: int | None = None
    backoff: float = 1.0
    commit_required: bool = False
    base: str | None = None
    stdin: bool = False
    log_limit: int = LIMIT
    pty: bool = False
    setup: bool = True
    terms: Terms | None = None
    """On which terms items of a shared job are claimed; None: the job is not shared."""
    wait: float | None = None
    """For how long another item, or a hub that is away, is waited for; None: not at all."""


@dataclass(frozen=True)
class Worker:
    """Who works, where, and through what it hears and speaks."""

    store: str
    repo: str
    job: str
    cwd: str
    wish: Wish
    signals: Signals
    ours: Ours
    broken: Broken
    push: pushing_commits.Destination | None = None
    """Where an attempt's commits are pushed to, if anywhere."""
    member: Member | None = None
    """Its place in a pool, if it is in one."""
    whole_lines: Callable[[str], WholeLines] | None = None
    """Puts an agent's output together to lines; None: it is passed on as it comes."""


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended; ``state`` is what became of the item."""

    job_id: str
    item_id: str
    attempt: int
    agent_id: str
    session_id: str
    state: str
    exit_status: int
    interrupted: int | None
    """The signal that was passed on to the command before its end."""
    error: str | None
    log: str
    ready_at: int | None
    """When it may be tried again, in microseconds since 1970, if it waits for that."""
    pushed: pushing_commits.Pushed | None = None
    """What came of pushing its commits, where that was wanted, and there were any."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``run --json`` prints them."""
        fields = asdict(self)
        fields["signal"] = fields.pop("interrupted")
        ready_at = fields.pop("ready_at")
        return fields | {"ready_at": None if ready_at is None else clock.stamp(ready_at)}


class NoWorktree(ProdigyError):
    """The worktree could not be made; the item was given back."""


def attempt(worker: Worker, item: str | None) -> Attempt | None:
    """Claim ``item``, or the next, and work on it once; None where there is nothing to be had now.

    If this is killed, the item stays owned for as long as any process of the command lives; then the
    next command on the job gives it back. Raises `ProdigyError` where the item cannot be had,
    `NoWorktree`, `ready.CannotStart`, `Interrupted`: the item is given back then. `OSError`.
    """
    session = names.fresh("agent")
    # Asked before anything is claimed: the output has to go somewhere.
    within.refuse_links(
        worker.store, layout.run_log(worker.store, worker.repo, worker.job, session)
    )
    held, descriptor = owner.hold(worker.store, worker.repo, worker.job)
    try:
        descriptor = _out_of_the_way(descriptor)
        with ExitStack() as kept:
            begun = _begin(worker, item, session, held.as_json(), kept)
            return None if begun is None else _work(worker, *begun, descriptor, kept)
    finally:
        os.close(descriptor)


def _out_of_the_way(descriptor: int) -> int:
    """Return a high number for a descriptor: the command has its own uses for the low ones."""
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # `ulimit -n` is lower than that
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return high


def _begin(
    worker: Worker, item: str | None, session: str, held: dict[str, Any], kept: ExitStack
) -> tuple[NewWorktree, Claim, Lease | None] | None:
    """Claim an item and make its worktree; whatever comes between, the claim is given back.

    The lease of a shared job's item is renewed from then on until ``kept`` is left.
    """
    where = worker.store, worker.repo, worker.job
    wish, claim, lease = worker.wish, None, None
    try:
        with worker.signals.heeded():
            asked = elapsing.now()
            claim = claims.claim(
                *where, agent=wish.agent or session, item=item, owner=held, worktree=session,
                lease=None if wish.terms is None else wish.terms.lease, broken=worker.broken,
            )  # fmt: skip
            if claim is None:
                return None
            if wish.terms is None and claim.lease_until is not None:
                raise ProdigyError(f"job {worker.job} is shared since a moment ago: run it again")
            if wish.terms is not None:
                lease = Lease(where, claim, wish.terms, asked, worker.broken)
                kept.callback(lease.stop)
                lease.start()
            if wish.attempts is not None:
                last = claim.attempt - claim.tried + wish.attempts
                claim = replace(claim, max_attempts=last)
            made = new_worktree(
                worker.cwd, name=session, job=worker.job, agent=claim.agent_id,
                item=claim.item_id, base=wish.base, claimed=claim.attempt, setup=wish.setup,
                approve=preparing.refuse, say=worker.broken, broken=worker.broken,
            )  # fmt: skip
            if lease is not None and (lost := lease.lost()) is not None:
                raise ProdigyError(lost)
            return made, claim, lease
    except (ProdigyError, OSError) as error:
        kept.close()
        if claim is None:
            if isinstance(error, (OSError, Unsure)):  # the claim may be in the log all the same
                reporting.give_back(*where, session, str(error), worker.broken)
            raise
        reporting.give_back(*where, session, f"no worktree: {error}", worker.broken)
        raise NoWorktree(f"item {claim.item_id}: no worktree ({error}); given back") from error
    except (
        BaseException
    ) as stop:  # an interruption; the claim may be in the log without our knowing
        kept.close()
        reporting.give_back(*where, session, str(stop) or "interrupted", worker.broken)
        raise


def _work(
    worker: Worker, made: NewWorktree, claim: Claim, lease: Lease | None, descriptor: int,
    kept: ExitStack,
) -> Attempt:  # fmt: skip
    log_path = layout.run_log(worker.store, worker.repo, made.job_id, made.session_id)
    stem = log_path.removesuffix(".log")
    item_path, result_path = f"{stem}.item.json", f"{stem}.result.json"
    wish = worker.wish
    if worker.member is not None:
        worker.member.tell(
            "began", agent_id=claim.agent_id, item_id=claim.item_id, attempt=claim.attempt,
            session_id=made.session_id,
        )  # fmt: skip
    try:
        log = RunLog(log_path, wish.log_limit)
        try:
            files.replace(item_path, json.dumps(claim.data).encode("ascii"))
            if lease is not None:
                lease.command(made.session_id)
            ran = process.run(
                wish.command, cwd=made.worktree, log=log, inherited=descriptor,
                redact=not redacting.is_off(worker.store, worker.repo),
                env=command_environment.of(
                    made, claim, log_path, item_path, result_path, worker.broken
                ),
                signals=worker.signals, ours=worker.ours, stdin=wish.stdin, pty=wish.pty,
                timeout=wish.timeout,
                whole_lines=worker.whole_lines and partial(worker.whole_lines, claim.agent_id),
                started=partial(_note, worker, made, claim),
                due=None if lease is None else lease.due,
            )  # fmt: skip
        finally:
            log.close()
            command_process.forget(worker.store, worker.repo, made.job_id, made.session_id)
    except OSError as trouble:
        reporting.give_back(
            worker.store, worker.repo, worker.job, made.session_id, str(trouble), worker.broken
        )
        if worker.member is not None:
            worker.member.tell("looking")  # it has no item any more
        raise ready.cannot_start(wish.command[0], trouble, made.session_id) from trouble
    lost = None if lease is None or ran.status == 0 else lease.lost()
    if lost is not None:
        command_process.send(
            worker.store, worker.repo, made.job_id, made.session_id, signal.SIGKILL
        )
        ran = replace(ran, interrupted=ran.interrupted or signal.SIGTERM)
    kept.close()
    _say_what_was_odd(worker, claim, ran, log, log_path)
    result = reporting.result_of(result_path, claim.item_id, worker.broken)
    stopped = stop_requests.take(worker.store, worker.repo, made.job_id, made.session_id)
    if stopped == stop_requests.GIVE_BACK:
        # As at a signal to ourselves: or the next item would be the same again.
        worker.signals.came.append(signal.SIGTERM)
        ran = replace(ran, interrupted=ran.interrupted or signal.SIGTERM)
    verdict = judging.verdict(
        worker.store, made.session_id, ran, stopped, result, timeout=wish.timeout,
        commit_required=wish.commit_required, lost=lost, broken=worker.broken,
    )  # fmt: skip
    backoff = endings.backoff(claim.tried, wish.backoff) if verdict.status == "Failed" else 0
    state = reporting.report(
        worker.store, worker.repo, made, claim, verdict, log_path=log_path, backoff_ms=backoff,
        signals=worker.signals, broken=worker.broken,
    )  # fmt: skip
    ready_at, pushed = _ready(state, backoff), None
    if worker.push is not None:
        pushed = pushing_commits.push(worker.push, made, claim, worker.signals, worker.broken)
    status = ran.exit_status
    if verdict.status == "Cancelled" and ran.interrupted is not None:
        status = 128 + ran.interrupted
    elif verdict.status == "Failed":
        status = status or 1
    return Attempt(
        made.job_id, claim.item_id, claim.attempt, claim.agent_id, made.session_id, state, status,
        ran.interrupted, verdict.error, log_path, ready_at, pushed,
    )  # fmt: skip


def _note(worker: Worker, made: NewWorktree, claim: Claim, pid: int, alone: bool) -> None:
    where = worker.store, worker.repo, made.job_id, made.session_id
    try:
        command_process.note(
            *where, pid, alone=alone, agent=claim.agent_id, item=claim.item_id,
            attempt=claim.attempt,
        )  # fmt: skip
    except OSError as trouble:  # a full disk: it can be ended by whoever started it
        worker.broken(f"'prodigy-git stop' will not find agent {made.agent_id} ({trouble})")


def _say_what_was_odd(
    worker: Worker, claim: Claim, ran: process.Ran, log: RunLog, log_path: str
) -> None:
    if ran.left:
        which = "process" if ran.left == 1 else "processes"
        were = "was" if ran.left == 1 else "were"
        worker.broken(
            f"item {claim.item_id}: {ran.left} {which} that the command left {were} ended"
        )
    if log.trouble is not None:
        worker.broken(f"{log_path} is not complete ({log.trouble.strerror})")
    for sink in {worker.ours.out, worker.ours.err}:
        if sink.left_out:
            worker.broken(
                f"item {claim.item_id}: {sink.left_out} bytes of output were not passed on, since "
                f"nobody read them: {log_path} has them"
            )
            sink.left_out = 0


def _ready(state: str, backoff: int) -> int | None:
    return clock.now() + backoff * 1000 if state == "pending" else None
