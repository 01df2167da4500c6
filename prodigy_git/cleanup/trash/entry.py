"""An entry of the trash: the document that says what a removed worktree was and where it lies.

An entry is a folder ``trash/{repo}/{session}/{time}/`` with ``entry.json``, ``worktree/`` (the folder
as it was, its ``.git`` disabled) and ``git/`` (its private git directory). Whoever changes an entry
holds the repository's lock.

The document's paths are those of the time when it was written. Store and repository may be elsewhere
by now: on reading, what lay inside the store lies inside the one that holds the entry, and what
belonged to the repository is where the repository is.

Once it is being deleted, the document is called ``emptying.json`` (`entomb`): a name needs no space, so
that a full disk can be emptied. Where that name is there, the entry is ``emptying``, whatever any
document in it says.
"""

import contextlib
import errno
import os
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import layout, names
from prodigy_git.cleanup.trash import allowed_places
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, jsonline, repokey, within
from prodigy_git.store.events import Broken

VERSION = 1
STATES = ("moving", "trashed", "restoring", "emptying", "emptied")
"""What is being done with the worktree, or was: an intent is written before anything is changed.

``moving``: into the trash. ``trashed``: it lies there whole. ``restoring``: back to its place.
``emptying``: being deleted. ``emptied``: only this document and the salvage are left.
"""


DOCUMENT = "entry.json"
TOMBSTONE = "emptying.json"

DISABLED = ".git.in-trash"
"""What a trashed worktree's ``.git`` file is called, where the user has no file of that name.

No command run there may reach a successor.
"""


@dataclass
class Entry:
    """One removed worktree. Paths are absolute and may hold surrogate escapes.

    ``path`` is the entry's own folder and not in the document. ``worktree`` and ``private`` are where
    folder and private git directory were, ``folder`` and ``git`` where they are in the trash.
    """

    path: str
    state: str
    repo: str
    session: str
    worktree: str
    private: str
    common: str
    created_at: str
    folder: str
    git: str
    head: str | None = None
    """HEAD's commit; None where it was unborn."""
    branch: str | None = None
    """HEAD's branch, without ``refs/heads/``; None where HEAD was detached."""
    salvage_ref: str | None = None
    tag_refs: list[str] = field(default_factory=list)
    """Of annotated tags, which no commit can hold: earlier versions wrote a ref for each."""
    left_out: list[str] = field(default_factory=list)
    """Paths in the folder that the salvage does not hold: once emptied, they are gone."""
    locked: str | None = None
    """The text of git's ``locked`` file as it was; None where there was none."""
    root_mtime_ns: int | None = None
    """The folder's own time of change: renaming ``.git`` inside changes it."""
    root_mode: int | None = None
    """The folder's permissions, where they do not let its owner write, and so not move it."""
    disabled: str = DISABLED
    """What ``.git`` is called in the trash; with ``.new`` behind it, it is nobody else's either."""
    enrolment: str | None = None
    cursor: str | None = None
    session_status: str | None = None
    """The session's status before the removal; a restore gives it back."""
    reasons: list[str] = field(default_factory=list)
    delete_branch: str | None = None
    """The branch that this removal is to delete, if it is still at ``head``."""
    branch_deleted: str | None = None
    settled: bool = False
    """Whether branch, session file and event have been brought up to date after the move."""
    bytes: int | None = None
    """What folder and private directory take on disk; None until `expiry` measures it."""
    left: str | None = None
    """What could not be deleted, in words: how many things, why, and the command that helps."""
    alone: bool = False
    """Whether the folder is all there was: its repository was gone, see `without_repository`."""
    linked: list[str] = field(default_factory=list)
    """``worktree`` and ``private`` as the two halves name each other, where that was before a move of
    store or repository; see `names_in_halves`."""
    restoring: dict[str, Any] | None = None
    """What the restore under way intends; its form is `restore`'s own."""
    more: dict[str, Any] = field(default_factory=dict)
    """Fields that are not known here; they survive a rewrite."""

    @property
    def moment(self) -> str:
        """The entry's name: when it was made, ``20260111T120000.123456Z``."""
        return os.path.basename(self.path)

    @property
    def half_way(self) -> bool:
        """Whether a removal or a restore has begun and has not ended: under way, or killed."""
        return self.state in ("moving", "restoring") or not self.settled


_TEXTS = ("state", "session", "worktree", "private", "common", "created_at")
_OPTIONAL = (
    "head", "branch", "salvage_ref", "locked", "enrolment", "cursor", "session_status",
    "delete_branch", "branch_deleted", "left",
)  # fmt: skip
_LISTS = ("tag_refs", "left_out", "reasons", "linked")
_NUMBERS = ("root_mtime_ns", "root_mode", "bytes")
_PATHS = ("worktree", "private", "common", "folder", "git")
_DERIVED = ("repo", "folder", "git", "disabled")
_REST = ("settled", "restoring", "alone")
_KNOWN = frozenset((*_TEXTS, *_OPTIONAL, *_LISTS, *_NUMBERS, *_DERIVED, *_REST, "version", "store"))

