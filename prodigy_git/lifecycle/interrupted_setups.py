"""What set-ups have left: those that were killed, and those whose worktree is gone."""

import os

from prodigy_git import layout
from prodigy_git.errors import ProdigyError, not_noted
from prodigy_git.git import repository
from prodigy_git.git.ask import git
from prodigy_git.lifecycle import finish as ending
from prodigy_git.model.session import Session
from prodigy_git.record import register, repokey
from prodigy_git.setup import background, notes
from prodigy_git.setup.notes import Note
from prodigy_git.store import late_enrolment, removed, sessions
from prodigy_git.store.broken import Broken


def cancel(remembered: Note, why: str, broken: Broken) -> str:
    """End a session that nobody works in yet; return its status. Its teardown is remembered."""
    store, session = remembered.store, remembered.session
    ended = ending.finish(store, session, cancelled=True, error=why, broken=broken)
    remembered.settle()
    return ended.status


def settle(store: str, worktrees: dict[str, str | None], broken: Broken) -> None:
    """Put in order what set-ups have left: those that were killed, and those whose worktree is gone.

    A worktree that was being made is nobody's: its session is cancelled, and it goes to the trash with
    the next `clean`, as any that has ended. ``worktrees`` has the sessions' paths, as far as they are
    known. Trouble is told to ``broken``.
    """
    for session, underway in sorted(notes.sessions(store).items()):
        try:
            if underway:
                _settle_interrupted(store, session, broken)
            elif not os.path.lexists(worktrees.get(session) or "") and not _is_wanted(
                store, session
            ):
                _forget(store, session, broken)
        except (ProdigyError, OSError, ValueError) as error:
            broken(not_noted(error) or f"the set-up of {session}: {error}")


def _settle_interrupted(store: str, session: str, broken: Broken) -> None:
    remembered = notes.read(store, session)
    if remembered is None or remembered.is_at_work():
        return
    background.end_interrupted(remembered)
    if not os.path.lexists(layout.session(store, session)):
        remembered.drop()  # killed while it was taken back
        return
    again = f"'prodigy-git setup run {session}' does it again"
    if not remembered.plan.parts:  # files were being copied, and one of them may be there in part
        again = "'prodigy-git new-worktree' makes another"
    found = sessions.load(store, session)
    if remembered.making and found.status == "Initializing":
        begun = _begun(store, found, broken)
        if begun is None:
            return
        found = begun
    if remembered.making and not found.ended:
        if sessions.enrolled_place(store, found) is None:
            return  # `clean` says what has become of it
        cancel(remembered, "its set-up was interrupted", broken)
        broken(f"{session}: its set-up was interrupted, and its session is Cancelled: {again}")
        return
    remembered.settle()
    broken(f"{session}: its set-up was interrupted: {again}")


def _begun(store: str, found: Session, broken: Broken) -> Session | None:
    """Enrol a session whose making was killed before that, and return it; None: there is nothing of it.

    Its worktree gets its files first, or each would count as deleted. Nobody has either.
    """
    path, repo = found.text("worktree_path") or "", found.text("repo") or ""
    place = repository.private_of(path) if os.path.isdir(path) else None
    if place is None:
        if not os.path.lexists(path):
            register.forget(store, repo, found.id)
            notes.drop(store, found.id)
        return None
    if os.path.lexists(f"{place.private}/index.lock"):
        return None  # git goes on without us: the next look finds what it has made
    if not os.path.lexists(f"{place.private}/index"):
        git(place.top, "reset", "--hard", "--quiet", "--no-recurse-submodules")
    late_enrolment.enrol(store, repo, found, place, broken)
    return sessions.load(store, found.id)


def _is_wanted(store: str, session: str) -> bool:
    """Whether a session's worktree is there, or may be: not where git has removed it."""
    if not os.path.lexists(layout.session(store, session)):
        return False
    found = sessions.load(store, session)
    path, repo = found.text("worktree_path"), found.text("repo")
    if path is None or repo is None or os.path.lexists(path):
        return True
    common = repokey.common_of(store, repo)
    return common is None or not removed.by_git(store, repo, common, session, path)


def _forget(store: str, session: str, broken: Broken) -> None:
    remembered = notes.read(store, session)
    if remembered is not None:
        background.end(remembered, broken)
        remembered.drop()
