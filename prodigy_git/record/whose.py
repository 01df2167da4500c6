"""Whose an enrolment is, where it does not fit its place or its store: looked at closely.

A private git directory that was copied brings the original's enrolment with it, one that was moved its
own. What tells them apart: a copy's original is still there, at the place that the enrolment or the
session's file names, with the same nonce; what was moved, put back from a backup, or is seen at another
path (a container, a link), is alone. Nothing is forgotten in doubt: what is no copy stays what it was.

A store that was moved still knows the session. One that does not know it (deleted and begun anew, an
older one put back, another one at the same path in a container) is not the session's: nothing is
recorded there, and the cursor stays where the session's own store needs it.

An enrolment that leads to a store of another user's, out of this one's reach, is that user's.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import enrolment_file as enrolments
from prodigy_git.record import files, gitdir, journal, locks, new_commits, repokey, session
from prodigy_git.record.cursor import Cursor
from prodigy_git.record.gitdir import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prodigy_git.record.enrolment_file import Enrolment
    from prodigy_git.record.journal import Movement

SAID = "prodigy-said"
"""The file beside the enrolment that says of which state the user has been told."""


class Unknown(ValueError):
    """No store in sight knows the session of a worktree."""


def found(private: str, there: Enrolment) -> Enrolment | None:
    """Return an enrolment with the store that it belongs to now; None where it is another's, copied.

    Writes nothing: ``stale`` says that `settle` is to.
    """
    if _is_anothers(there):
        own = enrolments.in_file(private, enrolments.own_suffix())
        if own is None or (enrolments.is_at(own, private) and enrolments.knows(own.store, own)):
            return own
        there = own
    follow_store(there)
    if not enrolments.is_at(there, private):
        named = there.private
        if named is not None and named != private and files.same(named, private):
            return there  # another path to the same folder
        if _is_copied(private, there):
            return None
        there.stale = True
    return there


def _is_anothers(there: Enrolment) -> bool:
    """Whether a readable enrolment of the plain name is another user's."""
    if there.suffix or enrolments.knows(there.store, there):
        return False
    owner = _barred_by(there.store)
    return owner is not None and owner != os.geteuid()


def _barred_by(store: str) -> int | None:
    """Return the uid of whoever keeps this user out of a store; None: it can be used, or is gone."""
    while True:
        try:
            # As the system decides it: modes, access lists, a filesystem that is read-only.
            return None if os.access(store, os.R_OK | os.W_OK | os.X_OK) else os.stat(store).st_uid
        except PermissionError:
            store = os.path.dirname(store)
        except OSError:
            return None


def owner_of_plain(private: str) -> int | None:
    """Return the uid of another user whose enrolment has the plain name; None: free, or ours."""
    try:
        there = enrolments.in_file(private, "")
    except (OSError, ValueError) as error:
        try:
            owner = os.stat(f"{private}/{layout.ENROLMENT}").st_uid
        except OSError:
            return None
        barred = isinstance(error, PermissionError) or not files.ROOT
        return owner if barred and owner != os.geteuid() else None
    return _barred_by(there.store) if there is not None and _is_anothers(there) else None


def suffix(private: str) -> str:
    """Return the suffix that an enrolment of this user's has, or is to have, in a private directory."""
    own = enrolments.own_suffix()
    taken = owner_of_plain(private) is not None
    return own if taken or os.path.lexists(f"{private}/{layout.ENROLMENT}{own}") else ""


def others(private: str) -> dict[int, str]:
    """Return the other users who have an enrolment in a private git directory: uid and name."""
    found = {owner_of_plain(private)}
    try:
        listed = os.listdir(private)
    except OSError:
        listed = []
    for name in listed:
        before, _, uid = name.partition(".")
        if before == layout.ENROLMENT and uid.isdecimal():
            found.add(int(uid))
    return {uid: _user(uid) for uid in found if uid is not None and uid != os.geteuid()}


def _user(uid: int) -> str:
    import pwd  # a hook that records does not need it

    try:
        return names.printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"with uid {uid}"


