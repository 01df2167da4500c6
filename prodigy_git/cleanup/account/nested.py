"""Repositories inside a worktree: submodules, clones, worktrees; and what ignored folders hold.

git's own view ends at them: `git status` neither counts what is in an ignored folder nor looks into a
repository there, and into a submodule only as far as that one's settings allow. What lies behind a
symbolic link is not inside: it stays where it is when the worktree goes.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prodigy_git.cleanup.folders import trees
from prodigy_git.git.ask import look, said
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place


@dataclass
class Contents:
    """What lies in folders: how many files, their bytes on disk, the tops of repositories there.

    ``unreadable`` are paths, with the reason; ``newest`` is when a file of them was written last
    (microseconds since 1970), and its path. ``mounts`` are mount points: what is mounted there is not
    counted. With ``device`` (its number), folders on another one are added to them.
    """

    files: int = 0
    bytes: int = 0
    tops: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    newest: tuple[int, str] | None = None
    mounts: set[str] = field(default_factory=set)
    device: int | None = None


def measure(path: str, contents: Contents) -> None:
    """Add a file, or a folder with all that is below it, to ``contents``; follow no symlink."""
    # scandir(3) follows one: git names an ignored link as it does a file.
    if os.path.islink(path):
        _add_file(path, contents)
        return
    waiting = [(path, True)]
    while waiting:
        folder, search = waiting.pop()
        if _mounted(folder, contents):
            continue
        try:
            entries = list(os.scandir(folder))
        except NotADirectoryError:
            _add_file(folder, contents)
            continue
        except OSError as error:
            if os.path.lexists(folder):
                contents.unreadable[folder] = str(error.strerror)
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
                    _add(entry.path, entry.stat(follow_symlinks=False), contents)
            except OSError as error:
                contents.unreadable[entry.path] = str(error.strerror)


def _mounted(folder: str, contents: Contents) -> bool:
    if contents.device is not None:
        try:
            if os.lstat(folder).st_dev != contents.device:
                contents.mounts.add(folder)
        except OSError:
            return False
    return folder in contents.mounts


def _add_file(path: str, contents: Contents) -> None:
    try:
        _add(path, os.lstat(path), contents)
    except OSError:
        return


def _add(path: str, about: os.stat_result, contents: Contents) -> None:
    contents.files += 1
    contents.bytes += about.st_size
    written = about.st_mtime_ns // 1000
    if contents.newest is None or written > contents.newest[0]:
        contents.newest = (written, path)


def hidden_tops(top: str, folders: Iterable[bytes]) -> list[str]:
    """Return the folders of tracked files that are repositories of their own: git ignores that."""
    root = os.fsencode(top)
    links: dict[bytes, bool] = {}
    return [
        os.fsdecode(b"%b/%b" % (root, folder))
        for folder in sorted(folders)
        # A folder that was replaced by a link has the files of another place.
        if os.path.lexists(b"%b/%b/.git" % (root, folder))
        and not trees.beyond_link(root, folder, links)
    ]


def place_of(top: str) -> Place | None:
    """Return the git directories of the repository whose top is ``top``; None for what is none."""
    if os.path.islink(f"{top}/.git") and os.path.isfile(f"{top}/.git/HEAD"):
        private = os.path.realpath(f"{top}/.git")  # its `commondir` is relative to where it is
        return Place(private, gitdir.common_of(private), top)
    if os.path.exists(f"{top}/.git"):
        found = gitdir.find(top, {})
        return found if found is not None and found.top == top else None
    if os.path.isfile(f"{top}/HEAD") and os.path.isdir(f"{top}/objects"):
        return Place(top, top, top)
    return None


def goes_along(place: Place, outer: Place) -> bool:
    """Whether a repository's git directory is moved with the worktree ``outer`` that it lies in.

    Its ``.git`` may be a link, or name another place (``git init --separate-git-dir``).
    """
    common = os.path.realpath(place.common)
    roots = (os.path.realpath(outer.top), os.path.realpath(outer.private))
    return any(common == root or common.startswith(f"{root}/") for root in roots)


def registered_elsewhere(place: Place, outer: Place) -> list[str]:
    """Return the worktrees that would lose their repository, or it them, if ``place`` moved.

    That is ``place`` itself where it is a linked worktree, else the worktrees linked to it, if it is
    moved with the worktree ``outer`` that it lies in.
    """
    if place.private != place.common:
        back = _gitdir_of(place.private)
        there = back is not None and os.path.realpath(back) == os.path.realpath(place.top)
        return [place.top] if there else []
    if not goes_along(place, outer):
        return []
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
        return gitdir.worktree_of(private)
    except OSError:
        return None


def own_work(place: Place, outer: Place) -> list[str]:
    """Return, in words, what a repository or submodule holds that no remote of its own has.

    ``outer`` is the worktree that it lies in: commits in a git directory that stays where it is are
    not counted. A bare one has no files to be looked at. What cannot be asked is said, not passed over.
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
    if not goes_along(place, outer):
        return found
    # With HEAD, tags and the stash; in a submodule HEAD is detached as a rule.
    status, out, err = look(place, "rev-list", "--count", "--all", "--not", "--remotes", "--")
    if status != 0:
        found.append(f"git cannot read it ({said(err)})")
    elif int(out):
        found.append(f"{int(out)} unpushed {'commit' if int(out) == 1 else 'commits'}")
    return found


def modules(private: str) -> Iterator[Place]:
    """Yield the git directories of submodules that a worktree keeps, also of those it has no more."""
    if os.path.islink(f"{private}/modules"):
        return  # shared with another worktree: they stay there
    for folder, names, found in trees.walk(f"{private}/modules"):
        if "HEAD" in found and "objects" in names:
            # Submodules of the submodule are in its own `modules`; its other folders are git's.
            names[:] = [name for name in names if name == "modules"]
            yield Place(folder, folder, folder)
