"""Reading session files, and finding the worktree that belongs to one."""

import os
from typing import Any

from pydantic import ValidationError

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record import enrolment, files, gitdir, log, session
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
    try:
        where = journal_of(found)
    except (OSError, ValueError):
        return None
    return where if where is not None and os.path.isdir(where[0].top) else None


def journal_of(found: Session) -> tuple[Place, Enrolment] | None:
    """Return where a session's journal and enrolment are, also while its folder is not where git
    thinks; None where they are gone or another session's.

    The session's path is a hint: a worktree may have been moved, or its git directory be used with
    ``--work-tree``. Then its private git directory is looked for, whose name git never changes.
    Raises `OSError`, or `ValueError` for a damaged enrolment: nothing is known then.
    """
    path = (found.text("worktree_path") or "").rstrip("/")
    place = gitdir.find(path, {}) if path and os.path.isdir(path) else None
    places = [place] if place is not None and place.top == path else []
    common = found.text("repo_path")
    if common is not None:
        name = found.text("git_dir")
        # Not noted by earlier versions: git's first choice is the folder's own name.
        for inside in (".", f"worktrees/{os.path.basename(path)}") if name is None else (name,):
            private = os.path.normpath(f"{common}/{inside}")
            places.append(Place(private, common, _top_of(private, common, path)))
    for place in places:
        there = enrolment.read(place.private)
        if there is not None and there.session == found.id:
            return place, there
    return None


def _top_of(private: str, common: str, otherwise: str) -> str:
    """Return the folder of the worktree of a private git directory, as far as git knows it."""
    if private == common:
        folder, name = os.path.split(common)
        # A bare one's files may be anywhere: what the hook saw is the best that is known.
        return folder if name == ".git" else otherwise
    try:
        with open(f"{private}/gitdir", "rb") as stream:
            named = os.fsdecode(stream.read().rstrip(b"\r\n"))
    except OSError:
        return otherwise
    # Relative with worktree.useRelativePaths (git 2.48).
    return os.path.dirname(os.path.normpath(os.path.join(private, named)))


def catch_up(store: str, found: Session, broken: Broken) -> Session:
    """Drain a session's journal and return the session as it is then.

    Any command on a session does so: what a hook did not record is recorded now. Trouble is reported
    to ``broken``, and the session returned as it was.
    """
    try:
        # Through git's own files: the journal is there though the folder may have been moved.
        where = journal_of(found)
        if where is None:
            return found
        drain(*where, recovered=True)
        _follow(store, found, where[0].top)
        return load(store, found.id)
    except (OSError, ValueError) as error:
        broken(f"session {found.id}: could not be brought up to date ({error})")
    return found


def _follow(store: str, found: Session, top: str) -> None:
    """Note in a session's file where its worktree has been moved to."""
    if top == found.text("worktree_path") or not os.path.isdir(top):
        return
    lock = files.lock(layout.session_lock(store, found.id))
    try:
        fields = session.read(store, found.id)
        fields["metadata"]["worktree_path"] = top
        session.write(store, found.id, fields)
    finally:
        os.close(lock)


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
