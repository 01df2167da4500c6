"""Recording how a worker's attempt ended, whatever has happened to session and claim meanwhile."""

import os
import shlex
import sqlite3
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.jobs import books, checked_input, claims, endings
from prodigy_git.jobs.endings import Claim
from prodigy_git.lifecycle import finish as finishing
from prodigy_git.lifecycle.interrupts import Interrupted, Signals
from prodigy_git.lifecycle.new_worktree import NewWorktree
from prodigy_git.model.session import Session
from prodigy_git.record import files, jsonline
from prodigy_git.store import ended_by_others, sessions
from prodigy_git.store.events import Broken

_LONGEST_PAUSE = 60.0  # seconds between two tries to write an end
_TRIES = 3
"""How often an end is tried to be written where we were asked to end ourselves."""


@dataclass(frozen=True)
class Verdict:
    """What a command's end says: ``status`` is the session's, ``error`` why it is no success."""

    status: str
    reason: str | None = None
    error: str | None = None
    result: Any = None


def give_back(store: str, repo: str, job: str, session: str, reason: str, broken: Broken) -> None:
    """Give back what a session has claimed, and end it as Cancelled; never raises for what fails.

    What could not be given back is, by the next command on the job, since its owner is gone then.
    """
    try:
        if os.path.exists(layout.session(store, session)):
            finishing.finish(store, session, cancelled=True, error=reason, broken=broken)
        else:
            claims.release_of(store, repo, job, session, reason, broken)
    except (ProdigyError, OSError, sqlite3.Error) as trouble:
        broken(f"session {session} could not give its item back ({trouble})")


def has_commits(store: str, session: str, broken: Broken) -> bool:
    """Whether a session has made commits that it still has."""
    try:
        return bool(finishing.commits_of(store, session, broken))
    except ProdigyError as trouble:  # it was forgotten, or cleaned
        broken(str(trouble))
        return False


