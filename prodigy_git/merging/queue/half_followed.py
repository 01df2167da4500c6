"""A checkout that git was bringing to the new commit as it was killed: taken back to where it was.

git writes files first, and the index, by a rename, last. So the index says where the checkout was, and
some files are those of the new commit, or the beginnings of such, or are missing. Only where that
explains every difference is anything done: whatever else is there is somebody's.
"""

import contextlib
import os
import stat

import psutil

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git
from prodigy_git.merging.queue import steadily
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place

_LARGEST = 1 << 30


def take_back(place: Place, old: str, new: str) -> bool:
    """Bring a checkout back to ``old``, whose index it has; return whether it is there now.

    False, and nothing is changed, where a difference is not what a git on its way to ``new`` leaves, or
    where git is at work there. Killed itself, it can be called again. Raises `ProdigyError`, `OSError`.
    """
    lock = f"{place.private}/index.lock"
    if not os.path.lexists(lock) or _at_work(place):
        return False  # a git that is killed leaves its lock; without one somebody has worked here
    out = git(place.top, "diff-tree", "-r", "-z", "--no-renames", "--name-status", old, new)
    fields = out.split("\0")[:-1]
    changed = dict(zip(fields[1::2], fields[::2], strict=True))
    status, out, _ = steadily.look(
        place.top, "diff-files", "--name-only", "-z", "--ignore-submodules"
    )
    if status != 0:
        return False
    differing = out.split("\0")[:-1]
    fresh = [path for path, kind in changed.items() if kind == "A"]
    fresh = [path for path in fresh if os.path.lexists(f"{place.top}/{path}")]
    for path in (*differing, *fresh):
        if path not in changed or not _is_on_its_way(place, path, old, new):
            return False
    for path in fresh:
        whole = f"{place.top}/{path}"
        if not os.path.isdir(whole) or os.path.islink(whole):
            os.unlink(whole)
    if differing:
        named = "".join(f"{path}\0" for path in differing)
        git(place.top, "checkout-index", "--force", "-z", "--stdin", stdin=os.fsencode(named))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(lock)  # last: until then a call that is killed here can be made again
    steadily.look(place.top, "update-index", "-q", "--ignore-submodules", "--refresh")
    return True


def _at_work(place: Place) -> bool:
    """Whether a git process works in the checkout: its lock is not a leftover then."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name().startswith("git"):
                at = f"{process.cwd()}/"
                if at.startswith((f"{place.top}/", f"{place.private}/")):
                    return True
    return False


def _is_on_its_way(place: Place, path: str, old: str, new: str) -> bool:
    """Whether what is at a path is missing, or a version of it, or the beginning of one."""
    whole = f"{place.top}/{path}"
    try:
        about = os.lstat(whole)
    except (FileNotFoundError, NotADirectoryError):
        return True
    if stat.S_ISDIR(about.st_mode):
        return True  # a file that became a folder: what is in it has paths of its own
    if stat.S_ISLNK(about.st_mode):
        there = os.fsencode(os.readlink(whole))
    elif stat.S_ISREG(about.st_mode):
        there = files.read(whole, most=_LARGEST)
    else:
        return False
    return any(_version(place, commit, path).startswith(there) for commit in (new, old))


def _version(place: Place, commit: str, path: str) -> bytes:
    """Return what git would write for a path of a commit; nothing where it has none."""
    try:
        return os.fsencode(git(place.top, "cat-file", "--filters", f"{commit}:{path}"))
    except ProdigyError:
        return b""
