"""Which store a command works with, and whether it can be written."""

import os

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.record import enrolment, gitdir
from prodigy_git.record.enrolment import Enrolment
from prodigy_git.record.gitdir import Place


def here(cwd: str | None = None) -> str:
    """Return the store of whoever stands in ``cwd``: one rule for all (docs/reference/store.md).

    In an enrolled worktree that is the store it is enrolled in, as long as that is there; else the
    environment's. ``cwd`` None is the current directory. Raises `ProdigyError` where the environment
    names no usable place.
    """
    if cwd is None:
        try:
            cwd = os.getcwd()
        except FileNotFoundError:  # somebody has removed it
            return named()
    there = enrolled(gitdir.find(cwd, {}))
    return named() if there is None else there.store


def enrolled(place: Place | None) -> Enrolment | None:
    """Return a worktree's enrolment; None where it has none that leads to a store."""
    try:
        there = None if place is None else enrolment.read(place.private)
    except (OSError, ValueError):
        return None  # 'hooks' and 'doctor' say so
    return there if there is not None and os.path.isdir(there.store) else None


def named() -> str:
    """Return the store that the environment names. Raises `ProdigyError` for an unusable name."""
    try:
        return layout.store_from(os.environ)
    except layout.NoStore as error:
        raise ProdigyError(str(error)) from error


def worktree_around(store: str) -> str | None:
    """Return the worktree that a store lies in; None where it lies in none.

    A home folder under git's control (dotfiles) has the store in it rightly.
    """
    above = store
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    place = gitdir.find(above, {})
    if place is None or above.startswith(f"{place.common}/"):
        return None
    own = os.path.realpath(os.path.expanduser("~"))
    return None if f"{own}/".startswith(f"{os.path.realpath(place.top)}/") else place.top


def trouble(store: str) -> str | None:
    """Return why a store cannot be written, or made, in words; None where it can. Changes nothing."""
    above = store
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        return f"{store} cannot be the store: {above} is not a folder"
    # Asked of the system, not tried: root too may not write on a read-only filesystem.
    if os.access(above, os.W_OK | os.X_OK):
        return None
    return (
        f"{store} cannot be {'written' if above == store else 'made'}: no right to write in {above}"
    )
