"""Where is merged: a worktree of our own, that git lists nowhere and that no hook records.

Its private git directory lies in the store beside its files, with a ``commondir`` that leads to the
repository (gitrepository-layout(5)): to git in it, it is a worktree like any other; `git worktree list`
does not have it, and what prunes, lists or cleans worktrees never sees it.

Made for one call of ``merge``, removed at its end. One that a killed call left is removed by the next
one, which makes its own: a check of that call may still be at work there.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.merging.queue.target import Target
from prodigy_git.record import files, locks, ownership, within

_INDEX_LOCK = "index.lock"


@dataclass(frozen=True)
class Workplace:
    """A worktree for merging: ``top`` are its files, ``private`` is its git directory."""

    folder: str
    top: str
    private: str


def make(target: Target, commit: str, *, checked_out: bool = True) -> Workplace:
    """Make a worktree at a commit, on no branch; without files where nothing is ``checked_out``.

    Raises `ProdigyError`, `OSError`.
    """
    above = layout.merging(target.store, target.repo, target.key)
    within.make_folder(target.store, above)
    folder = f"{above}/{os.urandom(4).hex()}"
    made = Workplace(folder, f"{folder}/tree", f"{folder}/git")
    try:
        _write(made, target.place.common)
        git(made.top, "update-ref", "--no-deref", "HEAD", commit)
        if checked_out:
            status, _, err = git_status(made.top, "reset", "--hard", "--quiet")
            if status != 0:
                raise ProdigyError(f"{target.branch} cannot be checked out: {said(err)}")
    except BaseException:
        remove(made)
        raise
    ownership.hand_over_tree(made.folder)
    return made


def _write(made: Workplace, common: str) -> None:
    for folder in (made.top, made.private):
        files.make_private(folder)
    texts = {"commondir": common, "gitdir": f"{made.top}/.git", "HEAD": "ref: refs/heads/.invalid"}
    if os.path.isdir(f"{common}/reftable"):
        # As `git worktree add` makes it; HEAD is a stub, refs/heads a file.
        for folder in ("reftable", "refs"):
            files.make_private(f"{made.private}/{folder}")
        texts |= {"refs/heads": "this repository uses the reftable format"}
        _put(f"{made.private}/reftable/tables.list", "")
    for name, text in texts.items():
        _put(f"{made.private}/{name}", f"{text}\n")
    _put(f"{made.private}/{layout.UNRECORDED}", "")
    _put(f"{made.top}/.git", f"gitdir: {made.private}\n")


def _put(path: str, text: str) -> None:
    descriptor = files.create(path, os.O_WRONLY | os.O_EXCL)
    try:
        files.write_all(descriptor, os.fsencode(text))
    finally:
        os.close(descriptor)


def reset(made: Workplace, commit: str) -> None:
    """Go to a commit, whatever is there; what git ignores stays, as the caches of a check.

    Raises `ProdigyError`.
    """
    for name in ("rebase-merge", "rebase-apply", "sequencer"):
        shutil.rmtree(f"{made.private}/{name}", ignore_errors=True)
    # Nobody else works here: a check that was ended may have left it.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{made.private}/{_INDEX_LOCK}")
    git(made.top, "update-ref", "--no-deref", "HEAD", commit)
    git(made.top, "reset", "--hard", "--quiet")
    git_status(made.top, "clean", "-ffdq")


def remove(made: Workplace) -> None:
    """Remove a worktree; what cannot be removed now, the next call tries again. Never raises."""
    shutil.rmtree(made.folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # something is left, which the next call removes
        os.rmdir(os.path.dirname(made.folder))


def sweep(target: Target) -> None:
    """Remove the worktrees that killed calls have left: for any branch into which nobody merges now.

    The caller holds the merge lock of ``target``. Never raises.
    """
    above = os.path.dirname(layout.merging(target.store, target.repo, target.key))
    for key in _names(above):
        lock = None
        if key != target.key:
            try:
                lock = locks.take(layout.merge_lock(target.store, target.repo, key), 0)
            except OSError:
                continue  # somebody is at work there
        try:
            for name in _names(f"{above}/{key}"):
                shutil.rmtree(f"{above}/{key}/{name}", ignore_errors=True)
            with contextlib.suppress(
                OSError
            ):  # what cannot be removed now, the next call tries again
                os.rmdir(f"{above}/{key}")
        finally:
            if lock is not None:
                os.close(lock)


def _names(folder: str) -> list[str]:
    try:
        return list(filter(names.is_safe, os.listdir(folder)))
    except OSError:
        return []
