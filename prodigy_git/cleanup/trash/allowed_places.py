"""Which places an entry of the trash may name: its document is a file that anybody may have changed.

What an entry holds lies in the entry's own folder, or under the entry's name in the repository's
``prodigy-trash``. Where it goes back to is where git or the session says that it was. Whatever else a
document names is somebody else's, and is neither moved nor deleted.
"""

import contextlib
import os
from typing import NoReturn

from prodigy_git import layout
from prodigy_git.cleanup.trash.entry_document import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, gitdir, jsonline, within

_PLAN = ("to", "private", "missing")
"""The texts of a restore's intent."""


def refuse_in_document(document: str, found: Entry) -> None:
    """Raise `ProdigyError` where a document names, as the entry's own, what is not.

    What it names is moved and deleted. Where it is to go back to is looked at by who brings it there
    (`refuse_foreign`).
    """
    name = f"{found.session}-{found.moment}"
    beside = f"{found.common}/prodigy-trash/{name}"
    above = os.path.dirname(found.private)
    near = (f"{beside}-back", f"{above}/.prodigy-{name}")  # where a restore may have it for a while
    if found.folder not in (f"{found.path}/worktree", f"{beside}-worktree"):
        _outside(document, "folder", found.folder)
    if found.git not in (f"{found.path}/git", beside, *near):
        _outside(document, "git", found.git)
    plan = found.restoring or {}
    for what in _PLAN:
        if not isinstance(plan.get(what, ""), str) or "\0" in plan.get(what, ""):
            raise ProdigyError(
                f"{document} is damaged (restoring.{what}): repair it or move it away"
            )
    if "/" in plan.get("missing", "") or plan.get("missing") in (".", ".."):
        _outside(document, "restoring.missing", plan["missing"])
    if not found.alone:
        for what, path in (("private", found.private), ("private", plan.get("private"))):
            if path is not None and not _is_registration(path, found.common):
                _outside(document, what, path)
    for ref in filter(None, (found.salvage_ref, *found.tag_refs)):
        if not ref.startswith("refs/prodigy/"):
            _outside(document, "salvage", ref)


def _is_registration(private: str, common: str) -> bool:
    """Whether a path is that of a linked worktree's private git directory in a repository."""
    folder, name = os.path.split(private)
    of = folder.removesuffix("/worktrees")
    return of != folder and name not in ("", ".", "..") and (of == common or files.same(of, common))


def _outside(document: str, what: str, path: str) -> NoReturn:
    raise ProdigyError(
        f"{document} names a place outside of the entry ({what}: {path}): repair it or move it away"
    )


def refuse_foreign(store: str, found: Entry, target: str) -> None:
    """Raise `ProdigyError` where nothing but the entry's document says that ``target`` was its place.

    ``target`` is the worktree's path. Where the user gives one, this is not asked.
    """
    if target not in _own(store, found):
        raise ProdigyError(
            f"{found.path}/entry.json names a place outside, {target}, and neither git nor the "
            "session says that the worktree was there: say where it belongs with --to"
        )


def refuse_links(store: str, target: str) -> None:
    """Raise `ProdigyError` where ``target`` lies in the store only by a link."""
    link = within.link_in(store, target) if target.startswith(f"{store}/") else None
    if link is not None:
        raise ProdigyError(
            f"{link} is a link that leads out of the store: give another path with --to"
        )


def _own(store: str, found: Entry) -> set[str]:
    """Return the places that others than the document say were the worktree's."""
    own = {f"{layout.worktrees(store, found.repo)}/{found.session}"}
    own.update(_in_sessions(store, found))
    with contextlib.suppress(OSError):
        line = gitdir.worktree_link(found.git)
        # git 2.48 can write it relative to where the private directory was.
        for private in (found.private, *found.linked[1:]):
            own.add(os.path.dirname(os.path.normpath(os.path.join(private, line))))
    # Where store or repository has moved since, git and session name the place as it was then.
    if found.linked and found.linked[0] in own:
        own.add(found.worktree)
    return own


def _in_sessions(store: str, found: Entry) -> list[str]:
    """Return the places that the session's file names, and each of it that lies in the trash."""
    paths = [layout.session(store, found.session)]
    folder = layout.trash(store, found.repo, found.session)
    with contextlib.suppress(OSError):
        paths += [
            f"{folder}/{name}" for name in os.listdir(folder) if name.startswith("session.json")
        ]
    named = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            metadata = jsonline.decode_object(files.read(path)).get("metadata")
            place = metadata.get("worktree_path") if isinstance(metadata, dict) else None
            if isinstance(place, str):
                named.append(place)
    return named
