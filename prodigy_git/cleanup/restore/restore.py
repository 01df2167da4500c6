"""Bringing a removed worktree back: from the trash, else from the salvage what git holds.

What may be refused is refused before anything moves; then the trash has the worktree as before.
"""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from prodigy_git import names
from prodigy_git.cleanup.restore import carrying_out, from_salvage, heads, missing_objects
from prodigy_git.cleanup.salvage import unpublished
from prodigy_git.cleanup.trash import allowed_places, halves, without_repository
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.record import gitdir, prodigys, repokey
from prodigy_git.store import briefs, locked, other_sessions, sessions
from prodigy_git.store.events import Broken

_GITS = (
    "hooks", "info", "logs", "modules", "objects", "prodigy-reserve", "prodigy-salvage",
    "prodigy-trash", "refs", "worktrees",
)  # fmt: skip


@dataclass(frozen=True)
class Restored:
    """A worktree that is back, at ``worktree``; ``notes`` say what is not as it was before."""

    name: str
    worktree: str
    source: str
    """``trash``, or ``salvage``: from the salvage, at least in part; ``pushed``: another host's."""
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``worktree restore --json`` prints them."""
        fields = asdict(self)
        return {"session_id": fields.pop("name"), **fields}


def restore(store: str, name: str, *, to: str | None, broken: Broken) -> Restored:
    """Bring the newest removed worktree of the session ``name`` back to its path, or to ``to``.

    ``to`` may lie inside another worktree, as git itself allows, but not inside a git directory or the
    trash; an empty folder there is replaced. What a kill has interrupted is to be ended before, by
    `interrupted.finish`. Raises `ProdigyError` or `OSError`: then the trash has
    everything as before, or, where the folder had been moved already, the next command goes on.
    """
    names.checked(name, "session id")
    name = _as_recorded(store, name)
    repo = _choose(store, name, broken).repo
    with locked.repository(store, repo):
        _refuse_unfinished(store, name)
        # Once more, since another process may have been at it meanwhile.
        return _restore(store, _choose(store, name, broken), to, broken)


def _refuse_unfinished(store: str, name: str) -> None:
    """Raise `ProdigyError` where an entry could not be brought to an end: why has been said."""
    for one in entries.entries(store, lambda _: None, session=name):
        if one.state in ("moving", "restoring"):
            raise ProdigyError(
                f"{one.path} is {one.state} still, nothing else is done with {name} before that ends: "
                "put right what is in its way, then restore again"
            )


def _choose(store: str, name: str, broken: Broken) -> Entry:
    """Return the newest entry of a session, or one made from its salvage. Raises `ProdigyError`."""
    try:
        where = sessions.enrolled_place(store, sessions.load(store, name))
    except ProdigyError:
        where = None
    if where is not None:
        raise ProdigyError(f"{name} is not in the trash: its worktree is at {where[0].top}")
    found = [
        one for one in entries.entries(store, broken, session=name)
        if one.state in ("trashed", "emptied", "emptying")
    ]  # fmt: skip
    chosen = found[-1] if found else _standing_alone(store, name)
    chosen = chosen or from_salvage.entry_of(store, name)
    if chosen is None:
        raise other_sessions.refusal(store, name) or ProdigyError(
            f"nothing of {name} is in the trash, and no salvage has its name: "
            "'prodigy-git trash list' shows what can be restored"
        )
    return chosen


def _as_recorded(store: str, name: str) -> str:
    """Return our session that has removed a worktree of Prodigy's session ``name``; else ``name``."""
    try:
        theirs = prodigys.wrote(sessions.load(store, name).metadata)
    except (ProdigyError, OSError):
        return name
    mine = briefs.of_prodigy(store, name) if theirs else None
    return name if mine is None else mine.id


def _standing_alone(store: str, name: str) -> Entry | None:
    """Return an entry for a session's folder that is where it belongs, and that git does not know.

    None where there is no such folder. Raises `ProdigyError` where git has no commit for it.
    """
    try:
        one = sessions.load(store, name)
        top, repo = one.text("worktree_path") or "", one.text("repo") or ""
        common = repokey.common_of(store, names.checked(repo, "repository key"))
    except (ProdigyError, OSError, ValueError):
        return None
    if common is None or not os.path.isfile(f"{common}/HEAD") or not os.path.isdir(top):
        return None
    return halves.of_folder(store, common, repo, one) if os.listdir(top) else None


