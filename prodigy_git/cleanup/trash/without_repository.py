"""Worktrees whose repository is gone: the folder is all there is of them.

Whether a repository was deleted or lies on a disk that is not mounted cannot be told from here, so such
a folder is only taken by name and by force, and comes back as the folder that it was: with the ``.git``
that names the repository, so that all is as before should that appear again.
"""

import os
import stat

from prodigy_git.cleanup.folders import mounts, moving
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import intent, removal
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import registrations
from prodigy_git.model.session import Session
from prodigy_git.record import gitdir
from prodigy_git.store import locked, sessions
from prodigy_git.store.events import Broken


def repository_of(store: str, found: Session, top: str) -> str | None:
    """Return the git directory that a session's folder belonged to, if that is gone; else None.

    None as well where the folder is not plainly that session's: its ``.git`` must name a worktree of
    the repository that the session's file names.
    """
    private = registrations.named_by(top)
    if private is None or os.path.islink(top) or gitdir.find(top, {}) is not None:
        return None
    common = os.path.dirname(os.path.dirname(private))
    if os.path.lexists(common) or sessions.common_of(store, found) is not None:
        return None
    return common if common == found.text("repo_path") else None


def words(common: str) -> str:
    """Return in words what is wrong with such a worktree, and what goes with it."""
    return (
        f"its repository {common} is gone (or moved, or its disk not mounted), so git holds nothing of "
        "it: what is in the folder is all there is"
    )


def remove(store: str, found: Session, top: str, *, reasons: list[str], broken: Broken) -> Entry:
    """Move the folder of a worktree whose repository is gone to the trash; return its entry.

    The caller holds no lock. Raises `ProdigyError` or `OSError`; then it is where it was.
    """
    repo = found.text("repo")
    assert repo is not None
    with locked.repository(store, repo):
        common, private = repository_of(store, found, top), registrations.named_by(top)
        if common is None or private is None:
            raise ProdigyError(f"the repository of {top} is there again: try once more")
        for point in mounts.points(top):  # it would go along, and be emptied one day
            raise ProdigyError(f"{point} is mounted in it: unmount it first")
        path, stamp = intent.folder(store, repo, found.id)
        about = os.lstat(top)
        entry = Entry(
            path=path, state="moving", repo=repo, session=found.id, worktree=top, private=private,
            common=common, created_at=stamp, folder=f"{path}/worktree", git=f"{path}/git",
            branch=found.text("branch"), head=found.text("last_commit"),
            root_mtime_ns=about.st_mtime_ns,
            root_mode=None if about.st_mode & stat.S_IWUSR else stat.S_IMODE(about.st_mode),
            session_status=found.status, reasons=reasons, alone=True,
        )  # fmt: skip
        intent.write(entry)
        try:
            removal.make_writable(entry)
            moving.move(top, entry.folder)
        finally:
            removal.resume(entry, broken)  # finishes, or takes the entry back
        return entry


def restore(found: Entry, target: str) -> list[str]:
    """Write the intent to bring such a folder back to ``target``; return what there is to say."""
    found.restoring = {"to": target, "private": found.private, "whole": False, "log": None}
    found.state = "restoring"
    entries.write(found)
    if os.path.isfile(f"{found.private}/HEAD"):
        return [f"its repository {found.common} is there again: 'git worktree list' knows it"]
    return [f"it is a plain folder: its repository {found.common} is gone"]
