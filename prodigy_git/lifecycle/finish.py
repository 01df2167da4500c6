"""Ending a session: what became of it goes into the log and into its file, once."""

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from prodigy_git import encoding, layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.jobs import books, claims, endings, snapshots, surviving_commits, totals
from prodigy_git.jobs.endings import Claim, Ended
from prodigy_git.model.session import Session
from prodigy_git.record import clock, enrolment, locks, log, log_position, prodigys, session, whose
from prodigy_git.record.log_position import Position
from prodigy_git.store import ended_by_others, events, reserve, sessions


@dataclass(frozen=True)
class Failure:
    """Why a session failed, how long its item has to wait, and after which attempt it is given up."""

    reason: str = "Unknown"
    backoff_ms: int | None = None
    max_attempts: int | None = None


@dataclass(frozen=True)
class Finished:
    """How a session ended; ``commits`` are those that survive in its history, oldest first."""

    session_id: str
    job_id: str
    agent_id: str | None
    item_id: str | None
    status: str
    commits: list[str]
    duration: dict[str, int]
    item_state: str | None = None
    """What became of the item: completed, pending (to be tried again), dead (in the queue)."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``finish --json`` prints them."""
        return asdict(self)


def agents_session_here(cwd: str) -> str:
    """Return the id of the session of the worktree around ``cwd``, which is to be ended.

    Raises `ProdigyError`, also for a person's own checkout: nobody ends that by a slip.
    """
    name = session_here(cwd)
    place = repository.find(cwd)
    there = enrolment.read(place.private)
    if there is not None and sessions.load(there.store, name).persons:
        raise ProdigyError(
            f"{place.top} is your own checkout, no agent's worktree: 'prodigy-git finish {name}' "
            "ends its session all the same"
        )
    return name


def session_here(cwd: str) -> str:
    """Return the id of the session of the worktree around ``cwd``. Raises `ProdigyError`."""
    place = repository.find(cwd)
    try:
        there = enrolment.read(place.private)
    except ValueError as error:
        raise ProdigyError(f"{error}: give the session's NAME") from error
    if there is None:
        raise ProdigyError("this worktree has no session: give the session's NAME")
    if not there.known:
        raise ProdigyError(whose.words(there))
    return there.session


def finish(
    store: str,
    name: str,
    *,
    failed: bool = False,
    cancelled: bool = False,
    error: str | None = None,
    log_path: str | None = None,
    failure: Failure | None = None,
    result: Any = None,
    because: str | None = None,
    left: str | None = None,
    broken: events.Broken,
) -> Finished:
    """End a session: drain, AgentCompleted or AgentFailed for an agent's, SessionFinished, status.

    With its item's claim, if it has one: ``failure`` says more of why it failed, ``result`` is what the
    item yielded (`checked_input.result`). With ``cancelled`` the item is given back, and the
    attempt does not count; ``error`` says why it was interrupted. All events go into the log with
    one write. A finish that was killed can be repeated: where in the log it was about to write is
    noted in the session's file first. A session that others ended, since nobody seemed to be there
    (`store.ended_by_others`), can be finished by who comes back; ``because`` is why others end it,
    ``left`` where its commits are then. Raises `ProdigyError` for an unknown or already finished
    session, `OSError` where the store refuses.
    """
    error = None if error is None else encoding.valid(error)
    log_path = None if log_path is None else encoding.valid(os.path.abspath(log_path))
    # What a finish that was killed has not written into the file is for this one to write.
    found = sessions.catch_up(store, sessions.load(store, name), broken, mend=False)
    repo = found.text("repo")
    if prodigys.wrote(found.metadata):
        raise ProdigyError(f"session {name} is Prodigy's, which ends it: nothing to finish")
    if repo is None:
        raise ProdigyError(f"session {name} was not made by prodigy-git: it names no repository")
    commits = surviving_commits.commits(store, repo, found, broken)
    lock = locks.take(layout.session_lock(store, name))
    try:
        fields = session.read(store, name)
        found = Session.of(fields)
        if result is not None and found.mapreduce_data is None:
            raise ProdigyError(f"session {name} works on no item, whose result it could be")
        if found.ended and ended_by_others.by_others(found) is None:
            raise ProdigyError(f"session {name} is already {found.status}: nothing to finish")
        duration = _since(found.started_at)
        status = "Failed" if failed else "Cancelled" if cancelled else "Completed"
        how = _How(
            status, commits, duration, error, log_path, failure or Failure(), result, because
        )
        ended = _append_once(store, repo, fields, found, how, broken)
        fields["metadata"].pop("finishing", None)
        for key, text in ((ended_by_others.BECAUSE, because), (ended_by_others.LEFT, left)):
            fields["metadata"].pop(key, None)
            if text is not None:
                fields["metadata"][key] = text
        fields["status"] = status
        fields["completed_at"] = clock.stamp(clock.now())
        fields["error"] = error if failed else None
        timings = fields["timings"] if isinstance(fields.get("timings"), dict) else {}
        fields["timings"] = {**timings, "total": duration}
        try:
            reserve.with_room(store, lambda: session.write(store, name, fields))
        except OSError as trouble:  # the log has it, and the next look writes it
            broken(f"the file of session {name} does not say so yet ({trouble}): it will")
    finally:
        os.close(lock)
    return Finished(
        name, found.job, found.text("agent_id"), found.text("item_id"), status, commits, duration,
        None if ended is None else ended.state,
    )  # fmt: skip


