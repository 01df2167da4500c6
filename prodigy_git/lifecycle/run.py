"""Working on a job's items: claim one, make its worktree, run a command there, record how it ended."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.gitenv import drop_local_variables
from prodigy_git.jobs import claims, endings, owner
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import finish as finishing
from prodigy_git.lifecycle import process
from prodigy_git.lifecycle.new_worktree import NewWorktree, new_worktree
from prodigy_git.record import clock, files, within
from prodigy_git.store.events import Broken

_ARGUMENT = 100_000  # bytes that an environment variable may have on every system


@dataclass(frozen=True)
class Wish:
    """What is to be run, and how; lengths of time are in seconds."""

    command: Sequence[str]
    agent: str | None = None
    timeout: float | None = None
    attempts: int | None = None
    backoff: float = 1.0
    commit_required: bool = False
    base: str | None = None


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended; ``state`` is what became of the item."""

    item_id: str
    attempt: int
    session_id: str
    state: str
    exit_status: int
    signalled: int | None
    ready_at: int | None
    """When it may be tried again, in microseconds since 1970, if it waits for that."""


def attempt(
    store: str, repo: str, job: str, cwd: str, wish: Wish, item: str | None, broken: Broken
) -> Attempt | None:
    """Claim ``item``, or the next, and work on it once; None where there is nothing to be had now.

    If this is killed, the item stays owned for as long as any process of the command lives; then the
    next command on the job gives it back. Raises `ProdigyError` where the item cannot be had, or the
    command cannot be started; `OSError`.
    """
    session = names.fresh("agent")
    # Asked before anything is claimed: the output has to go somewhere.
    within.refuse_links(store, layout.run_log(store, repo, job, session))
    held, descriptor = owner.hold(store, repo, job)
    try:
        claim = claims.claim(
            store, repo, job, agent=wish.agent or session, item=item, owner=held.as_json(),
            worktree=session, broken=broken,
        )  # fmt: skip
        if claim is None:
            return None
        if wish.attempts is not None:
            last = claim.attempt - claim.tried + wish.attempts
            claim = replace(claim, max_attempts=last)
        try:
            made = new_worktree(
                cwd, name=session, job=job, agent=claim.agent_id, item=claim.item_id,
                base=wish.base, claimed=claim.attempt, broken=broken,
            )  # fmt: skip
        except (ProdigyError, OSError) as error:
            return _no_worktree(store, repo, job, claim, session, wish, str(error), broken)
        except BaseException:
            _give_back(store, repo, job, claim, session, broken)
            raise
        return _work(store, repo, made, claim, wish, descriptor, broken)
    finally:
        os.close(descriptor)


def _no_worktree(
    store: str,
    repo: str,
    job: str,
    claim: Claim,
    session: str,
    wish: Wish,
    error: str,
    broken: Broken,
) -> Attempt:
    broken(f"item {claim.item_id}: no worktree ({error})")
    backoff = _backoff(claim, wish)
    ended = claims.fail(
        store, repo, job, claim, error=error, reason="WorktreeError", backoff_ms=backoff,
        session=session, broken=broken,
    )  # fmt: skip
    return Attempt(
        claim.item_id, claim.attempt, session, ended.state, 1, None, _ready(ended.state, backoff)
    )


def _give_back(store: str, repo: str, job: str, claim: Claim, session: str, broken: Broken) -> None:
    claims.fail(
        store, repo, job, claim, error="interrupted while the worktree was made",
        reason="WorktreeError", session=session, broken=broken,
    )  # fmt: skip


def _backoff(claim: Claim, wish: Wish) -> int:
    """Return how many milliseconds an item waits for its next try, if there is one."""
    return endings.backoff(claim.tried, wish.backoff)


def _ready(state: str, backoff: int | None) -> int | None:
    if state != "pending":
        return None
    return clock.now() + (backoff or 0) * 1000


