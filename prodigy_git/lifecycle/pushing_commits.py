"""The work of an attempt, pushed to a remote once its end is recorded: `run --push`.

The order, and what a kill after each step leaves:

1. noted as to be pushed (`to_push`)     the next push to that remote, of whoever, makes up for it
2. `git push`, never forced              as before: then git says that it is there already
3. the event, in the job's log           as before; it has the same id, however often it is written
4. the note is taken away                nothing is left

The ref is the branch's name with the session's behind it: two hosts may well work on a branch of one
name, but a session is one attempt's alone.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from prodigy_git import duration, encoding, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import branch_names, remotes, repository
from prodigy_git.git.ask import git_status
from prodigy_git.jobs import liveness
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import to_push
from prodigy_git.lifecycle.interrupts import Interrupted, Signals
from prodigy_git.lifecycle.new_worktree import NewWorktree
from prodigy_git.lifecycle.to_push import Owed
from prodigy_git.record import clock, gitdir, locks, log
from prodigy_git.store.broken import Broken

SETTING = "prodigy.pushTimeout"
_PATIENCE = 120.0  # seconds that a push may take, unless the setting says otherwise
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 600.0
"""Seconds in which a remote that was away is not tried again."""
_OTHERS = 200
"""How many that could not be pushed before are pushed together with a new one."""


@dataclass
class Destination:
    """A remote, and since when it is away; ``patience`` is in seconds."""

    store: str
    repo: str
    cwd: str
    remote: str
    url: str
    """Without credentials."""
    patience: float
    pause: float = 0.0
    again_at: float = 0.0
    """When it is tried again, by the monotonic clock."""


@dataclass(frozen=True)
class Pushed:
    """What came of an attempt's push; ``error`` is None where the commit is there."""

    remote: str
    url: str
    ref: str
    head: str
    error: str | None


def to(store: str, repo: str, cwd: str, remote: str) -> Destination:
    """Return a remote as where attempts are pushed to.

    Raises `ProdigyError` where there is no such remote, or the setting is no length of time.
    """
    url = remotes.url(cwd, remote)
    text = repository.config(cwd, SETTING)
    patience = None if text is None else duration.parse(text)
    if text is not None and not patience:
        raise ProdigyError(f"git config {SETTING} {text!r} is no duration: write 30s or 5m")
    seconds = _PATIENCE if patience is None else patience / clock.SECOND
    return Destination(store, repo, cwd, remote, url, seconds)


def push(
    where: Destination, made: NewWorktree, claim: Claim, signals: Signals, broken: Broken
) -> Pushed | None:
    """Push what an attempt has committed; None where that is nothing.

    With it goes what could not be pushed before. Whatever fails is said, and recorded where it can be:
    the attempt has ended, and stands. A signal ends the push alone.
    """
    try:
        head = _head(where.cwd, made)
        if head is None:
            return None
        mine = Owed(
            made.job_id, made.session_id, claim.agent_id, claim.item_id, claim.attempt, where.remote,
            ref_of(made), head, liveness.described(os.getpid()),
        )  # fmt: skip
        to_push.note(where.store, where.repo, mine)
    except (ProdigyError, OSError) as trouble:
        broken(f"item {claim.item_id}: its commits are not pushed to {where.remote} ({trouble})")
        return None
    if time.monotonic() < where.again_at:
        error: str | None = _set_aside(
            where, [mine], f"{where.remote} was away a moment ago", mine, broken
        )
    else:
        error = _push(where, mine, signals, broken)
    if error is not None:
        broken(f"item {claim.item_id}: its commits are not pushed to {where.remote} ({error})")
    return Pushed(where.remote, where.url, mine.ref, mine.head, error)


def make_up(where: Destination, signals: Signals, broken: Broken) -> bool:
    """Push what could not be pushed before; say what is still not. Return whether there was any."""
    there = bool(_waiting(where))
    if there:
        where.again_at = 0.0
        _push(where, None, signals, broken)
        left = len(_waiting(where))
        if left:
            branches = "1 branch is" if left == 1 else f"{left} branches are"
            broken(f"{branches} not pushed to {where.remote} yet: the next 'run --push' does that")
    return there


