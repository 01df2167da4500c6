"""Ending a session: what became of it goes into the log and into its file, once."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status
from prodigy_git.jobs import dead_letters, snapshot
from prodigy_git.model.session import Session
from prodigy_git.record import clock, enrolment, files, log, session
from prodigy_git.store import events, sessions


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

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``finish --json`` prints them."""
        return asdict(self)


def session_here(cwd: str) -> str:
    """Return the id of the session of the worktree around ``cwd``. Raises `ProdigyError`."""
    place = repository.find(cwd)
    try:
        there = enrolment.read(place.private)
    except ValueError as error:
        raise ProdigyError(f"{error}: give the session's NAME") from error
    if there is None:
        raise ProdigyError("this worktree has no session: give the session's NAME")
    return there.session


def finish(
    name: str,
    *,
    failed: bool = False,
    error: str | None = None,
    log_path: str | None = None,
    broken: events.Broken,
) -> Finished:
    """End a session: drain, AgentCompleted or AgentFailed for an agent's, SessionFinished, status.

    A finish that was killed can be repeated: where in the log it was about to write is noted in the
    session's file first, so that its events are written once. Raises `ProdigyError` for an unknown or
    already finished session, `OSError` where the store refuses.
    """
    store = layout.store_from(os.environ)
    found = sessions.catch_up(store, sessions.load(store, name), broken)
    repo = found.text("repo")
    if repo is None:
        raise ProdigyError(f"session {name} was not made by prodigy-git: it names no repository")
    surviving = _surviving(store, repo, found, broken)
    lock = files.lock(layout.session_lock(store, name))
    try:
        fields = session.read(store, name)
        found = Session.model_validate(fields)
        if found.ended:
            raise ProdigyError(f"session {name} is already {found.status}: nothing to finish")
        duration = _since(found.started_at)
        status = "Failed" if failed else "Completed"
        ending = _ending(store, repo, found, status, surviving, duration, error, log_path)
        _append_once(store, repo, fields, found, ending)
        fields["metadata"].pop("finishing", None)
        fields["status"] = status
        fields["completed_at"] = clock.stamp(clock.now())
        fields["error"] = error if failed else None
        timings = fields["timings"] if isinstance(fields.get("timings"), dict) else {}
        fields["timings"] = {**timings, "total": duration}
        session.write(store, name, fields)
    finally:
        os.close(lock)
    if found.mapreduce_data is not None:
        try:
            snapshot.write_map(store, repo, found, broken)
        except (ProdigyError, OSError) as trouble:
            broken(f"no checkpoint of job {found.job} written ({trouble}): the log has everything")
    return Finished(
        name, found.job, found.text("agent_id"), found.text("item_id"), status, surviving, duration
    )


def _since(started_at: str) -> dict[str, int]:
    """Return the time since a timestamp as ``{secs, nanos}``, never negative."""
    begun = clock.parse(started_at)
    micros = max(0, clock.now() - begun) if begun is not None else 0
    return {"secs": micros // clock.SECOND, "nanos": micros % clock.SECOND * 1000}


def _surviving(store: str, repo: str, found: Session, broken: events.Broken) -> list[str]:
    """Return the session's recorded commits that its HEAD, or then any branch, still contains."""
    recorded = [
        event.own().get("commit")
        for event in events.read_job(store, repo, found.job, broken)
        if event.type == "CommitCreated" and event.session_id == found.id
    ]
    if not recorded:
        return []
    where = sessions.enrolled_place(found)
    common = found.text("repo_path")
    if where is not None:
        cwd, tips = where[0].top, ["HEAD"]
    elif common is not None and os.path.isdir(common):
        # The worktree is gone: what its branch has, or what it was merged into.
        cwd, tips = common, ["--branches", "--remotes", "--tags"]
    else:
        return []
    base = found.text("base_commit")
    status, out, _ = git_status(cwd, "rev-list", *tips, *([f"^{base}"] if base else []), "--")
    contained = set(out.split()) if status == 0 else set()
    return [sha for sha in dict.fromkeys(recorded) if sha in contained]


def _ending(
    store: str,
    repo: str,
    found: Session,
    status: str,
    commits: list[str],
    duration: dict[str, int],
    error: str | None,
    log_path: str | None,
) -> list[dict[str, Any]]:
    """Return the events that a session ends with; their ids are the same at each try."""
    own: list[tuple[str, dict[str, Any]]] = []
    where = {} if log_path is None else {"json_log_location": os.path.abspath(log_path)}
    if found.text("agent_id") is not None:
        if status == "Completed":
            own.append(("AgentCompleted", {"duration": duration, "commits": commits, **where}))
        else:
            said = error or "the session was finished as failed"
            reason = {"error": said, "failure_reason": "Unknown", "retry_eligible": True}
            own.append(("AgentFailed", {**reason, **where}))
            item = found.text("item_id")
            if item is not None and found.mapreduce_data is not None:
                micros = duration["secs"] * clock.SECOND + duration["nanos"] // 1000
                path = where.get("json_log_location")
                failure = dead_letters.failure_of(found, said, path, micros)
                own.append(("DLQItemAdded", dead_letters.add(store, repo, found, item, failure)))
    own.append(("SessionFinished", {"status": status}))
    return [{**sessions.envelope(found, kind, kind), **fields} for kind, fields in own]


def _append_once(
    store: str, repo: str, fields: dict[str, Any], found: Session, ending: list[dict[str, Any]]
) -> None:
    """Append events, except those that a finish which was killed has written already."""
    if "finishing" in fields["metadata"]:
        since = _position(fields["metadata"]["finishing"])
        folder = layout.job_log(store, repo, found.job)
        there = log.find(folder, [event["id"] for event in ending], since)
        ending = [event for event in ending if event["id"] not in there]

    def note(position: log.Position) -> None:
        fields["metadata"]["finishing"] = [position.file, position.offset]
        session.write(store, found.id, fields)

    if ending:
        log.append(store, repo, found.job, ending, before=note)


def _position(mark: object) -> log.Position | None:
    """Return where in the log an earlier finish was about to write; None: it may be anywhere."""
    match mark:
        case [str(file), int(offset)] if offset >= 0:
            return log.Position(file, offset)
    return None
