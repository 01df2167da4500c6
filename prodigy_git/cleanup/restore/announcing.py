"""Telling the store that a worktree is back: its session's file, the mappings, the event."""

import contextlib
import os
from typing import Any

from prodigy_git import layout
from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.records import kept_activity
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import ENDED
from prodigy_git.record import (
    beginnings,
    enrolment,
    files,
    gitdir,
    jsonline,
    locks,
    log,
    log_position,
    mapping,
    new_commits,
    register,
    session,
)
from prodigy_git.record.cursor import Cursor
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.record.log_position import Position
from prodigy_git.setup import ports
from prodigy_git.store import ended_by_others, sessions
from prodigy_git.store.events import Broken


def tell(store: str, found: Entry, broken: Broken) -> list[str]:
    """Give the session's file its status and path again, and record WorktreeRestored, once.

    Returns in words what is not as it was. Can be repeated. Raises `ProdigyError` or `OSError`.
    """
    assert found.restoring is not None
    private, target = found.restoring["private"], found.restoring["to"]
    notes = []
    try:
        entered = enrolment.read(private)
    except ValueError as error:
        return [f"{error}: its commits are not recorded until that file is repaired"]
    if entered is None:
        place = Place(private, found.common, target)
        entered = _enrol(store, found, place)
        notes.append(
            f"what enrolled it as {found.session} is lost: from here on it is session "
            f"{entered.session}"
        )
    else:
        notes += _bring_file_back(store, found, entered)
        notes += _ports(entered, Place(private, found.common, target), broken)
    mapping.put(store, entered.repo, entered.session, entered.job)
    try:
        _update_file(store, found, entered, target)
        _record(store, found, entered)
    except ProdigyError as error:  # a damaged file is for its owner to repair
        broken(str(error))
    return notes


def _ports(entered: Enrolment, place: Place, broken: Broken) -> list[str]:
    try:
        other = ports.kept_when_restored(entered, place)
    except (ProdigyError, OSError) as error:  # it is back all the same
        broken(f"no ports for {entered.session}: {error}")
        return []
    return [] if other is None else [other]


def tell_alone(store: str, found: Entry, broken: Broken) -> None:
    """Do the same for a folder whose repository is gone, which has no enrolment any more."""
    assert found.restoring is not None
    try:
        job = sessions.load(store, found.session).job
        entered = Enrolment(
            store=store, repo=found.repo, session=found.session, job=job, nonce="", worktree=""
        )
        _update_file(store, found, entered, found.restoring["to"])
        _record(store, found, entered)
    except ProdigyError as error:  # cleaned meanwhile, or damaged: its owner repairs it
        broken(str(error))


def _bring_file_back(store: str, found: Entry, entered: Enrolment) -> list[str]:
    """See to it that the session has its file: clean-up may have moved it to the trash meanwhile."""
    name = entered.session
    if os.path.lexists(layout.session(store, name)):
        return []
    folder = layout.trash(store, found.repo, name)
    kept = sorted(one for one in os.listdir(folder) if one.startswith("session.json"))
    lock = locks.take(layout.session_lock(store, name))
    try:
        files.make_private(f"{store}/sessions")
        for one in reversed(kept):
            try:
                if jsonline.decode_object(files.read(f"{folder}/{one}")).get("id") != name:
                    continue
                moving.move_file(f"{folder}/{one}", layout.session(store, name))
            except (OSError, ProdigyError, ValueError):
                continue
            with contextlib.suppress(
                OSError, ProdigyError
            ):  # it is about what was, and stays there
                kept_activity.bring_back(store, found.repo, name)
            return []
        metadata = {
            "repo": entered.repo,
            "repo_path": os.path.realpath(found.common),
            "branch": None if found.branch is None else gitdir.printable(found.branch),
            "job_id": entered.job,
            "agent_id": entered.agent,
            "item_id": entered.item,
            "host": os.uname().nodename,
            "created_by": "restore",
        }
        job = None if entered.job == name else entered.job
        session.reserve(store, session.document(name, job, entered.worktree, metadata))
    finally:
        os.close(lock)
    return [f"session {name} had no file any more: it has a new one"]


def _update_file(store: str, found: Entry, entered: Enrolment, target: str) -> None:
    lock = locks.take(layout.session_lock(store, entered.session))
    try:
        try:
            fields = session.read(store, entered.session)
        except ValueError as error:
            path = layout.session(store, entered.session)
            raise ProdigyError(f"{path} is damaged ({error}): repair it") from None
        metadata = fields.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            path = layout.session(store, entered.session)
            raise ProdigyError(f"{path} is damaged (metadata): repair it")
        metadata.pop("trash_path", None)
        metadata.pop("salvage_ref", None)
        metadata["worktree_path"] = target
        if found.session_status is not None and entered.session == found.session:
            fields["status"] = found.session_status
            if found.session_status not in ENDED:
                fields["completed_at"] = None
        session.write(store, entered.session, fields)
    finally:
        os.close(lock)


def _record(store: str, found: Entry, entered: Enrolment) -> None:
    """Append the event, unless a run that was killed has written it already."""
    assert found.restoring is not None
    plan = found.restoring
    there = sessions.load(store, entered.session)
    event = ended_by_others.envelope(store, there, f"restored:{found.moment}", "WorktreeRestored")
    event["worktree_name"] = gitdir.printable(os.path.basename(plan["to"]))
    since = log_position.from_json(plan.get("log"))
    if since is not None:
        folder = layout.job_log(store, entered.repo, entered.job)
        if log.find(folder, [event["id"]], since):
            return

    def note(position: Position) -> None:
        if plan.get("log") is None:
            plan["log"] = log_position.as_json(position)
            entries.write(found)

    log.append(store, entered.repo, entered.job, [event], before=note)


def _enrol(store: str, found: Entry, place: Place) -> Enrolment:
    """Give a worktree whose enrolment is lost a new session.

    Not the old one with a new nonce: an event's id is made from the nonce, so that `verify` would
    take every commit that the session has recorded for a foreign one. The old session keeps its
    events; what is committed from here on is the new one's.
    """
    branch, head = gitdir.head(place)
    shown = gitdir.printable(os.path.basename(place.top))
    metadata = {
        "repo_path": os.path.realpath(found.common),
        "worktree_path": place.top,
        "branch": None if branch is None else gitdir.printable(branch),
        "base_commit": head,
        "host": os.uname().nodename,
        "created_by": "restore",
        "parent_session": found.session,
        "commits": 0,
    }
    name = register.reserve(store, found.repo, shown, None, metadata, None)
    assert name is not None  # only a wanted id can be taken
    opened: dict[str, Any] = {"created_by": "restore"}
    if head is not None:
        opened["base"] = head
    movements, _ = new_commits.behind(place, Cursor())
    entered = Enrolment(
        store=store,
        repo=found.repo,
        session=name,
        job=name,
        nonce=os.urandom(16).hex(),
        worktree=shown,
        opening=[("SessionStarted", opened)],
        start=beginnings.behind(movements[-1]) if movements else None,
    )
    register.enrol(place, entered)
    drain(place, entered)
    return entered