def ref_of(made: NewWorktree) -> str:
    """Return the ref that an attempt's commits are pushed to: it has the session's id in it."""
    own = made.branch.rpartition("/")[2]
    if made.session_id in own:
        return f"refs/heads/{made.branch}"
    if len(f"{own}.{made.session_id}".encode()) > branch_names.LONGEST:
        return f"refs/heads/{made.session_id}"
    return f"refs/heads/{made.branch}.{made.session_id}"


def _head(cwd: str, made: NewWorktree) -> str | None:
    """Return the commit that is to be pushed; None where nothing was committed."""
    place = repository.private_of(made.worktree)
    if place is not None:
        _, head = gitdir.head(place)
    else:  # the command has removed it
        head = gitdir.tip(repository.find(cwd), made.branch)
    if head is None:
        return None
    is_old = git_status(cwd, "merge-base", "--is-ancestor", head, made.base_commit)[0] == 0
    return None if is_old else head


def _waiting(where: Destination) -> list[Owed]:
    """Return what is to be pushed there, and nobody is about to."""
    return [
        one
        for one in to_push.read(where.store, where.repo)
        if one.remote == where.remote
        and (one.by is None or liveness.alive(where.store, one.by) is not True)
    ]


def _push(where: Destination, mine: Owed | None, signals: Signals, broken: Broken) -> str | None:
    """Push ``mine``, and what waits; return why mine is not there, if it is not."""
    with contextlib.ExitStack() as stack:
        wanted = [] if mine is None else [mine]
        with contextlib.suppress(OSError):  # another worker sees to those that wait
            lock = locks.take(layout.push_lock(where.store, where.repo), 0)
            stack.callback(os.close, lock)
            wanted += _waiting(where)[:_OTHERS]
        if not wanted:
            return None
        try:
            with signals.heeded(earlier_too=False):
                told = remotes.push(
                    where.cwd, where.remote, [(one.head, one.ref) for one in wanted], where.patience
                )
        except Interrupted as stop:
            return _set_aside(where, wanted, f"interrupted by signal {stop.number}", mine, broken)
        except (ProdigyError, OSError) as trouble:
            where.pause = min(max(_FIRST_PAUSE, 2 * where.pause), _LONGEST_PAUSE)
            where.again_at = time.monotonic() + where.pause
            return _set_aside(where, wanted, str(trouble), mine, broken)
        where.pause = 0.0
        for one in wanted:
            error = told[one.ref]
            if one is not mine and error is not None:
                broken(
                    f"item {one.item_id}: its commits are not pushed to {where.remote} ({error})"
                )
            # What is refused would be once more: the branch is here, and its user is told.
            _settle(where, one, error, broken)
        return None if mine is None else told[mine.ref]


def _set_aside(
    where: Destination, left: list[Owed], why: str, mine: Owed | None, broken: Broken
) -> str:
    """Have others, too, push what could not be pushed now; record it of mine, and return why."""
    waiting = [replace(one, by=None) for one in left]
    _keep(lambda: to_push.note(where.store, where.repo, *waiting), broken)
    if mine is not None:
        _keep(lambda: _record(where, mine, why), broken)
    return why


def _settle(where: Destination, one: Owed, error: str | None, broken: Broken) -> None:
    """Record what came of a push, and take its note away."""

    def tell() -> None:
        _record(where, one, error)

    _keep(lambda: to_push.settle(where.store, where.repo, one, tell), broken)


def _record(where: Destination, one: Owed, error: str | None) -> None:
    """Write into the job's log where a session's commits are, or why they are not there."""
    kind = "BranchPushed" if error is None else "BranchNotPushed"
    event: dict[str, Any] = {
        "id": log.event_id(one.session_id, f"{kind}:{where.url}:{one.ref}:{one.head}"),
        "timestamp": "", "type": kind, "event_type": kind, "correlation_id": one.session_id,
        "job_id": one.job_id, "session_id": one.session_id, "agent_id": one.agent_id,
        "item_id": one.item_id, "attempt": one.attempt, "remote": where.remote,
        "url": encoding.valid(where.url), "ref": encoding.valid(one.ref), "head": one.head,
    }  # fmt: skip
    if error is not None:
        event["error"] = encoding.valid(error)
    log.append(where.store, where.repo, one.job_id, [event])


def _keep(write: Callable[[], object], broken: Broken) -> None:
    try:
        write()
    except OSError as trouble:  # a full disk: the branch is there, here and where it was pushed to
        broken(f"what was pushed could not be written down ({trouble})")
