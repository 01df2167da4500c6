"""Where a worktree is, by its name: for changing into it, so without asking git where files say it."""

import os
from typing import Any

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.record import enrolment, gitdir, repokey, session
from prodigy_git.record.gitdir import Place
from prodigy_git.store import enrolled, home


def around(cwd: str) -> tuple[str, Place | None, str | None]:
    """Return (store, git directories, repository key) for ``cwd``.

    Outside of a repository the last two are None; the key is, too, where the store has none for it.
    Raises `ProdigyError` as `home.here` does.
    """
    place = gitdir.find(cwd, {})
    there = home.enrolled(place)
    if there is not None and there.known:
        return there.store, place, there.repo
    store = home.named()
    if place is None:
        return store, None, None
    return store, place, repokey.known(store, place.common)


def of_git(place: Place) -> list[str]:
    """Return the paths of a repository's linked worktrees, as git's own files say."""
    found = []
    folder = f"{place.common}/worktrees"
    for name in _listed(folder):
        try:
            found.append(gitdir.worktree_of(f"{folder}/{name}"))
        except OSError:
            continue
    return found


def folder_names(store: str, place: Place | None, repo: str | None) -> list[str]:
    """Return the folder names of a repository's worktrees, or outside of any of all ours, sorted."""
    if place is None:
        found = {
            name
            for key in filter(names.is_safe, _listed(f"{store}/worktrees"))
            for name in _listed(layout.worktrees(store, key))
        }
    else:
        found = {os.path.basename(path) for path in of_git(place)}
        if repo is not None:
            found |= set(_listed(layout.worktrees(store, repo)))
    return sorted(name for name in found if name and not name.startswith("."))


def main_worktree(place: Place) -> str:
    """Return the path of a repository's main worktree. Raises `ProdigyError` where it has none."""
    folder, name = os.path.split(place.common)
    if name == ".git" and os.path.isdir(folder):
        return folder
    _, out = gitdir.ask(place, "worktree", "list", "--porcelain", "-z")
    first = out.split(b"\0\0")[0].split(b"\0")
    if b"bare" in first or not first[0].startswith(b"worktree "):
        raise ProdigyError("the repository is bare and has no main worktree: give a NAME")
    return os.fsdecode(first[0][len(b"worktree ") :])


def path_of(store: str, place: Place | None, name: str) -> str:
    """Return the path of the worktree that has the folder name ``name``, or that session.

    Raises `ProdigyError` where there is none or where there are several.
    """
    found = [] if place is None else [one for one in of_git(place) if _called(one, name)]
    if place is not None and os.path.basename(os.path.dirname(place.common)) == name:
        found.append(main_worktree(place))
    document = _session(store, name)
    own = _place_of(store, name, document)
    if own is not None:
        found.append(own)
    different = list({os.path.realpath(path): path for path in found}.values())
    if len(different) > 1:
        raise ProdigyError(f"{name} is more than one worktree: {', '.join(different)}")
    if different:
        return different[0]
    from prodigy_git.store import by_name  # the quick ways are those above

    called = by_name.session(store, "/" if place is None else place.top, name)
    if called != name:
        return path_of(store, place, called)
    if document is None:
        from prodigy_git.store import other_sessions

        raise other_sessions.refusal(store, name) or ProdigyError(
            f"no worktree {name}: 'prodigy-git worktree ls' shows what there is"
        )
    repo = document.get("metadata", {}).get("repo")
    if isinstance(repo, str) and names.is_safe(repo):
        trash = layout.trash(store, repo, name)
        if any(os.path.isdir(f"{trash}/{moment}/worktree") for moment in _listed(trash)):
            raise ProdigyError(
                f"the worktree of {name} is in the trash: 'prodigy-git worktree restore {name}'"
            )
    raise ProdigyError(
        f"the worktree of {name} is gone: 'prodigy-git explain {name}' says what is left"
    )


def _called(path: str, name: str) -> bool:
    return os.path.basename(path) == name and os.path.isdir(path)


def _session(store: str, name: str) -> dict[str, Any] | None:
    if not names.is_safe(name):
        return None
    try:
        found = session.read(store, name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ProdigyError(f"{layout.session(store, name)} cannot be read ({error})") from error
    return found if isinstance(found.get("metadata"), dict) else {**found, "metadata": {}}


def _place_of(store: str, name: str, document: dict[str, Any] | None) -> str | None:
    """Return a session's worktree; None where it is gone, or has another session now."""
    metadata = {} if document is None else document["metadata"]
    path, repo = metadata.get("worktree_path"), metadata.get("repo")
    if isinstance(path, str) and os.path.isabs(path) and os.path.isdir(path):
        place = gitdir.find(path, {})
        try:
            there = None if place is None else enrolment.read(place.private)
        except (OSError, ValueError):
            there = None
        if there is not None and there.session == name:
            return path
    if not isinstance(repo, str) or not names.is_safe(repo) or "trash_path" in metadata:
        return None
    moved = enrolled.places(store, repo).get(name)
    return moved[0].top if moved is not None and os.path.isdir(moved[0].top) else None


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