def follow_store(there: Enrolment) -> None:
    """Find the store that knows an enrolment's session, where it is not the one that it names."""
    if enrolments.knows(there.store, there):
        return
    there.stale = True
    if _has_session(there.store, there, itself=True):
        return
    for other in _stores():
        if not files.same(other, there.store) and (
            enrolments.knows(other, there) or _has_session(other, there, itself=False)
        ):
            there.store = other
            return
    there.known = False


def _stores() -> list[str]:
    """Return the stores in which a session could be whose own is not where it was."""
    usual = {name: value for name, value in os.environ.items() if name != "PRODIGY_HOME"}
    found = []
    for environ in (os.environ, usual):
        try:
            found.append(layout.store_from(environ))
        except (OSError, ValueError):
            continue  # no home, or a setting that is no path
    return found


def _has_session(store: str, there: Enrolment, *, itself: bool) -> bool:
    """Whether a store's file of a session is the enrolment's.

    A file of before the nonces were noted is, in the store that the enrolment names (``itself``); in
    another one repository and job must be the same, too: an id like ``a1`` is in many stores.
    """
    try:
        metadata = session.read(store, there.session)["metadata"]
        nonce = metadata.get(session.NONCE)
        if nonce is not None:
            return bool((nonce, metadata.get("repo")) == (there.nonce, there.repo))
        return itself or (metadata.get("repo"), metadata.get("job_id")) == (there.repo, there.job)
    except (PermissionError, NotADirectoryError):
        return itself  # something is there; that it cannot be read is said where it is needed
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _is_copied(private: str, there: Enrolment) -> bool:
    """Whether the worktree that an enrolment was written for is somewhere else."""
    inode = os.stat(private).st_ino
    for other in _original_places(there):
        try:
            if not os.path.isdir(other) or files.same(other, private):
                continue
            written = enrolments.in_file(other, there.suffix)
            if written is None or written.nonce != there.nonce:
                continue
            # Moved away, and then a copy put where it was: the inode went with it.
            if there.inode == inode and not enrolments.is_at(written, other):
                continue
        except PermissionError:
            # Another user's, so not moved by this one.
            if there.inode == inode:
                continue
        except (OSError, ValueError):
            continue
        return True
    return False


def _original_places(there: Enrolment) -> list[str]:
    places = [there.private] if there.private is not None else []
    try:
        top = session.read(there.store, there.session)["metadata"]["worktree_path"]
        place = gitdir.find(top, {}) if os.path.isdir(top) else None
        if place is not None and place.top == top:
            places.append(place.private)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return places


def leads_to(top: str, private: str) -> bool:
    """Whether a folder is there whose ``.git`` is, or names, a private git directory."""
    place = gitdir.find(top, {}) if os.path.isdir(top) else None
    return place is not None and place.top == top.rstrip("/") and files.same(place.private, private)


def settle(place: Place, there: Enrolment, patience: float = locks.PATIENCE) -> None:
    """Write an enrolment anew where it is now, and note in the store what has moved.

    The events' ids do not change, since the nonce does not. Raises `Unknown` where no store knows the
    session, `OSError` or `ValueError` where it cannot be written.
    """
    if not there.known:
        raise Unknown(f"{place.top}: {words(there)}")
    moved = there.private != place.private and there.inode == os.stat(place.private).st_ino
    lock = locks.take(layout.session_lock(there.store, there.session), patience)
    try:
        now = enrolments.in_file(place.private, there.suffix)
        if now is None or now.nonce != there.nonce:
            raise ValueError(f"{place.private} has another enrolment by now: try again")
        if enrolments.is_at(now, place.private) and enrolments.knows(now.store, now):
            if _belongs(now) != _belongs(there):
                raise ValueError(f"{place.private} was enrolled elsewhere just now: try again")
            return  # another process has done it
        enrolments.claim(lock, there)
        enrolments.write(place.private, there)
        _note(place, there)
    finally:
        os.close(lock)
    repokey.follow(there.store, there.repo, place.common, certain=moved)
    forget_said(place.private, there.suffix)