Commons = dict[tuple[str, str], str | None]
"""Where the repositories of (store, key) are, as far as it was asked: None is not in sight."""


def read(path: str, commons: Commons | None = None) -> Entry:
    """Return the entry in the folder ``path``, its paths as they are now.

    ``commons`` is filled, for whoever reads many. Raises `ProdigyError`, which names the file, where
    it is missing, damaged, of a newer version, or names another repository or session than its place
    in the trash does.
    """
    # The tombstone once more, since the document may be renamed to it between the first two looks.
    for name in (TOMBSTONE, DOCUMENT, TOMBSTONE):
        document = f"{path}/{name}"
        try:
            fields = jsonline.decode_object(files.read(document))
            if name == TOMBSTONE:
                fields["state"] = "emptying"
            found = _parsed(path, fields)
            _follow_store(found, fields.get("store"))
            _follow_repository(found, {} if commons is None else commons)
            allowed_places.refuse_in_document(document, found)
            return found
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ProdigyError(f"{document} cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise ProdigyError(
                f"{document} is damaged ({error}): repair it or move it away"
            ) from None
    missing = os.strerror(errno.ENOENT)
    raise ProdigyError(f"{path}/{DOCUMENT} cannot be read ({missing})")


def _parsed(path: str, fields: dict[str, Any]) -> Entry:
    """Return the entry that ``fields`` describe. Raises `ValueError`."""
    if fields.get("version", VERSION) != VERSION:
        raise ValueError(f"of an unknown version, {fields['version']!r}")
    values: dict[str, Any] = {}
    for name in _TEXTS:
        values[name] = _typed(fields, name, str)
    folder, session = os.path.split(os.path.dirname(path))
    # What the first release wrote has fewer fields: the defaults stand for them.
    defaults = {
        "repo": os.path.basename(folder),
        "folder": f"{path}/worktree",
        "git": f"{path}/git",
        "disabled": DISABLED,
    }
    for name, default in defaults.items():
        values[name] = _typed({name: default, **fields}, name, str)
    for name in _OPTIONAL:
        values[name] = None if fields.get(name) is None else _typed(fields, name, str)
    for name in _NUMBERS:
        values[name] = None if fields.get(name) is None else _typed(fields, name, int)
    for name in _LISTS:
        values[name] = _typed({name: [], **fields}, name, list)
        if not all(isinstance(one, str) for one in values[name]):
            raise ValueError(f"{name} is not a list of texts")
    if len(values["linked"]) not in (0, 2):
        raise ValueError("linked is not two paths")
    values["settled"] = _typed({"settled": values["state"] != "moving", **fields}, "settled", bool)
    values["alone"] = _typed({"alone": False, **fields}, "alone", bool)
    intent = fields.get("restoring")
    values["restoring"] = None if intent is None else _typed(fields, "restoring", dict)
    if values["state"] not in STATES:
        raise ValueError(f"state {values['state']!r} is unknown")
    for name in _PATHS:
        if not values[name].startswith("/") or "\0" in values[name]:
            raise ValueError(f"{name} is not an absolute path")
    if not values["disabled"].startswith(DISABLED) or "/" in values["disabled"]:
        raise ValueError(f"disabled is {values['disabled']!r}")
    if (values["repo"], values["session"]) != (os.path.basename(folder), session):
        raise ValueError("it belongs to another repository or session")
    names.checked(values["repo"], "repository key")
    names.checked(values["session"], "session id")
    values["more"] = {name: value for name, value in fields.items() if name not in _KNOWN}
    return Entry(path=path, **values)


def store_of(path: str) -> str:
    """Return the store that an entry's folder lies in."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(path))))


def _follow_store(found: Entry, named: object) -> None:
    """Take what lay inside the store that an entry was written in as inside the one it is in now."""
    store = store_of(found.path)
    before = named if isinstance(named, str) and named.startswith("/") else None
    # The first releases did not note it: it is told by where they put the two folders.
    for path, name in ((found.folder, "worktree"), (found.git, "git")):
        suffix = f"/trash/{found.repo}/{found.session}/{found.moment}/{name}"
        if path.endswith(suffix):
            before = path.removesuffix(suffix)
    if before is not None and before != store:
        _move_paths(found, before, store)


def _follow_repository(found: Entry, commons: Commons) -> None:
    """Take what lay inside the repository's git directory as inside where that is now."""
    store = store_of(found.path)
    if (store, found.repo) not in commons:
        try:
            now = repokey.common_of(store, found.repo)
        except (OSError, ValueError):
            now = None  # damaged: who reads it says so
        there = now is not None and os.path.isfile(f"{now}/HEAD")
        commons[store, found.repo] = now if there else None
    now, before = commons[store, found.repo], found.common
    if now is None or files.same(now, before):
        return
    _move_paths(found, before, now)
    # A worktree inside the main one moved with it.
    main, git = os.path.split(before)
    if git == os.path.basename(now) == ".git" and found.worktree.startswith(f"{main}/"):
        found.worktree = os.path.dirname(now) + found.worktree.removeprefix(main)


