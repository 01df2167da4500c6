"""Which folder of the store a repository has: its key, and where the repository is now.

A repository is told by what moves with it: the file ``prodigy-repository`` in its common directory
holds a random id, and ``state/{key}/repository.json`` holds the same one. So a repository that was
moved keeps its key. A copy has the same file: where the repository is still at the place that the
document names, whoever comes from elsewhere is the copy, and gets a key and an id of its own.

Paths are hints: two of them lead to one repository where device and inode are the same. One repository
may have several (a host's and a container's): the document remembers them.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import clock, files, gitdir, jsonline, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = "prodigy-repository"
"""The file in a common git directory that says which repository it is."""
_PLACES = 8  # earlier paths that a document remembers


def take(store: str, common: str) -> str:
    """Return the store's key for the repository of a common git directory, taking one if needed.

    The key is the main worktree's basename; a second repository of that name gets ``name-<6 hex>``.
    A repository that has a key keeps it where it is moved. Raises `OSError`, or `ValueError` for a
    damaged ``repository.json``.
    """
    common = os.path.realpath(common)
    mark = mark_of(common)
    if mark is not None:
        for key in keys(store):
            document = _document(store, key, lenient=True)
            if document is None or document.get("id") != mark:
                continue
            if _is_at(document, common):
                return key
            if _marked(document) is None:
                _follow(store, key, common, mark)
                return key
            mark = None  # the repository is where it was: this one is a copy of it
            break
    owner = None
    for key in _names(common):
        document = _document(store, key)
        if document is None:
            document = _claim(store, key, common, mark)
        if _is_at(document, common):
            if "id" not in document or mark != document["id"]:
                _agree(store, key, common, mark)
            return key
        owner = document.get("common_dir")
    raise ValueError(f"{layout.state(store, key)} belongs to another repository: {owner}")


def known(store: str, common: str) -> str | None:
    """Return the key that a repository has in the store, None where it has none; writes nothing."""
    mark = mark_of(common)
    moved = None
    for key in keys(store):
        document = _document(store, key, lenient=True)
        if document is None:
            continue
        if _is_at(document, common):
            return key
        if mark is not None and document.get("id") == mark and _marked(document) is None:
            moved = key
    return moved


def meant(store: str, common: str) -> str:
    """Return the key that `take` would give a repository, without taking it; writes nothing.

    For whoever only looks: where the store does not know the repository, its key has nothing of ours,
    but may have what Prodigy wrote under that name. Raises as `take`.
    """
    common = os.path.realpath(common)
    key = known(store, common)
    if key is not None:
        return key
    for key in _names(common):
        if _document(store, key) is None:
            return key
    raise ValueError(f"{layout.state(store, key or '')} belongs to another repository")


def _names(common: str) -> tuple[str, str]:
    """Return the keys that a repository may get: the second where another has the first."""
    stem = _stem(common)
    return stem, f"{stem}-{files.sha1_hex(os.fsencode(common))[:6]}"


def follow(store: str, key: str, common: str, *, certain: bool) -> None:
    """Note where the repository of a key is, if it is at none of its known places any more.

    ``certain``: it was moved, and what bears its id at a known place is a copy that was put there.
    """
    try:
        document = _document(store, key, lenient=True)
        mark = mark_of(common)
        if document is None or mark is None or document.get("id") != mark:
            return
        seen = _marked(document)
        if seen is None or (certain and not files.same(seen, common)):
            _follow(store, key, os.path.realpath(common), mark, certain=certain)
    except OSError:
        pass  # a store that cannot be written: noted another time


def common_of(store: str, key: str) -> str | None:
    """Return the common git directory of the repository that has a key.

    Where none of its known places is in sight, the one that its worktrees, or the folder that we stand
    in, belong to, if it bears the repository's id; else the last one. None where the document does not
    say. Raises `OSError`, or `ValueError` for a damaged document.
    """
    document = _document(store, key)
    if document is None:
        return None
    named = document.get("common_dir")
    # One that bears the id goes before one without, which may be a new clone at the old place.
    found = _marked(document) or _moved_to(store, key, document.get("id")) or common_dir(document)
    return found or (named if isinstance(named, str) else None)


def _moved_to(store: str, key: str, identity: object) -> str | None:
    """Return where a repository is that nobody has told of its move yet; None: it is not in sight."""
    if not isinstance(identity, str):
        return None
    folders = []
    try:
        folders.append(os.getcwd())
        folder = layout.worktrees(store, key)
        folders += [f"{folder}/{name}" for name in os.listdir(folder)]
    except OSError:
        pass  # none were made, or we stand in a folder that is gone
    for folder in folders:
        place = gitdir.find(folder, {})
        if place is not None and mark_of(place.common) == identity:
            return os.path.realpath(place.common)
    return None


def common_dir(document: dict[str, Any]) -> str | None:
    """Return where the repository of a ``repository.json`` is now; None: at no place in sight."""
    # Without a mark: older than the marks, or cloned anew at the same place.
    return _marked(document) or next((p for p in _places(document) if mark_of(p) is None), None)


def _marked(document: dict[str, Any]) -> str | None:
    """Return the known place at which the repository bears the document's id; None: at none."""
    identity = document.get("id")
    return next((p for p in _places(document) if identity and mark_of(p) == identity), None)


