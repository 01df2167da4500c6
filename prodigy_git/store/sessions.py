"""Reading session files, and finding the worktree that belongs to one."""

import os
from typing import Any

from pydantic import ValidationError

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, gitdir, log, session
from prodigy_git.record.drain import drain
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store.events import Broken


def ids(store: str) -> list[str]:
    """Return the ids of all sessions in the store, sorted."""
    try:
        found = os.listdir(f"{store}/sessions")
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".json") for name in found if name.endswith(".json"))
    return sorted(stem for stem in stems if names.is_safe(stem))


def load(store: str, name: str) -> Session:
    """Return a session. Raises `ProdigyError` where there is none or its file is damaged."""
    path = layout.session(store, names.checked(name, "session id"))
    try:
        found = Session.model_validate(session.read(store, name))
    except FileNotFoundError:
        raise ProdigyError(
            f"no session {name}: 'prodigy-git sessions list' shows what there is"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ProdigyError(
            f"{path} is damaged ({where}: {first['msg']}): repair it or move it away"
        ) from None
    except ValueError as error:
        raise ProdigyError(f"{path} is damaged ({error}): repair it or move it away") from None
    if found.id != name:
        raise ProdigyError(f"{path} holds another session, {found.id!r}: move it away")
    try:
        # Both become parts of paths.
        names.checked(found.job, "job id")
        names.checked(found.text("repo") or "none", "repository key")
    except names.BadName as error:
        raise ProdigyError(f"{path} is damaged ({error}): repair it or move it away") from None
    return found


def load_all(store: str, broken: Broken) -> list[Session]:
    """Return all sessions, oldest first; what cannot be read is reported to ``broken``."""
    found = []
    for name in ids(store):
        try:
            found.append(load(store, name))
        except (ProdigyError, OSError) as error:
            broken(str(error))
    return sorted(found, key=lambda one: (one.started_at, one.id))


def enrolled_place(found: Session) -> tuple[Place, Enrolment] | None:
    """Return a session's worktree and enrolment; None where the worktree is gone or another's."""
    path = found.text("worktree_path")
    if path is None or not os.path.isdir(path):
        return None
    place = gitdir.find(path, {})
    if place is None or place.top != path.rstrip("/"):
        common = found.text("repo_path")
        if common is None:
            return None
        # With core.worktree (dotfiles) a main worktree has no `.git` that leads to its repository.
        place = Place(common, common, path)
    try:
        there = enrolment.read(place.private)
    except (OSError, ValueError):
        return None
    if there is None or there.session != found.id:
        return None
    return place, there


def catch_up(store: str, found: Session, broken: Broken) -> Session:
    """Drain a session's journal and return the session as it is then.

    Any command on a session does so: what a hook did not record is recorded now. Trouble is reported
    to ``broken``, and the session returned as it was.
    """
    where = enrolled_place(found)
    if where is None:
        return found
    try:
        drain(*where, recovered=True)
        return load(store, found.id)
    except (OSError, ValueError) as error:
        broken(f"session {found.id}: could not be brought up to date ({error})")
    return found


def envelope(found: Session, what: str, kind: str) -> dict[str, Any]:
    """Return the first fields of an event of type ``kind`` that a command records for a session.

    ``what`` tells the session's events apart: the same one has the same id, however often it is tried.
    """
    event: dict[str, Any] = {
        "id": log.event_id(found.id, what),
        "timestamp": "",
        "type": kind,
        "event_type": kind,
        "correlation_id": found.id,
        "job_id": found.job,
        "session_id": found.id,
    }
    for name in ("agent_id", "item_id"):
        text = found.text(name)
        if text is not None:
            event[name] = text
    return event
