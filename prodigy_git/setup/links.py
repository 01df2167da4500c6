"""Symbolic links from a new worktree to what lies in the main one, for `.worktreelink`.

A link is as git's own pointer from one to the other: absolute, so that the worktree may be moved;
relative where git makes those relative (``worktree.useRelativePaths``), so that both may be moved.

git must ignore the link as it does what it leads to, or ``git add --all`` commits it. A pattern that
ends in a slash fits folders only, and a link is none: then the link's path is added to
``info/exclude`` of the repository, which is there for that.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Sequence

from prodigy_git.git import repository
from prodigy_git.record import files, locks, ownership
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import copying, which_files
from prodigy_git.setup.measuring import Way

_FATAL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))
_WHY = b"# Links that prodigy-git makes in worktrees (.worktreelink)"


def make(main: Place, new: Place, paths: Sequence[str]) -> dict[str, str]:
    """Link each path (a folder's with a slash at its end); return those that are not, and why.

    What is there already is left as it is. Raises `OSError` where all is lost (a full disk), and
    `ProdigyError` where git cannot be asked; what was made is then the caller's to remove.
    """
    relative = repository.config(new.top, "worktree.useRelativePaths") == "true"
    linked: list[str] = []
    not_linked: dict[str, str] = {}
    made: list[str] = []
    way = Way(new.top, made.append)
    source = Way(main.top)
    try:
        for path in (one.rstrip("/") for one in paths):
            folder, _, name = path.rpartition("/")
            try:
                if _is_repository(f"{main.top}/{path}"):
                    not_linked[path] = "a repository of its own"
                    continue
                source.to(folder)  # or the way there has become a link
                target = f"{main.top}/{path}"
                if relative:
                    target = os.path.relpath(target, os.path.realpath(f"{new.top}/{folder}"))
                os.symlink(target, name, dir_fd=way.to(folder))
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in _FATAL:
                    raise
                not_linked[path] = str(error.strerror)
            else:
                linked.append(path)
        for path, why in _have_ignored(new, linked).items():
            os.unlink(path.rpartition("/")[2], dir_fd=way.to(path.rpartition("/")[0]))
            not_linked[path] = why
        for path in made:
            os.fchmod(way.to(path), stat.S_IMODE(os.fstat(source.to(path)).st_mode))
    finally:
        way.close()
        source.close()
    return not_linked


def _is_repository(path: str) -> bool:
    return os.path.isdir(path) and os.path.lexists(f"{path}/.git")


def _have_ignored(new: Place, linked: list[str]) -> dict[str, str]:
    """See to it that git ignores the links; return those that it does not, with the reason."""
    seen = [path for path in linked if path not in which_files.ignored(new, linked)]
    if not seen:
        return {}
    try:
        _exclude(new.common, seen)
    except OSError as error:
        why = (
            f"git would not ignore the link, and info/exclude cannot be written ({error.strerror})"
        )
        return dict.fromkeys(seen, why)
    still = which_files.ignored(new, seen)
    why = "git would not ignore the link: a pattern that ends in a slash fits folders only"
    return {path: why for path in seen if path not in still}


def _exclude(common: str, paths: Sequence[str]) -> None:
    """Add paths to the ``info/exclude`` of a repository, once. Raises `OSError`; not through a link."""
    folder = f"{common}/info"
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
        ownership.hand_over(folder)
    lock = locks.take_folder(folder)
    try:
        path = f"{folder}/exclude"
        mode, text = 0o666 & ~copying.umask(), b""
        with contextlib.suppress(FileNotFoundError):
            descriptor, about = files.opened(path, os.O_RDONLY | os.O_NOFOLLOW)
            with open(descriptor, "rb") as stream:
                mode, text = about.st_mode & 0o7777, stream.read()
        there = set(text.splitlines())
        lines = [line for line in map(_pattern, paths) if line not in there]
        if not lines:
            return
        if text and not text.endswith(b"\n"):
            text += b"\n"
        heading = [] if _WHY in there else [_WHY]
        files.replace(path, text + b"".join(line + b"\n" for line in (*heading, *lines)))
        os.chmod(path, mode)
    finally:
        os.close(lock)


def _pattern(path: str) -> bytes:
    """Return the pattern that fits one path alone (gitignore(5))."""
    escaped = re.sub(rb"[\\*?\[\]!# ]", rb"\\\g<0>", os.fsencode(path))
    # A line cannot hold a newline; any one character is as near as it gets.
    return b"/" + re.sub(rb"[\r\n]", b"?", escaped)
