"""Taking a worktree out of the recording, as if no hook had enrolled it; what is recorded stays."""

import contextlib
import os
from dataclasses import asdict, dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git
from prodigy_git.lifecycle.finish import finish
from prodigy_git.record import clock, enrolment, locks, session
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place
from prodigy_git.store import sessions
from prodigy_git.store.events import Broken


@dataclass(frozen=True)
class Forgotten:
    """A worktree that has no session any more, and which one it had."""

    worktree: str
    session_id: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``worktree forget --json`` prints them."""
        return asdict(self)


def of_repository(cwd: str) -> list[str]:
    """Return the paths of the enrolled worktrees of the repository around ``cwd``."""
    common = repository.find(cwd).common
    found = []
    for tree in repository.worktrees(common):
        place = repository.place_of(common, tree)
        with contextlib.suppress(ValueError):
            if place is not None and enrolment.read(place.private) is not None:
                found.append(tree.path)
    return found


def forget(path: str, *, anew: bool, broken: Broken) -> Forgotten:
    """End the session of the worktree around ``path`` and remove its enrolment.

    What was committed so far is recorded first; the session's file, its job and the log stay. Unless
    ``anew``, git config ``prodigy.autoRegister`` becomes false in the repository, since the next
    commit would enrol it again. One whose store is gone is forgotten too. Raises `ProdigyError` for a
    worktree without a session, one that prodigy-git made, and one where an agent is at work; `OSError`.
    """
    place = repository.find(path)
    try:
        there = enrolment.read(place.private)
    except ValueError as error:
        raise ProdigyError(f"{error}: move that file away") from error
    if there is None:
        raise ProdigyError(f"{place.top} has no session: nothing to forget")
    _refuse(place, there)
    if not anew:
        # First: a commit that is made meanwhile must not enrol what has just been forgotten.
        git(place.common, "config", "prodigy.autoRegister", "false")
    if os.path.isdir(there.store):
        _end(there, broken)
        lock = locks.take(layout.session_lock(there.store, there.session))
        try:
            _note(there)
            _unlink(place, there)
        finally:
            os.close(lock)
    else:
        _unlink(place, there)  # no lock: the store would be made anew
    return Forgotten(place.top, there.session)


def _refuse(place: Place, there: Enrolment) -> None:
    if os.path.dirname(place.top) == layout.worktrees(there.store, there.repo):
        raise ProdigyError(
            f"{place.top} was made by prodigy-git: 'prodigy-git finish {there.session}' ends its "
            f"session, 'prodigy-git worktree clean {there.session}' removes it"
        )


def _end(there: Enrolment, broken: Broken) -> None:
    """Record what is not recorded yet, and end the session where it has not ended."""
    if not os.path.lexists(layout.session(there.store, there.session)):
        return  # cleaned away
    found = sessions.catch_up(there.store, sessions.load(there.store, there.session), broken)
    if found.ended:
        return
    if there.agent is not None:
        raise ProdigyError(
            f"agent {there.agent} is at work there: 'prodigy-git finish {there.session}' ends that"
        )
    finish(there.store, there.session, cancelled=True, broken=broken)


def _note(there: Enrolment) -> None:
    """Say in the session's file that later commits there are not its own."""
    with contextlib.suppress(FileNotFoundError):
        fields = session.read(there.store, there.session)
        if isinstance(fields.get("metadata"), dict):
            fields["metadata"]["forgotten_at"] = clock.stamp(clock.now())
            session.write(there.store, there.session, fields)


def _unlink(place: Place, there: Enrolment) -> None:
    # The enrolment first: a cursor alone means nothing. But one beside another user's enrolment stays:
    # it says that what this user committed is not for the other to record.
    for name in (layout.ENROLMENT, layout.CURSOR)[: 1 if there.suffix else 2]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{place.private}/{name}{there.suffix}")
