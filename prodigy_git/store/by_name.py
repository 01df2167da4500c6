"""Which session is meant by a name: its id, the name that it was given, its branch."""

import os

from prodigy_git import glance, layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.record import gitdir, repokey
from prodigy_git.store import briefs, enrolled
from prodigy_git.store.briefs import Brief


def session(store: str, cwd: str, name: str, *, trashed: bool = False) -> str:
    """Return the id of the session that ``name`` means; ``name`` itself where none is called so.

    An id means its own session, as long as that has a worktree or has not ended. Else it is the one
    that was given this name, or has the branch, among those of the repository around ``cwd`` (outside
    of any: of the store) whose worktree is there; with ``trashed`` in the trash. Raises
    `ProdigyError` where there are several.
    """
    known = names.is_safe(name) and glance.is_file(layout.session(store, name))
    if known and (trashed or _is_at_work(store, name)):
        return name
    place = gitdir.find(cwd, {})
    repo = None if place is None else repokey.known(store, place.common)
    if trashed or repo is None:
        asked = briefs.read_all(store, lambda _: None)
    else:
        asked = briefs.read_some(store, enrolled.places(store, repo))
    there = [
        one
        for one in asked
        if name in (one.name, one.branch)
        and repo in (None, one.repo)
        and (one.trash is not None if trashed else os.path.isdir(one.worktree or ""))
    ]
    given = [one for one in there if one.name == name]
    # An id that has been used is at least that: only who was given the same name comes before it.
    found = given or ([] if known else there)
    if trashed and found:
        return max(found, key=_when).id
    if len(found) > 1:
        ids = ", ".join(sorted(one.id for one in found))
        raise ProdigyError(f"{name} is more than one session: give one of {ids}")
    return found[0].id if found else name


def _is_at_work(store: str, name: str) -> bool:
    found = briefs.read_some(store, [name])
    if not found:
        return True  # damaged: whoever reads it says so
    return not found[0].over or os.path.isdir(found[0].worktree or "")


def _when(one: Brief) -> int:
    return one.updated or 0
