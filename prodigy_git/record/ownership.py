"""What root makes in somebody's folders is given to their owners.

What we make ourselves belongs to the right one at once (`files.create`). What git makes as our child,
or as the git command that runs our hook, is handed over when it is done: a folder below ``objects`` or
a file in ``worktrees`` that is root's would shut the owner out from then on.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

KEPT = ("prodigy-trash",)
"""Beside git's own things: worktrees as they were removed, whose files keep their owners."""

_written: set[str] = set()


def note(*folders: str) -> None:
    """Remember git directories in which git may have written, for `hand_over_noted`."""
    if os.geteuid() == 0:
        _written.update(filter(None, folders))


def hand_over_noted(since: float) -> None:
    """Hand over what has changed in the noted folders after ``since``, in seconds since 1970."""
    while _written:
        hand_over_tree(_written.pop(), since=since, beside=KEPT)


def hand_over_tree(
    top: str, *, since: float = 0, beside: Collection[str] = (), objects: bool = True
) -> None:
    """Give what is root's below ``top``, and ``top``, to the owner of the folder that each lies in.

    Only what has changed after ``since``; not what is in the folders of ``top`` that ``beside``
    names. Without ``objects`` not the loose objects of the repository ``top`` that everybody can read:
    they say who made a commit, see `sharing`. Nothing where root owns the folder above, nor for anybody
    but root. Never raises.
    """
    if os.geteuid() != 0:
        return
    hand_over(top)
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            # By descriptor: whoever owns the folders may put another in the place of one meanwhile.
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            owner = os.fstat(folder)
            if owner.st_uid == 0:
                continue
            for name in os.listdir(folder):
                about = os.lstat(name, dir_fd=folder)
                readable = stat.S_ISREG(about.st_mode) and about.st_mode & 0o044 == 0o044
                kept = not objects and readable and os.path.dirname(path) == f"{top}/objects"
                if about.st_uid == 0 and about.st_ctime >= since and not kept:
                    give(folder, name, owner)
                if stat.S_ISDIR(about.st_mode) and not (path == top and name in beside):
                    waiting.append(f"{path}/{name}")
        except OSError:
            continue  # what vanishes meanwhile is nobody's
        finally:
            os.close(folder)


def hand_over(path: str) -> None:
    """Give a file or folder that root has made to the owner of the folder above; never raises.

    Nothing happens where that is root too, or where somebody else runs this.
    """
    if os.geteuid() != 0:
        return
    folder, name = os.path.split(path)
    try:
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        owner = os.fstat(above)
        if owner.st_uid != 0:
            give(above, name, owner)
    except OSError:
        pass
    finally:
        os.close(above)


def give(folder: int, name: str, owner: os.stat_result) -> None:
    """Give what is root's in an open folder to the folder's ``owner``. Raises `OSError`."""
    kind = os.lstat(name, dir_fd=folder).st_mode & 0o170000
    if kind == 0o120000:  # it cannot be opened, and whose it is says nothing of where it leads
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
    elif kind in (0o100000, 0o040000):
        # NONBLOCK: should it be a pipe by now, nobody is waited for.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            give_open(descriptor, owner, os.fstat(descriptor))
        finally:
            os.close(descriptor)


def give_open(descriptor: int, owner: os.stat_result, found: os.stat_result) -> None:
    """Give an open file or folder that is root's to an ``owner``; ``found`` is what fstat(2) says."""
    # Under a second name it may be a file of root's from elsewhere (link(2)). A folder has none.
    if found.st_uid == 0 and (found.st_nlink == 1 or found.st_mode & 0o170000 == 0o040000):
        try:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        except OSError:
            pass  # in a namespace, where the owner is nobody that can be named
