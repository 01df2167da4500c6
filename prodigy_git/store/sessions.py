"""Reading session files, and finding the worktree that belongs to one."""

import os

from prodigy_git import errors, layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.model.session import Session
from prodigy_git.record import (
    enrolment,
    gitdir,
    locks,
    mapping,
    repokey,
    session,
    underway,
    whose,
)
from prodigy_git.record.conversations import telling
from prodigy_git.record.drain import drain, is_due
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import ended_by_others, enrolled
from prodigy_git.store.broken import Broken

_PATIENCE = 10.0
"""Seconds that a recorder is waited for whose worktree is gone: it takes a few milliseconds."""

_LOOK = 2.0
"""Seconds that whoever only wants to read waits for a lock."""


def ids(store: str) -> list[str]:
    """Return the ids of all sessions in the store, sorted."""
    try:
        found = os.listdir(f"{store}/sessions")
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".json") for name in found if name.endswith(".json"))
    return sorted(stem for stem in stems if names.is_safe(stem))


UNWRITTEN = "is empty: Prodigy was interrupted as it wrote it"
"""What is said of such a session's file."""


class Unwritten(ProdigyError):
    """A session's file is empty, and no session of ours: Prodigy empties it before it writes it."""


def load(store: str, name: str) -> Session:
    """Return a session. Raises `ProdigyError` where there is none or its file is damaged.

    `Unwritten` where Prodigy was interrupted just as it wrote it.
    """
    path = layout.session(store, names.checked(name, "session id"))
    try:
        found = Session.of(session.read(store, name))
    except FileNotFoundError:
        from prodigy_git.store import other_sessions  # whose are rarely asked for

        raise other_sessions.refusal(store, name) or ProdigyError(
            f"no session {name}: 'prodigy-git sessions list' shows what there is"
        ) from None
    except ValueError as error:
        if os.path.getsize(path) == 0 and not _is_ours(store, name):
            raise Unwritten(f"{path} {UNWRITTEN}") from None
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


def _is_ours(store: str, name: str) -> bool:
    """Whether the mappings have a session, as they have each that was ever registered here."""
    paths = (layout.session_to_job(store, repo) for repo in repokey.keys(store))
    try:
        return any(name in mapping.read(path) for path in paths)
    except (OSError, ValueError):
        return True


def load_all(store: str, broken: Broken, unwritten: Broken | None = None) -> list[Session]:
    """Return all sessions, oldest first; what cannot be read is reported to ``broken``.

    But to ``unwritten``, if it is given, what Prodigy was interrupted in writing: nothing of ours.
    """
    found = []
    for name in ids(store):
        try:
            found.append(load(store, name))
        except Unwritten as error:
            (unwritten or broken)(str(error))
        except (ProdigyError, OSError) as error:
            broken(str(error))
    return sorted(found, key=lambda one: (one.started_at, one.id))


class Known:
    """What is looked for once by whoever looks at many sessions of a store, one after the other."""

    __slots__ = ("ends", "marked", "places")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.places: dict[str, dict[str, tuple[Place, Enrolment]]] = {}
        """The worktrees of a repository, by its key and by session."""
        self.ends: ended_by_others.Ends = {}
        self.marked: set[str] | None = None
        """The sessions that a recorder was woken for, when that was first asked."""


def enrolled_place(
    store: str, found: Session, known: Known | None = None
) -> tuple[Place, Enrolment] | None:
    """Return a session's worktree and enrolment; None where the worktree is gone or another's.

    It is where the session's file says, or where git says: it may have been moved. ``known`` is
    filled, so that each repository is looked through once.
    """
    try:
        where = journal_of(store, found, known)
    except (OSError, ValueError):
        return None
    if where is None or not whose.leads_to(where[0].top, where[0].private):
        return None
    return where


def journal_of(
    store: str, found: Session, known: Known | None = None
) -> tuple[Place, Enrolment] | None:
    """Return a session's private git directory and enrolment, also where its folder is out of sight.

    None where git has none (any more), or it is another store's. ``known`` as in `enrolled_place`.
    Raises `OSError`, or `ValueError` for a damaged enrolment: nothing is known then.
    """
    path = found.text("worktree_path")
    if path is not None and os.path.isdir(path):
        place = gitdir.find(path, {})
        if place is None or place.top != path.rstrip("/"):
            # With core.worktree (dotfiles) a main worktree has no `.git` that leads to its repository.
            common = common_of(store, found)
            place = None if common is None else Place(common, common, path)
        there = None if place is None else enrolment.read(place.private)
        own = there is not None and there.session == found.id and enrolment.ours(there, store)
        if place is not None and there is not None and own:
            return place, there
    repo = found.text("repo")
    if repo is None or found.text("trash_path") is not None:
        return None
    if known is None:
        return enrolled.places(store, repo).get(found.id)
    if repo not in known.places:
        known.places[repo] = enrolled.places(store, repo)
    return known.places[repo].get(found.id)