def result_of(path: str, item: str, broken: Broken) -> Any:
    """Return what a command wrote into the file of its result; None where that is nothing usable.

    It is somebody else's file: opened without waiting, and never through a link.
    """
    try:
        descriptor, about = files.opened(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            if about.st_size > checked_input.LARGEST_RESULT:
                raise ProdigyError(f"has more than {checked_input.LARGEST_RESULT} bytes")
            data = os.read(descriptor, checked_input.LARGEST_RESULT + 1)
        finally:
            os.close(descriptor)
        if not data.strip():
            return None
        return checked_input.result(jsonline.decode(data.decode("utf-8")))
    except FileNotFoundError:
        return None
    except (ProdigyError, OSError, ValueError, RecursionError) as trouble:
        broken(f"item {item}: its result is not recorded, {path}: {trouble}")
        return None


def report(
    store: str,
    repo: str,
    made: NewWorktree,
    claim: Claim,
    verdict: Verdict,
    *,
    log_path: str,
    backoff_ms: int,
    signals: Signals,
    broken: Broken,
) -> str:
    """Record an attempt's end, as soon as it can be written; return the item's state.

    The claim is ours for as long as we live: so an end that cannot be written (a full disk) is kept
    and tried again, until a signal asks us to end. Raises `ProdigyError`, with how to record it by
    hand, where it could not be written by then.
    """
    failure = finishing.Failure(verdict.reason or "Unknown", backoff_ms, claim.max_attempts)
    pause, tries, asked = 1.0, 0, bool(signals.came)
    while True:
        try:
            return _report_now(store, repo, made, claim, verdict, failure, log_path, broken)
        except (OSError, sqlite3.Error) as trouble:
            tries += 1
            if tries == 1:
                broken(
                    f"item {claim.item_id}: how it ended cannot be written ({trouble}): it is kept "
                    "here, and tried again until it can be"
                )
            given_up = asked and tries >= _TRIES
            if not asked:
                try:
                    signals.sleep(pause)
                except Interrupted:
                    given_up = True
            if given_up:
                raise ProdigyError(_by_hand(made, verdict, trouble)) from trouble
            pause = min(pause * 2, _LONGEST_PAUSE)


def _by_hand(made: NewWorktree, verdict: Verdict, trouble: Exception) -> str:
    how = (
        ""
        if verdict.status == "Completed"
        else f" --failed --error {shlex.quote(verdict.error or '')}"
    )
    if verdict.status == "Cancelled":
        return (
            f"item {made.item_id} could not be given back ({trouble}): the next command does that"
        )
    # Last, and without quotes around it: the error has its own.
    return (
        f"how item {made.item_id} ended could not be written ({trouble}); when it can be, run: "
        f"prodigy-git finish {made.session_id}{how}"
    )


def _report_now(
    store: str,
    repo: str,
    made: NewWorktree,
    claim: Claim,
    verdict: Verdict,
    failure: finishing.Failure,
    log_path: str,
    broken: Broken,
) -> str:
    found = _session(store, made.session_id)
    # One that others ended, since nobody seemed to be there, is still ours to finish.
    over = found is None or (found.ended and ended_by_others.by_others(found) is None)
    said = _said_already(store, repo, claim, broken)
    if said is not None:
        # By `job done` or `finish` within the command, or by somebody else: what they said stands.
        state, error = said
        if (state == "completed") != (verdict.status == "Completed"):
            words = state.replace("_", " ")
            broken(
                f"item {claim.item_id} is {words} already, since others have said so: that stands"
            )
        if over:
            return state
        verdict = Verdict("Completed") if state == "completed" else Verdict("Failed", None, error)
    if over:
        return _end_claim(store, repo, claim, verdict, failure, log_path, broken)
    try:
        done = finishing.finish(
            store, made.session_id, failed=verdict.status == "Failed",
            cancelled=verdict.status == "Cancelled", error=verdict.error, log_path=log_path,
            failure=failure, result=verdict.result, broken=broken,
        )  # fmt: skip
    except ProdigyError as trouble:
        broken(str(trouble))
        return _end_claim(store, repo, claim, verdict, failure, log_path, broken)
    return done.item_state or _state(store, repo, claim, broken)


def _session(store: str, name: str) -> Session | None:
    try:
        return sessions.load(store, name)
    except ProdigyError:  # it was forgotten, or cleaned
        return None


def _item(store: str, repo: str, claim: Claim, broken: Broken) -> books.Item:
    with claims.step(store, repo, claim.job_id, broken, ends=True) as index:
        return index.item(claim.item_id) or books.Item()


def _state(store: str, repo: str, claim: Claim, broken: Broken) -> str:
    return books.view(_item(store, repo, claim, broken)).state


def _said_already(
    store: str, repo: str, claim: Claim, broken: Broken
) -> tuple[books.ItemState, str] | None:
    """Return how others have ended this very attempt (state, error); None where nobody has said.

    Nobody has where it was given back, or given up for dead: then its end counts as long as nobody
    else has the item. Where somebody has, it comes out as late.
    """
    item = _item(store, repo, claim, broken)
    view = books.view(item)
    ours = view.end is not None and (view.end.attempt, view.end.agent) == (
        claim.attempt, claim.agent_id,
    )  # fmt: skip
    if view.state == "in_progress" or not ours or claim.attempt in item.released:
        return None
    failure = item.failures.get(str(claim.attempt))
    error = None if failure is None else failure.error
    if view.state == "pending" and error is not None and endings.is_given_up(error):
        return None
    return view.state, error or "its claim was ended by others"


def _end_claim(
    store: str,
    repo: str,
    claim: Claim,
    verdict: Verdict,
    failure: finishing.Failure,
    log_path: str,
    broken: Broken,
) -> str:
    """End the claim alone: its session is gone, or has been ended."""
    where = store, repo, claim.job_id, claim
    if verdict.status == "Completed":
        return claims.complete(
            *where, commits=[], result=verdict.result, log_path=log_path, session=claim.worktree,
            broken=broken,
        ).state  # fmt: skip
    if verdict.status == "Cancelled":
        return claims.release(
            *where, reason=verdict.error or "interrupted", session=claim.worktree, broken=broken
        ).state
    return claims.fail(
        *where, error=verdict.error or "failed", reason=failure.reason,
        backoff_ms=failure.backoff_ms, log_path=log_path, session=claim.worktree, broken=broken,
    ).state  # fmt: skip