def _since(started_at: str) -> dict[str, int]:
    """Return the time since a timestamp as ``{secs, nanos}``, never negative."""
    begun = clock.parse(started_at)
    micros = max(0, clock.now() - begun) if begun is not None else 0
    return {"secs": micros // clock.SECOND, "nanos": micros % clock.SECOND * 1000}


def commits_of(store: str, name: str, broken: events.Broken) -> list[str]:
    """Return the commits that a session has made so far and still has, oldest first."""
    found = sessions.catch_up(store, sessions.load(store, name), broken)
    return surviving_commits.commits(store, found.text("repo") or "", found, broken)


@dataclass(frozen=True)
class _How:
    """What a session's end is made of."""

    status: str
    commits: list[str]
    duration: dict[str, int]
    error: str | None
    log_path: str | None
    failure: Failure
    result: Any
    because: str | None

    @property
    def said(self) -> str:
        """Why it failed."""
        return self.error or "the session was finished as failed"

    @property
    def log(self) -> str | None:
        """The agent's own log."""
        return None if self.log_path is None else os.path.abspath(self.log_path)


def _append_once(
    store: str,
    repo: str,
    fields: dict[str, Any],
    found: Session,
    how: _How,
    broken: events.Broken,
) -> Ended | None:
    """Append the events that a session ends with, unless a finish that was killed has.

    They are one write: if the last of them is there, all are. Return what became of the item.
    """
    end = ended_by_others.End(
        how.status, how.error, how.because, ended_by_others.resumptions(found)
    )
    what = ended_by_others.identity(end.resumed, by_others=how.because is not None)
    envelope = ended_by_others.envelope(store, found, what, "SessionFinished")
    finished = ended_by_others.finished(envelope, end)
    killed = "finishing" in fields["metadata"]
    if killed:
        try:
            since = log_position.from_json(fields["metadata"]["finishing"])
        except ValueError:
            since = None  # it may be anywhere
        if log.find(layout.job_log(store, repo, found.job), [finished["id"]], since):
            return None

    def note(position: Position) -> None:
        fields["metadata"]["finishing"] = log_position.as_json(position)
        session.write(store, found.id, fields)

    agent, item = found.text("agent_id"), found.text("item_id")
    if agent is None or item is None or found.mapreduce_data is None:
        ending = [] if agent is None else [_of_agent(store, found, how)]
        last = [*ending, finished]
        reserve.with_room(store, lambda: log.append(store, repo, found.job, last, before=note))
        if agent is not None and found.mapreduce_data is not None:
            _checkpoint(store, repo, found.job, fields, broken)
        return None
    # Its own claim may be one whose lease has ended: that is no reason not to take what it did.
    with claims.step(store, repo, found.job, broken, sparing=item, ends=True) as index:
        # On a shared job the one that was killed may have come as far as the hub.
        if killed and endings.is_there(index, finished["id"]):
            return None
        try:
            claim = claims.claim_of(index, item, agent)
        except ProdigyError:  # what it started with has been cleaned from the log
            claim = Claim(found.job, item, agent, 1, index.job.max_attempts, None)
        if how.status == "Completed":
            ended = endings.end_well(
                index, claim, commits=how.commits, duration=how.duration, log_path=how.log,
                result=how.result, session=found.id, extra=[finished], before=note, broken=broken,
            )  # fmt: skip
        elif how.status == "Cancelled":
            ended = endings.release(
                index, claim, reason=how.error or "the session was cancelled", session=found.id,
                extra=[finished], before=note, broken=broken,
            )  # fmt: skip
        else:
            if how.failure.max_attempts is not None:
                claim = replace(claim, max_attempts=how.failure.max_attempts)
            ended = endings.end_badly(
                index, claim, error=how.said, reason=how.failure.reason,
                backoff_ms=how.failure.backoff_ms, duration=how.duration, log_path=how.log,
                session=found.id, artifacts=snapshots.artifacts_of(store, found.id),
                extra=[finished], before=note, broken=broken,
            )  # fmt: skip
        totals.put(fields, found.job, totals.of(index))
        now = books.view(index.item(item) or books.Item())
    # Its own end may be there already: 'job done' wrote it, or 'import'.
    if ended.late and (now.agent, now.state) != (agent, "completed"):
        broken(f"item {item} is not agent {agent}'s any more: its end is recorded as late")
    return ended


def _of_agent(store: str, found: Session, how: _How) -> dict[str, Any]:
    """Return the end of an agent that works on no item of a job."""
    kind = "AgentCompleted" if how.status == "Completed" else "AgentFailed"
    own: dict[str, Any] = {"duration": how.duration}
    if how.status == "Completed":
        own["commits"] = how.commits
    else:
        own |= {
            "error": how.said, "failure_reason": how.failure.reason,
            "retry_eligible": True,
        }  # fmt: skip
    if how.log is not None:
        own["json_log_location"] = how.log
    again = ended_by_others.resumptions(found)
    return ended_by_others.envelope(store, found, f"{kind}:{again}" if again else kind, kind) | own


def _checkpoint(
    store: str, repo: str, job: str, fields: dict[str, Any], broken: events.Broken
) -> None:
    try:
        with claims.step(store, repo, job, broken, ends=True) as index:
            snapshots.write(index, broken)
            totals.put(fields, job, totals.of(index))
    except (ProdigyError, OSError) as trouble:
        broken(f"no checkpoint of job {job} written ({trouble}): the log has everything")