def has_half(store: str, found: Session, known: Known | None = None) -> bool:
    """Whether a half of a session's worktree is there: the other may be out of sight, not gone."""
    path = found.text("worktree_path")
    if path is not None and os.path.isdir(path):
        place = gitdir.find(path, {})
        if place is None or place.top != path.rstrip("/"):
            return True  # its repository is gone from here, or its `.git` is
    try:
        return journal_of(store, found, known) is not None
    except (OSError, ValueError):
        return True  # something is there that cannot be read


def common_of(store: str, found: Session) -> str | None:
    """Return the common git directory of a session's repository as it is now; None: not in sight."""
    repo = found.text("repo")
    try:
        now = None if repo is None else repokey.common_of(store, repo)
    except (OSError, ValueError):
        now = None
    for path in (now, found.text("repo_path")):
        if path is not None and os.path.isfile(f"{path}/HEAD"):
            return path
    return None


def catch_up(
    store: str,
    found: Session,
    broken: Broken,
    known: Known | None = None,
    *,
    patience: float = locks.PATIENCE,
    mend: bool = True,
    where: tuple[Place, Enrolment] | None = None,
) -> Session:
    """Drain a session's journal and return the session as it is then.

    Any command on a session does so: what no hook and no recorder has recorded yet is recorded now,
    and a worktree that was moved noted; an end that only the log has so far is written into its file,
    unless ``mend`` is False. Trouble is reported to ``broken``, and the session returned as it was.
    ``known`` as in `enrolled_place`, ``patience`` for each lock in seconds. ``where`` is what
    `journal_of` would find, where the caller has that already.
    """
    try:
        changed = record_pending(store, found, known, patience, where)[0]
        ends = None if known is None else known.ends
        if (mend and ended_by_others.mended(store, found, broken, ends)) or changed:
            return load(store, found.id)
    except (OSError, ValueError) as error:
        broken(
            errors.not_noted(error)
            or f"session {found.id}: could not be brought up to date ({error})"
        )
    return found


def record_pending(
    store: str,
    found: Session,
    known: Known | None = None,
    patience: float = locks.PATIENCE,
    where: tuple[Place, Enrolment] | None = None,
) -> tuple[bool, int | None]:
    """Record what a session lacks; return whether its file may be another now, and how many commits.

    None instead of a number: nothing was drained, since git has no such worktree (any more). ``where``
    as in `catch_up`. Raises `OSError`, or `ValueError`.
    """
    repo = found.text("repo")
    if repo is not None and telling.is_due(store, repo, found.id):
        telling.bring(store, found.id, over=True, patience=patience)
    # Through git's own files: the journal is there though the folder may have been moved.
    where = where or journal_of(store, found, known)
    marked = _is_marked(store, found, known)
    if where is not None:
        if not marked and not is_due(*where, found.metadata):
            # A reader of a store at rest leaves no trace.
            return not _is_noted(found, *where) and whose.note_place(*where), 0
        underway.let_pass(store, found.id, where[0].private)
        count = drain(*where, recovered=True, patience=patience)
        whose.note_place(*where)
        return True, count
    # One that was removed right behind a commit: its recorder holds open what is needed of it.
    if not marked:
        return False, None
    if underway.wait(store, _PATIENCE, (found.id,)):
        raise locks.Busy(11, f"its recorder was not through after {_PATIENCE:g} seconds")
    underway.sweep(store, found.id)
    return True, None


def _is_marked(store: str, found: Session, known: Known | None) -> bool:
    """Whether a recorder was woken for a session and is not through.

    Of one that is woken while ``known`` is filled the journal has what it is to record.
    """
    if known is not None:
        if known.marked is None:
            known.marked = {name for name, _ in underway.marks(store)}
        if found.id not in known.marked:
            return False
    return any(name == found.id for name, _ in underway.marks(store))


def _is_noted(found: Session, place: Place, there: Enrolment) -> bool:
    """Whether a session's file says where its worktree is, as `whose.note_place` would write it."""
    said = found.metadata
    noted = (said.get(session.NONCE), said.get("repo_path"), said.get("worktree_path"))
    return noted == (there.nonce, place.common, place.top)


def settle(store: str, broken: Broken) -> None:
    """Record what recorders under way, or killed, have not recorded yet: for whoever reads a store.

    Costs one listing where there are none, however many sessions there are.
    """
    for name in sorted({name for name, _ in underway.marks(store)}):
        try:
            found = load(store, names.checked(name, "session id"))
        except (ProdigyError, names.BadName, OSError):
            underway.sweep(store, name)
            continue  # whoever reads that session says so
        catch_up(store, found, broken, patience=_LOOK)
