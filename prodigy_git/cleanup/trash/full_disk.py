"""What to say where a disk is full: what makes space at once."""

import os
from collections.abc import Callable, Sequence

from prodigy_git.amounts import number
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.record import files
from prodigy_git.store.reserve import NO_SPACE


def said(error: BaseException, store: str, cwd: str) -> str:
    """Return an error's words; where there was no space, with what makes some."""
    text = str(error)
    # The last is git's, for a pack.
    full = [*map(os.strerror, NO_SPACE), "Out of diskspace"]
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        text = f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    elif not any(words in text for words in full):
        return text
    return f"{text}; to make space, {remedy(store, cwd)}"


def remedy(store: str, cwd: str, done: Callable[[], Sequence[str]] = list) -> str:
    """Return, as the end of a sentence, what makes space on the store's disk at once.

    ``done`` says which worktrees can be cleaned without a doubt; asked only where the trash is empty.
    """
    there = [one for one in entries.entries(store, lambda _: None) if _holds(one)]
    mine = [one for one in there if _around(cwd, one.common)]
    if mine:
        what = f"{number(len(mine), 'removed worktree')} of this repository"
        return f"'prodigy-git trash empty' deletes {what} for good"
    if there:
        what = number(len(there), "removed worktree")
        return f"'prodigy-git trash empty --all-repos' deletes {what} for good"
    purge = "'prodigy-git worktree clean --purge"
    try:
        names = done()
    except (ProdigyError, OSError, ValueError):
        names = ()
    if names:
        return f"{purge} {' '.join(names)}' deletes what is done with for good, ignored files, too"
    return f"delete something on the disk of {store}, or a worktree for good: {purge} NAME'"


def _holds(one: Entry) -> bool:
    """Whether emptying an entry gives something back, as far as can be told."""
    return one.state == "trashed" or (one.state == "emptying" and one.left is None)


def _around(cwd: str, common: str) -> bool:
    try:
        return files.same(repository.find(cwd).common, common)
    except ProdigyError:
        return False
