"""Which worktrees there are to be cleaned: by a name, of a repository, of the store."""

import os
import shlex
from dataclasses import replace

from prodigy_git import layout
from prodigy_git import names as safe
from prodigy_git.cleanup.account.evidence import Subject
from prodigy_git.cleanup.trash import unfinished, without_repository
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.model.session import Session
from prodigy_git.prodigy import sessions as prodigys_sessions
from prodigy_git.record import enrolment, files, gitdir, prodigys
from prodigy_git.store import briefs, by_name, ended_by_others, sessions
from prodigy_git.store.broken import Broken


def subject(store: str, cwd: str, name: str) -> Subject:
    """Return the worktree of a session, or the one of this repository with that path or folder name.

    Raises `ProdigyError`, or `names.BadName`, where there is none.
    """
    if safe.is_safe(name) or not os.path.isdir(os.path.join(cwd, name)):
        name = by_name.session(store, cwd, name)
    if safe.is_safe(name) and os.path.lexists(layout.session(store, name)):
        (found,) = prodigys_sessions.filled(store, [sessions.load(store, name)])
        if _is_prodigys(found) and not os.path.isdir(found.text("worktree_path") or ""):
            mine = briefs.of_prodigy(store, found.id)
            found = found if mine is None else sessions.load(store, mine.id)
        return _of_session(store, found)
    try:
        common = repository.find(cwd).common
        trees = [tree for tree in repository.worktrees(common) if not tree.bare]
    except ProdigyError:
        trees, common = [], ""
    path = os.path.join(cwd, name)
    # A folder that is gone is known by its name only.
    path = os.path.realpath(path) if name and os.path.isdir(path) else name
    matching = [tree.path for tree in trees if path in (tree.path, os.path.realpath(tree.path))]
    matching = matching or [tree.path for tree in trees if os.path.basename(tree.path) == name]
    if len(matching) > 1:
        raise ProdigyError(f"{name} is the name of {len(matching)} worktrees: give the path")
    if not matching:
        sessions.load(store, name)  # which says what is wrong with it
    there = _of_folder(store, matching[0])
    if not _belongs(there, common):
        raise ProdigyError(
            f"{matching[0]} belongs to {there.place.common if there.place else 'nobody'}, of which "
            "this repository is a copy: go there"
        )
    return there


def _belongs(found: Subject, common: str) -> bool:
    """Whether a folder that git lists is this repository's: a copy lists the original's."""
    return found.place is None or files.same(found.place.common, common)


def of_repository(store: str, cwd: str, broken: Broken) -> list[Subject]:
    """Return the worktrees of the repository around ``cwd`` that have a session, the main one not."""
    common = repository.find(cwd).common
    return [
        one
        for tree in repository.worktrees(common)[1:]
        if not tree.bare
        and (one := _known(store, tree.path, broken)) is not None
        and _belongs(one, common)
    ]


def _known(store: str, path: str, broken: Broken) -> Subject | None:
    try:
        found = _of_folder(store, path)
    except (ProdigyError, OSError, ValueError) as error:
        broken(f"{path}: {error}")
        return None
    return found if found.session is not None else None


def of_store(store: str, broken: Broken) -> list[Subject]:
    """Return the worktrees of all sessions of the store, without main ones."""
    known = sessions.Known()
    # Once for all: of each alone, all that Prodigy wrote would be read again.
    every = prodigys_sessions.filled(store, sessions.load_all(store, broken))
    found = (_of_session(store, one, known) for one in every)
    return [
        one
        for one in found
        if one.place is not None
        and os.path.realpath(one.place.private) != os.path.realpath(one.place.common)
    ]


def _is_prodigys(found: Session) -> bool:
    return prodigys.wrote(found.metadata) or found.text("created_by") == prodigys_sessions.MADE_BY


def _of_session(store: str, found: Session, known: sessions.Known | None = None) -> Subject:
    """Return a session's worktree; for one of Prodigy's ``found`` is what `filled` returns."""
    path = found.text("worktree_path") or ""
    if _is_prodigys(found) and os.path.isdir(path):
        there = _of_folder(store, path)
        # With a session of ours in it, it is that one's.
        return there if there.session is not None else replace(there, session=found)
    where = sessions.enrolled_place(store, found, known)
    if where is None and (gone := without_repository.repository_of(store, found, path)) is not None:
        return Subject(
            found.id, path, None, found, trouble=without_repository.words(gone), alone=True
        )
    if where is None:
        return Subject(found.id, path, None, found, trouble=_missing(store, found, path, known))
    return Subject(found.id, where[0].top, where[0], found, where[1])


def _missing(store: str, found: Session, path: str, known: sessions.Known | None) -> str:
    """Return why a session has no worktree that could be cleaned."""
    for one in unfinished.find(store, lambda _: None, session=found.id):
        return one.text()
    try:
        half = sessions.journal_of(store, found, known)
    except (OSError, ValueError) as error:
        return f"its enrolment cannot be read ({error})"
    if half is not None:
        # One of the two was moved: git says what links them again, and does it.
        top, common = half[0].top, half[0].common
        if os.path.lexists(f"{top}/.git"):
            repair = f"git -C {shlex.quote(common)} worktree repair {shlex.quote(top)}"
            return f"git does not find {common} from it, '{repair}' helps"
        if not os.path.isdir(top):
            return (
                f"it is not at {top} (any more); if it was moved to PATH, "
                f"'git -C {shlex.quote(common)} worktree repair PATH' tells git"
            )
    if found.text("trash_path") is not None:
        return (
            f"its worktree is in the trash, 'prodigy-git worktree restore {found.id}' restores it"
        )
    if not os.path.isdir(path):
        return f"it has no worktree (any more){_removed_by_git(store, found)}"
    if not os.path.lexists(f"{path}/.git"):
        repair = f"git worktree repair {shlex.quote(path)}"
        return f"the file .git in {path} is gone, '{repair}' makes it again"
    place = gitdir.find(path, {})
    if place is None:
        return f"git does not know {path} (any more), 'prodigy-git clean --dry-run' says more"
    return f"{path} is not its worktree (any more)"


def _removed_by_git(store: str, found: Session) -> str:
    """Return what is left of a worktree that was removed with git, by whomever; "" for any other."""
    common, branch = sessions.common_of(store, found), found.text("branch")
    has_branch = (
        common is not None
        and branch is not None
        and repository.has_ref(common, f"refs/heads/{branch}")
    )
    if found.text(prodigys.SESSION) is not None:
        on = f"; what was committed is on {branch}" if has_branch else ""
        return f": Prodigy, or git, has removed it{on}"
    if ended_by_others.by_others(found) != ended_by_others.REMOVED:
        return ""
    left = found.text(ended_by_others.LEFT)
    commits = f"; its commits are {left}" if left is not None else ""
    again = (
        f", 'prodigy-git resume {found.id}' makes it again from its branch" if has_branch else ""
    )
    return f": it was removed with git{commits}; what was not committed is lost{again}"


def _of_folder(store: str, path: str) -> Subject:
    """Return the worktree in a folder, with its session if it has one in this store."""
    name = os.path.basename(path)
    place = gitdir.find(path, {})
    if place is None or place.top != path.rstrip("/"):
        missing = "its folder is gone" if not os.path.isdir(path) else "its file .git is gone"
        return Subject(name, path, None, trouble=f"{missing}, or its disk is not mounted")
    there = enrolment.read(place.private)
    if there is None or not enrolment.ours(there, store):
        return Subject(name, path, place)
    return Subject(there.session, path, place, sessions.load(store, there.session), there)