def names_in_halves(found: Entry) -> tuple[str, str]:
    """Return worktree and private git directory as folder and git directory name each other."""
    worktree, private = found.linked or (found.worktree, found.private)
    return worktree, private


def _move_paths(found: Entry, before: str, now: str) -> None:
    def moved(path: str) -> str:
        inside = path == before or path.startswith(f"{before}/")
        return now + path.removeprefix(before) if inside else path

    if not found.linked:
        found.linked = [found.worktree, found.private]
    for name in _PATHS:
        setattr(found, name, moved(getattr(found, name)))
    for name in ("to", "private"):
        if found.restoring is not None and isinstance(found.restoring.get(name), str):
            found.restoring[name] = moved(found.restoring[name])


def _typed(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    # A bool is an int to Python; to JSON it is none.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is missing" if value is None else f"{name} is {value!r}")
    return value


def write(entry: Entry) -> None:
    """Write an entry's document, durably; no reader sees half of it. Raises `OSError`."""
    known = {name: value for name, value in vars(entry).items() if name not in ("path", "more")}
    fields: dict[str, Any] = {"version": VERSION, **known, **entry.more}
    fields["store"] = store_of(entry.path)
    data = (jsonline.encode(fields) + "\n").encode("ascii")
    name = TOMBSTONE if entry.state == "emptying" else DOCUMENT
    within.refuse_links(store_of(entry.path), entry.path)
    files.replace(f"{entry.path}/{name}", data)


def entomb(entry: Entry) -> None:
    """Make an entry ``emptying``, durably, without writing a byte. Raises `OSError`: then it is not."""
    document, tombstone = f"{entry.path}/{DOCUMENT}", f"{entry.path}/{TOMBSTONE}"
    os.rename(document, tombstone)
    try:
        files.sync_folder(entry.path)
    except OSError:
        os.rename(tombstone, document)
        raise
    entry.state = "emptying"


def write_emptied(entry: Entry) -> None:
    """Make an entry that is ``emptying`` ``emptied``: its folders are gone. Raises `OSError`."""
    entry.state, entry.bytes, entry.left = "emptied", 0, None
    write(entry)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{entry.path}/{TOMBSTONE}")
    files.sync_folder(entry.path)


def contents(entry: Entry) -> list[str]:
    """Return the two folders of an entry: in the trash, as `read` has seen to."""
    return [path for path in (entry.folder, entry.git) if path]


def entries(
    store: str, broken: Broken, repo: str | None = None, session: str | None = None
) -> list[Entry]:
    """Return the entries of the trash, oldest first; filtered by repository key, by session id.

    Damaged ones are reported to ``broken`` and left out.
    """
    found = []
    commons: Commons = {}
    linked: dict[str, None] = {}
    for key in folders(f"{store}/trash", repo):
        for name in folders(f"{store}/trash/{key}", session):
            folder = layout.trash(store, key, name)
            link = within.link_in(store, folder)
            if link is not None:
                linked[link] = None
                continue
            for moment in folders(folder, None):
                # Beside the entries lie other things: a job's events, a session's file.
                if _is_entry(f"{folder}/{moment}"):
                    try:
                        found.append(read(f"{folder}/{moment}", commons))
                    except ProdigyError as error:
                        broken(str(error))
    for link in linked:
        broken(f"{link} is a link that leads out of the store: nothing there is taken for trash")
    return sorted(found, key=lambda one: (one.moment, one.path))


def _is_entry(path: str) -> bool:
    # The first once more, since the tombstone may be replaced by it between the two looks.
    return any(os.path.lexists(f"{path}/{name}") for name in (DOCUMENT, TOMBSTONE, DOCUMENT))


def free_disabled(folder: str) -> str:
    """Return a name for ``.git`` that is free in a worktree's folder, also with ``.new`` behind it."""
    name, number = DISABLED, 0
    while any(os.path.lexists(f"{folder}/{one}") for one in (name, f"{name}.new")):
        number += 1
        name = f"{DISABLED}-{number}"
    return name


def folders(path: str, only: str | None) -> list[str]:
    """Return the names of the folders in ``path``; just ``only``, if that is given and safe."""
    if only is not None:
        return [only] if names.is_safe(only) else []
    try:
        with os.scandir(path) as there:
            return [one.name for one in there if one.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
