"""Moving a worktree to the trash, whole: folder, private git directory, and what holds its objects.

The order is DESIGN's, section 7, because git prunes and collects on its own meanwhile: intent, git's
lock, salvage ref, private directory, folder, ``.git`` disabled. An entry of the trash is a folder
``trash/{repo}/{session}/{time}/`` with ``entry.json``, ``worktree/`` and ``git/``.
"""

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git
from prodigy_git.record import clock, files, jsonline
from prodigy_git.record.gitdir import Place

DISABLED = ".git.in-trash"
"""What a trashed worktree's ``.git`` file is called: no command run there may reach a successor."""


@dataclass(frozen=True)
class Trashed:
    """Where a removed worktree lies, and the ref that keeps its objects."""

    path: str
    salvage_ref: str
    head: str


def move_to_trash(store: str, repo: str, session: str, place: Place, *, dirty: bool) -> Trashed:
    """Move a worktree to the trash; the caller holds the repository's lock.

    ``dirty`` says that there is something uncommitted, which is then kept as a commit, too. Raises
    `ProdigyError` or `OSError`; then the worktree is where it was.
    """
    moment = clock.stamp(clock.now()).replace(":", "").replace("-", "")
    entry = f"{layout.trash(store, repo, session)}/{moment}"
    head = git(place.top, "rev-parse", "--verify", "HEAD^{commit}").strip()
    ref = f"refs/prodigy/salvage/{session}/{moment.replace('.', '-')}"
    branch = repository.branch_of(place.top, "HEAD")
    lock = f"{place.private}/locked"
    locked_before = files.read(lock) if os.path.exists(lock) else None
    intent: dict[str, Any] = {
        "state": "moving",
        "session": session,
        "worktree": os.fsdecode(os.fsencode(place.top)),
        "private": place.private,
        "common": place.common,
        "head": head,
        "branch": branch,
        "salvage_ref": ref,
        "locked": None if locked_before is None else locked_before.decode("utf-8", "replace"),
        "created_at": clock.stamp(clock.now()),
    }
    _write_entry(entry, intent)
    undo_moves: list[tuple[str, str]] = []
    try:
        files.replace(lock, b"being moved to the trash by prodigy-git\n")
        anchor = _salvage(place, head, session) if dirty else head
        git(place.common, "update-ref", ref, anchor)
        private = _move(
            place.private, f"{entry}/git", f"{place.common}/prodigy-trash/{session}-{moment}"
        )
        undo_moves.append((private, place.private))
        folder = _move(
            place.top,
            f"{entry}/worktree",
            f"{place.common}/prodigy-trash/{session}-{moment}-worktree",
        )
        undo_moves.append((folder, place.top))
        os.rename(f"{folder}/.git", f"{folder}/{DISABLED}")
    except BaseException:
        for now, before in reversed(undo_moves):
            os.makedirs(os.path.dirname(before), exist_ok=True)
            os.rename(now, before)
        if locked_before is None:
            if os.path.exists(lock):
                os.unlink(lock)
        else:
            files.replace(lock, locked_before)
        shutil.rmtree(entry, ignore_errors=True)
        raise
    _write_entry(entry, {**intent, "state": "trashed", "folder": folder, "git": private})
    return Trashed(entry, ref, head)


def _write_entry(entry: str, fields: dict[str, Any]) -> None:
    files.make_private(entry)
    files.replace(f"{entry}/entry.json", (jsonline.encode(fields) + "\n").encode("ascii"))


def _move(source: str, target: str, beside: str) -> str:
    """Rename ``source`` to ``target``, or where that is another filesystem, to ``beside``.

    Return the path that it has then. ``beside`` lies in the common git directory.
    """
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        files.make_private(os.path.dirname(beside))
        try:
            os.rename(source, beside)
        except OSError as second:
            if second.errno != errno.EXDEV:
                raise
            raise ProdigyError(
                f"{source} lies on another filesystem than the store and the repository, and cannot "
                "be moved to the trash: remove it with 'git worktree remove'"
            ) from second
        return beside
    return target


def _salvage(place: Place, head: str, session: str) -> str:
    """Return a commit, child of HEAD, that holds everything modified, staged or untracked.

    Made from a copy of the index, so that the worktree's own stays as it is. No hook runs, nothing is
    signed, and ignored files are not in it: they are in the trash only.
    """
    with tempfile.TemporaryDirectory(prefix="prodigy-salvage-") as scratch:
        index = f"{scratch}/index"
        if os.path.exists(f"{place.private}/index"):
            shutil.copyfile(f"{place.private}/index", index)
        env = {"GIT_INDEX_FILE": index}
        git(place.top, "-c", "core.safecrlf=false", "add", "--all", "--", ":/", env=env)
        tree = git(place.top, "write-tree", env=env).strip()
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "prodigy-git"), ("EMAIL", "prodigy-git@localhost"))
    }
    message = f"Uncommitted work of session {session}\n"
    return git(
        place.top, "commit-tree", "--no-gpg-sign", "-p", head, "-F", "-", tree,
        stdin=message.encode(), env=identity,
    ).strip()  # fmt: skip