def _work(
    store: str,
    repo: str,
    made: NewWorktree,
    claim: Claim,
    wish: Wish,
    descriptor: int,
    broken: Broken,
) -> Attempt:
    log_path = layout.run_log(store, repo, made.job_id, made.session_id)
    reason = error = None
    ran = None
    try:
        ran = process.run(
            wish.command, cwd=made.worktree, env=_environment(store, made, claim, log_path),
            log_path=log_path, inherited=descriptor, timeout=wish.timeout,
        )  # fmt: skip
    except OSError as trouble:
        reason, error = "CommandFailed", f"{wish.command[0]} cannot be started: {trouble.strerror}"
    if ran is not None:
        reason, error = _why_failed(store, made, ran, wish, broken)
        if ran.left:
            broken(f"item {claim.item_id}: {ran.left} processes that the command left were ended")
    backoff = _backoff(claim, wish)
    done = finishing.finish(
        store, made.session_id, failed=error is not None, error=error, log_path=log_path,
        failure=finishing.Failure(reason or "Unknown", backoff, claim.max_attempts), broken=broken,
    )  # fmt: skip
    state = done.item_state or "pending"
    status = 127 if ran is None else ran.exit_status
    return Attempt(
        claim.item_id, claim.attempt, made.session_id, state,
        status or (1 if error is not None else 0), None if ran is None else ran.signalled,
        _ready(state, backoff),
    )  # fmt: skip


def _why_failed(
    store: str, made: NewWorktree, ran: process.Ran, wish: Wish, broken: Broken
) -> tuple[str | None, str | None]:
    """Return (failure_reason, error); None for a command that did well."""
    if ran.timed_out:
        return "Timeout", f"Timeout after {wish.timeout:g} seconds"
    if ran.signalled is not None and ran.status != 0:
        return "Unknown", f"interrupted by signal {ran.signalled}"
    if ran.status < 0:
        return "CommandFailed", f"the command died by signal {-ran.status}"
    if ran.status > 0:
        return "CommandFailed", f"the command exited with status {ran.status}"
    if wish.commit_required and not finishing.commits_of(store, made.session_id, broken):
        return "CommitValidationFailed", "the command made no commit"
    return None, None


def _environment(store: str, made: NewWorktree, claim: Claim, log_path: str) -> dict[str, str]:
    """Return what the command finds in its environment (docs/run.md)."""
    env = dict(os.environ)
    drop_local_variables(env)  # of a hook or an alias that we were started from
    data = json.dumps(claim.data)
    item_path = f"{log_path.removesuffix('.log')}.item.json"
    files.make_private(os.path.dirname(item_path))
    files.replace(item_path, data.encode("ascii"))
    env |= {
        "PRODIGY_HOME": store,
        "PRODIGY_JOB_ID": made.job_id,
        "PRODIGY_SESSION_ID": made.session_id,
        "PRODIGY_AGENT_ID": claim.agent_id,
        "PRODIGY_ITEM_ID": claim.item_id,
        "PRODIGY_ITEM_FILE": item_path,
        "PRODIGY_ATTEMPT": str(claim.attempt),
        "PRODIGY_WORKTREE": made.worktree,
        "PRODIGY_LOG": log_path,
    }
    if len(data) <= _ARGUMENT:
        env["PRODIGY_ITEM"] = data
    else:
        env.pop("PRODIGY_ITEM", None)
    return env


def until_done(
    store: str,
    repo: str,
    job: str,
    cwd: str,
    wish: Wish,
    item: str | None,
    after: Callable[[Attempt], None],
    broken: Broken,
) -> Attempt | None:
    """Work on one item, again and again until it is completed or given up; None if there is none.

    ``after`` is called with each attempt.
    """
    while True:
        done = attempt(store, repo, job, cwd, wish, item, broken)
        if done is None:
            return None
        after(done)
        item = done.item_id
        if done.signalled is not None or done.ready_at is None:
            return done
        _sleep_until(done.ready_at)


def until_none_is_left(
    store: str,
    repo: str,
    job: str,
    cwd: str,
    wish: Wish,
    after: Callable[[Attempt], None],
    broken: Broken,
) -> tuple[int, int | None]:
    """Work on item after item; return how many this worker failed for good, and a signal it was sent.

    Where all that is pending waits for its next try, this waits too. It does not wait for what others
    have in progress.
    """
    given_up = 0
    while True:
        done = attempt(store, repo, job, cwd, wish, None, broken)
        if done is not None:
            after(done)
            given_up += done.state in ("dead", "failed")
            if done.signalled is not None:
                return given_up, done.signalled
            continue
        left = claims.waiting(store, repo, job, broken)
        if left.status != "running" or left.ready_at is None:
            if not (left.status == "running" and left.pending):
                return given_up, None
        else:
            _sleep_until(left.ready_at)


def _sleep_until(moment: int) -> None:
    time.sleep(max(0, moment - clock.now()) / clock.SECOND)