def _places(document: dict[str, Any]) -> list[str]:
    """Return the places that a document names, the last one first, at which there is a repository."""
    earlier = document.get("places")
    named = (document.get("common_dir"), *(earlier if isinstance(earlier, list) else ()))
    return [
        path for path in named
        if isinstance(path, str) and path.startswith("/") and os.path.isfile(f"{path}/HEAD")
    ]  # fmt: skip


def _is_at(document: dict[str, Any], common: str) -> bool:
    """Whether a document is about the repository whose common git directory is ``common``."""
    named = document.get("common_dir")
    if isinstance(named, str) and files.same(named, common):
        return True
    found = common_dir(document)
    return found is not None and files.same(found, common)


def _stem(common: str) -> str:
    # `proj/.git` and `proj/.bare` are proj's, `proj.git` is a bare proj, `.git/modules/sub` is sub.
    folder, name = os.path.split(common)
    if name.startswith("."):
        name = os.path.basename(folder)
    return names.repository_stem(name.removesuffix(".git"))


def keys(store: str) -> list[str]:
    """Return the keys of the repositories that a store has a folder for, sorted."""
    try:
        return sorted(filter(names.is_safe, os.listdir(f"{store}/state")))
    except OSError:
        return []


def _document(store: str, key: str, *, lenient: bool = False) -> dict[str, Any] | None:
    path = layout.repository(store, key)
    try:
        return jsonline.decode_object(files.read(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if lenient:
            return None
        raise
    except ValueError:
        if lenient:
            return None
        raise files.Damaged(f"{path} is damaged: restore it or move it away") from None


def mark_of(common: str) -> str | None:
    """Return the id that the repository of a common git directory bears, None where it bears none."""
    try:
        text = files.read(f"{common}/{MARK}").decode("ascii").strip()
    except (OSError, ValueError):
        return None  # also one of an earlier release, which only the user who made it can read
    return text if len(text) == 32 and not text.strip("0123456789abcdef") else None


def _claim(store: str, key: str, common: str, mark: str | None) -> dict[str, Any]:
    """Give a key to a repository, unless another one has just taken it; return what the file says."""
    lock = locks.take(layout.state_lock(store, key))
    try:
        document = _document(store, key)
        if document is None:
            document = {"key": key, "common_dir": common, "created_at": clock.stamp(clock.now())}
            _mark_both(store, key, document, common, mark)
        return document
    finally:
        os.close(lock)


def _agree(store: str, key: str, common: str, mark: str | None) -> None:
    """Give repository and document the same id: older ones, and new clones, bear none."""
    try:
        lock = locks.take(layout.state_lock(store, key))
    except OSError:
        return  # a store that can only be read
    try:
        document = _document(store, key)
        if document is not None and document.get("id", "") != mark:
            _mark_both(store, key, document, common, mark)
    except (OSError, ValueError):
        pass  # its path is known, which is enough until it is moved
    finally:
        os.close(lock)


def _mark_both(
    store: str, key: str, document: dict[str, Any], common: str, mark: str | None
) -> None:
    """Write id and place into the document, and the id into the repository if it bears another."""
    path = f"{common}/{MARK}"
    if mark is None and os.path.lexists(path) and not os.access(path, os.R_OK):
        document["common_dir"] = common
        document.pop("id", None)
        _write(store, key, document)
        return  # another user's, in whose store this id is: the place tells us enough
    fresh = mark or os.urandom(16).hex()
    document.update(common_dir=common, id=fresh)
    # The document first: a mark that no document has is one that nobody asks for.
    _write(store, key, document)
    if fresh != mark_of(common):
        try:
            files.replace(path, f"{fresh}\n".encode("ascii"))
            # For all who can read the repository, whatever the umask: it is one id for all stores.
            os.chmod(path, 0o644)
        except OSError:
            pass  # a repository that can only be read is told by its place alone


def _follow(store: str, key: str, common: str, mark: str, *, certain: bool = False) -> None:
    """Note that a repository has moved, or is seen at another path from here."""
    lock = locks.take(layout.state_lock(store, key))
    try:
        document = _document(store, key)
        if document is None or document.get("id") != mark:
            return
        if _is_at(document, common) and not certain:
            return
        earlier = document.get("places")
        places = [document.get("common_dir"), *(earlier if isinstance(earlier, list) else ())]
        document["places"] = [one for one in places if isinstance(one, str) and one != common]
        del document["places"][_PLACES:]
        document["common_dir"] = common
        _write(store, key, document)
    finally:
        os.close(lock)


def _write(store: str, key: str, document: dict[str, Any]) -> None:
    data = jsonline.line(document)
    files.replace(layout.repository(store, key), data)
