"""What root, through git, made in somebody's folders is given to their owners.

What we make ourselves belongs to the right one at once (`files.create`). What git makes as our child,
or as the git command that runs our hook, is handed over when it is done: a folder below ``objects`` or
a file in ``worktrees`` that is root's would shut the owner out from then on.
"""

from __future__ import annotations

import os
import stat

from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

KEPT = ("prodigy-trash",)
"""Beside git's own things: worktrees as they were removed, whose files keep their owners."""

_written: set[str] = set()


def note(*folders: str) -> None:
    """Remember git directories in which git may have written, for `hand_over_noted`."""
    if files.ROOT:
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
    if not files.ROOT:
        return
    files.hand_over(top)
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
                    files.give(folder, name, owner)
                if stat.S_ISDIR(about.st_mode) and not (path == top and name in beside):
                    waiting.append(f"{path}/{name}")
        except OSError:
            continue  # what vanishes meanwhile is nobody's
        finally:
            os.close(folder)
