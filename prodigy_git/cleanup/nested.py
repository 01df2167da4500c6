"""Repositories inside a worktree: submodules, clones, worktrees; and what ignored folders hold.

git's own view ends at them: `git status` neither counts what is in an ignored folder nor looks into a
repository there, and into a submodule only as far as that one's settings allow.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prodigy_git.cleanup import trees
from prodigy_git.git.ask import look, said
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place


@dataclass
class Contents:
    """What lies in folders: how many files, their bytes on disk, the tops of repositories there."""

    files: int = 0
    bytes: int = 0
    tops: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def measure(path: str, contents: Contents) -> None:
    """Add a file, or a folder with all that is below it, to ``contents``; follow no symlink."""
    waiting = [(path, True)]
    while waiting:
        folder, search = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except NotADirectoryError:
            _add_file(folder, contents)
            continue
        except OSError as error:
            if os.path.lexists(folder):
                contents.unreadable.append(f"{folder}: {error.strerror}")
            continue
        names = {entry.name for entry in entries}
        # A bare repository looks so; inside a .git folder it is that one's own.
        if search and (".git" in names or {"HEAD", "objects", "refs"} <= names):
            contents.tops.append(folder)
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, search and entry.name != ".git"))
                else:
                    contents.files += 1
                    contents.bytes += entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                contents.unreadable.append(f"{entry.path}: {error.strerror}")


def _add_file(path: str, contents: Contents) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return
    contents.files += 1
    contents.bytes += found.st_size


def hidden_tops(top: str, folders: Iterable[bytes]) -> list[str]:
    """Return the folders of tracked files that are repositories of their own: git ignores that."""
    root = os.fsencode(top)
    return [
        os.fsdecode(b"%b/%b" % (root, folder))
        for folder in sorted(folders)
        if os.path.lexists(b"%b/%b/.git" % (root, folder))
    ]


def place_of(top: str) -> Place | None:
    """Return the git directories of the repository whose top is ``top``; None for what is none."""
    if os.path.exists(f"{top}/.git"):
        found = gitdir.find(top, {})
        return found if found is not None and found.top == top else None
    if os.path.isfile(f"{top}/HEAD") and os.path.isdir(f"{top}/objects"):
        return Place(top, top, top)
    return None


def registered_elsewhere(place: Place) -> list[str]:
    """Return the worktrees that would lose their repository, or it them, if ``place`` moved.

    That is ``place`` itself where it is a linked worktree, else the worktrees linked to it.
    """
    if place.private != place.common:
        back = _gitdir_of(place.private)
        there = back is not None and os.path.realpath(back) == os.path.realpath(place.top)
        return [place.top] if there else []
    return [path for path in _linked(place.common) if os.path.isdir(path)]


def linked(common: str) -> list[str]:
    """Return the real paths of the worktrees that are registered in a repository."""
    return sorted(os.path.realpath(path) for path in _linked(common))


def _linked(common: str) -> Iterator[str]:
    try:
        names = os.listdir(f"{common}/worktrees")
    except OSError:
        return
    for name in names:
        path = _gitdir_of(f"{common}/worktrees/{name}")
        if path is not None:
            yield path


def _gitdir_of(private: str) -> str | None:
    """Return the folder of the worktree that a private git directory belongs to."""
    try:
        with open(f"{private}/gitdir", "rb") as stream:
            line = os.fsdecode(stream.read().rstrip(b"\r\n"))
    except OSError:
        return None
    return os.path.dirname(os.path.normpath(os.path.join(private, line)))


def own_work(place: Place) -> list[str]:
    """Return, in words, what a repository or submodule holds that no remote of its own has.

    A bare one has no files to be looked at. What cannot be asked is said, not passed over.
    """
    found = []
    bare = place.private == place.top
    if not bare:
        status, out, err = look(
            place, "status", "--porcelain", "-z", "--untracked-files=all",
            "--ignore-submodules=none", "--no-renames",
        )  # fmt: skip
        if status != 0:
            return [f"git cannot read it ({said(err)})"]
        changed = out.count(b"\0")
        if changed:
            found.append(f"{changed} changed or untracked")
    # With HEAD, tags and the stash; in a submodule HEAD is detached as a rule.
    status, out, err = look(place, "rev-list", "--count", "--all", "--not", "--remotes", "--")
    if status != 0:
        found.append(f"git cannot read it ({said(err)})")
    elif int(out):
        found.append(f"{int(out)} unpushed {'commit' if int(out) == 1 else 'commits'}")
    return found


def modules(private: str) -> Iterator[Place]:
    """Yield the git directories of submodules that a worktree keeps, also of those it has no more."""
    for folder, names, found in trees.walk(f"{private}/modules"):
        if "HEAD" in found and "objects" in names:
            # Submodules of the submodule are in its own `modules`; its other folders are git's.
            names[:] = [name for name in names if name == "modules"]
            yield Place(folder, folder, folder)