def _belongs(there: Enrolment) -> tuple[str, str, str, str]:
    return there.store, there.repo, there.session, there.job


def note_place(place: Place, there: Enrolment) -> bool:
    """Bring the session's file up to date with where its worktree is; return whether it was not.

    Raises `OSError`: no lock.
    """
    try:
        fields = session.read(there.store, there.session)
        if not session.note_place(fields, place, there.nonce, leads_to(place.top, place.private)):
            return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    lock = locks.take(layout.session_lock(there.store, there.session))
    try:
        _note(place, there)
        return True
    finally:
        os.close(lock)


def _note(place: Place, there: Enrolment) -> None:
    """Do so under the session's lock; troubles of that file are its readers' to tell of."""
    try:
        fields = session.read(there.store, there.session)
        if session.note_place(fields, place, there.nonce, leads_to(place.top, place.private)):
            session.write(there.store, there.session, fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass


def why(there: Enrolment) -> str:
    """Return in words why no store knows the session of an enrolment."""
    if not os.path.isdir(there.store):
        return f"its store {there.store} is not there (any more)"
    return f"the store {there.store} does not know its session {there.session}"


def words(there: Enrolment) -> str:
    """Return in words why nothing is recorded for such a worktree, and what to do."""
    return (
        f"{why(there)}, so its commits are not recorded (git's reflog keeps them): bring the store "
        "back, or 'prodigy-git doctor --fix' here enrols it anew and records what is missing"
    )


def say_once(place: Place, there: Enrolment) -> str | None:
    """Return what to tell the user of an enrolment that no store knows; None where that was said."""
    text = words(there)
    path = f"{place.private}/{SAID}{there.suffix}"
    try:
        if files.read(path) == os.fsencode(text):
            return None
    except OSError:
        pass
    try:
        files.replace(path, os.fsencode(text))
    except OSError:
        pass  # said again at the next commit, then
    return names.printable(f"prodigy-git: {place.top}: {text} (said once)") + "\n"


def forget_said(private: str, suffix: str) -> None:
    """Forget what was said of a state that is over."""
    try:
        os.unlink(f"{private}/{SAID}{suffix}")
    except OSError:
        pass


def copied_from(place: Place) -> Enrolment | None:
    """Return the original's enrolment that lies in a copy; None where the worktree is no copy."""
    try:
        there = enrolments.as_written(place.private)
        if there is None or _is_anothers(there):
            return None
        if enrolments.is_at(there, place.private) and enrolments.knows(there.store, there):
            return None
        again = enrolments.as_written(place.private)  # `found` notes in it where its store is now
        return there if again is not None and found(place.private, again) is None else None
    except (OSError, ValueError):
        return None


def first_of_copy(private: str, original: Enrolment, movements: list[Movement]) -> int | None:
    """Return the index of the first movement that was made in a copy; None where no commit was yet.

    What the copy's journal has in common with the original's was made there.
    """
    before: set[bytes] = set()
    for other in _original_places(original):
        if files.same(other, private):
            continue
        place = Place(other, gitdir.common_of(other), other)
        try:
            before.update(one.line for one in new_commits.behind(place, Cursor())[0])
        except (OSError, ValueError):
            continue
    own = [n for n, one in enumerate(movements) if one.line in before]
    first = own[-1] + 1 if own else max(len(movements) - 1, 0)
    kinds = {one.kind for one in movements[first:]}
    commits = kinds & {journal.MADE, journal.PICK, journal.UNDECIDED, journal.FINISH}
    return first if commits else None


def describe_copy(original: Enrolment, session_id: str, place: Place) -> str:
    """Return the line that tells the user of a copy's own session."""
    return (
        names.printable(
            f"prodigy-git: {place.top} is a copy of a worktree of session {original.session}: "
            f"from here on it is session {session_id} (said once)"
        )
        + "\n"
    )
