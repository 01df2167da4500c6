"""Whether git was told to remove a session's worktree: it is over then, and not out of sight.

Other tools make worktrees, commit in them, and have git remove them: no hook runs, and the session's
file goes on to say that it is Running. That a folder is missing proves nothing: it may have been moved,
or its disk is not mounted. Git's private directory for it is in the repository, which is in sight; it
goes with `git worktree remove`, and with a `prune` that found no folder.
"""

import os

from prodigy_git import layout
from prodigy_git.record import files, jsonline, repokey


def by_git(store: str, repo: str, common: str, session: str, path: str) -> bool:
    """Whether git has no worktree of this session any more, and its folder ``path`` is gone.

    False where that cannot be known: the repository ``common`` is not in sight, or is a new clone at
    its place; nor is the place where the folder was; something is mounted over either; an enrolment
    cannot be read. Also for what was moved to our own trash.
    """
    if os.path.lexists(path) or os.path.lexists(layout.trash(store, repo, session)):
        return False
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) or os.path.ismount(parent):
        return False
    if os.path.ismount(f"{common}/worktrees") or not _is_that(store, repo, common):
        return False
    try:
        listed = os.listdir(f"{common}/worktrees")
    except FileNotFoundError:
        listed = []  # git removes it with the last one
    except OSError:
        return False
    try:
        return not any(
            _is_its(private, session, path)
            for private in (common, *(f"{common}/worktrees/{name}" for name in listed))
        )
    except (OSError, ValueError):
        return False


def _is_that(store: str, repo: str, common: str) -> bool:
    """Whether a repository bears the id that the store knows its key by."""
    mark = repokey.mark_of(common)
    try:
        known = jsonline.decode_object(files.read(layout.repository(store, repo))).get("id")
    except (OSError, ValueError):
        return False
    return mark is not None and mark == known


def _is_its(private: str, session: str, path: str) -> bool:
    """Whether a private git directory may be a session's. Raises `OSError`, `ValueError`."""
    try:
        named = os.fsdecode(files.read(f"{private}/gitdir").rstrip(b"\r\n"))
    except FileNotFoundError:
        named = ""  # the main one's; or it has just gone
    if os.path.normpath(os.path.join(private, named)) == f"{path}/.git":
        return True
    try:
        found = os.listdir(private)
    except FileNotFoundError:
        return False
    enrolments = (one for one in found if one.startswith(layout.ENROLMENT))
    return any(_names(f"{private}/{one}", session) for one in enrolments)


def _names(path: str, session: str) -> bool:
    # Also another user's, and the cursors beside it, in which the id stands for nothing else.
    return os.path.isfile(path) and session.encode() in files.read(path)