def _restore(store: str, found: Entry, to: str | None, broken: Broken) -> Restored:
    name = found.session
    if found.state == "emptying":
        raise ProdigyError(
            f"{name} is being deleted from the trash: when 'prodigy-git trash list' says that it is "
            f"emptied, restore brings back what git holds{f'; {found.left}' if found.left else ''}"
        )
    if found.state not in ("trashed", "emptied"):
        raise ProdigyError(f"{name} is {found.state} in another process: try again")
    if found.alone:
        target = _target(store, found, to, None)
        notes = without_repository.restore(found, target)
        return Restored(name, target, "trash", notes + carrying_out.carry_out(found, broken))
    if not os.path.isfile(f"{found.common}/HEAD"):
        raise ProdigyError(
            f"the repository {found.common} is gone or was moved: stand in it, or put it back there, "
            f"then restore; {found.path} keeps {name} until then, its files are in {found.folder}"
        )
    joined = halves.join(store, found)
    alive = halves.registered(found)
    target = _target(store, found, to, alive)
    standing = halves.in_place(found, target)
    for moment in (found.moment, *joined):
        unpublished.bring_back(found.common, name, moment)
    try:
        notes, whole = _prepare(found, standing=standing, alive=alive)
        found.restoring = {
            "to": target,
            "private": alive or heads.free_private(found),
            "whole": whole or found.branch_only,
            "log": None,
            "missing": missing_objects.free_aside(found.git),
        }
        found.state = "restoring"
        entries.write(found)
    except BaseException:
        for moment in (found.moment, *joined):
            unpublished.let_go(found.common, name, moment)
        raise
    notes += carrying_out.carry_out(found, broken)
    for moment in joined:
        unpublished.let_go(found.common, name, moment)
    if standing:
        halves.name_private(target, found.restoring["private"])
        notes.append(f"{target} was there, and git knows it again")
    outer = _worktree_around(target)
    if outer is not None:
        notes.append(
            f"{target} lies inside the worktree {outer}, which cannot be cleaned before it"
        )
    return Restored(name, target, "trash" if whole else "salvage", notes)


def _prepare(found: Entry, *, standing: bool, alive: str | None) -> tuple[list[str], bool]:
    """Make again what the entry lacks; return notes, and whether it is what the removal took.

    ``standing`` says that the folder is in its place, ``alive`` is the registration that is.
    """
    if not missing_objects.head_is_whole(found):
        raise ProdigyError(
            f"HEAD's commit {found.head} of {found.session}, or something that it consists of, is "
            f"missing in {found.common}: fetch it, then restore; until then it stays in {found.path}"
        )
    _keep_damaged(found)
    notes = []
    folder = standing or os.path.isdir(found.folder)
    private = alive is not None or os.path.isfile(f"{found.git}/HEAD")
    whole = folder and private and not found.more.get("rebuilt")
    if not (folder and private):
        notes += from_salvage.rebuild(found, folder=not folder, private=not private)
    return notes, whole


def _keep_damaged(found: Entry) -> None:
    """Set an ``entry.json`` aside that cannot be read: another is about to be written there."""
    try:
        entries.read(found.path)
    except ProdigyError:
        if os.path.lexists(f"{found.path}/entry.json"):
            os.rename(f"{found.path}/entry.json", f"{found.path}/entry.json.damaged")


def _target(store: str, found: Entry, to: str | None, alive: str | None) -> str:
    """Return the path to restore to. Raises `ProdigyError` where it cannot be had.

    The worktree's own folder, and its own registration ``alive``, are not in the way.
    """
    if to is None:
        target = found.worktree
        allowed_places.refuse_foreign(store, found, target)
    else:
        folder, last = os.path.split(os.path.abspath(to))
        target = os.path.join(os.path.realpath(folder), last)
    allowed_places.refuse_links(store, target)
    advice = "give another path with --to"
    # A bare repository may well have its worktrees inside it, beside what is git's.
    common = os.path.realpath(found.common)
    for inside in (f"{os.path.realpath(store)}/trash", *(f"{common}/{name}" for name in _GITS)):
        if f"{target}/".startswith(f"{inside}/"):
            raise ProdigyError(f"{target} lies inside {inside}: {advice}")
    if os.path.lexists(target) and not halves.in_place(found, target):
        is_folder = os.path.isdir(target) and not os.path.islink(target)
        if not is_folder or os.path.ismount(target) or os.listdir(target):
            what = "another worktree" if os.path.lexists(f"{target}/.git") else "something else"
            raise ProdigyError(
                f"{target} is taken by {what}: {advice}; {found.session} stays in the trash"
            )
    above = os.path.dirname(target)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise ProdigyError(f"{above} is not a folder: {advice}")
    other = _registered(found.common, target)
    # Of one that was taken without its repository, the other half is there again.
    if other is not None and other != os.path.basename(alive or "") and not found.alone:
        raise ProdigyError(
            f"git has another worktree registered at {target} ({other}), whose folder is not there: "
            f"bring that back, or {advice}"
        )
    return target


def _registered(common: str, target: str) -> str | None:
    """Return git's name for the worktree that is registered at a path."""
    try:
        private = [one.path for one in os.scandir(f"{common}/worktrees")]
    except FileNotFoundError:
        return None
    for path in private:
        try:
            top = gitdir.worktree_of(path)
        except OSError:
            continue
        if top == target:
            return os.path.basename(path)
    return None


def _worktree_around(target: str) -> str | None:
    folder = os.path.dirname(target)
    while folder != "/":
        if os.path.lexists(f"{folder}/.git"):
            return folder
        folder = os.path.dirname(folder)
    return None
