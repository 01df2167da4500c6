"""An entry of the trash: where it lies, reading and writing its document (`document`), listing them.

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
from typing import Any

from prodigy_git import layout, names
from prodigy_git.cleanup.trash import allowed_places
from prodigy_git.cleanup.trash.entry_document import DISABLED as DISABLED
from prodigy_git.cleanup.trash.entry_document import PATHS, VERSION, parsed
from prodigy_git.cleanup.trash.entry_document import Entry as Entry
from prodigy_git.errors import ProdigyError
from prodigy_git.record import files, jsonline, repokey, within
from prodigy_git.store.broken import Broken

DOCUMENT = "entry.json"
TOMBSTONE = "emptying.json"

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
            found = parsed(path, fields)
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
    for name in PATHS:
        setattr(found, name, moved(getattr(found, name)))
    for name in ("to", "private"):
        if found.restoring is not None and isinstance(found.restoring.get(name), str):
            found.restoring[name] = moved(found.restoring[name])


def write(entry: Entry) -> None:
    """Write an entry's document, durably; no reader sees half of it. Raises `OSError`."""
    known = {name: value for name, value in vars(entry).items() if name not in ("path", "more")}
    fields: dict[str, Any] = {"version": VERSION, **known, **entry.more}
    fields["store"] = store_of(entry.path)
    data = jsonline.line(fields)
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
