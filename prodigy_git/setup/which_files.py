"""Which files of the main worktree a new one gets: what a list of patterns matches *and* git ignores.

The lists are ``.worktreeinclude`` and ``.worktreelink``, with the syntax of gitignore(5). git itself
matches them: nothing here knows what a pattern means. A folder that is matched and ignored as a whole
is one entry; git then guarantees that nothing in it is tracked, and nothing in it need be asked.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import look, said
from prodigy_git.record import files
from prodigy_git.record.gitdir import Place

INCLUDE, LINK = ".worktreeinclude", ".worktreelink"

_LARGEST = 1 << 20  # bytes of a list of patterns
_OTHERS = ("ls-files", "-z", "--others", "--ignored", "--directory")


@dataclass
class Lists:
    """The paths of the lists of patterns that there are; ``trouble`` says why others are not used."""

    include: str | None = None
    link: str | None = None
    trouble: list[str] = field(default_factory=list)


@dataclass
class Wanted:
    """What is to be copied and to be linked: paths from the top, a folder with a slash at its end."""

    copied: list[str]
    linked: list[str]


NAMES = (INCLUDE, LINK)


def lists(main: str, new: str) -> Lists:
    """Return where the lists are: in the main worktree, else in the new one.

    Costs four looks at files that are not there; nothing else is done where there are none.
    """
    found = Lists()
    for name in (INCLUDE, LINK):
        for top in (main, new):
            path = f"{top}/{name}"
            if not os.path.lexists(path):
                continue
            try:
                # As with .gitignore, git-ignore(5): not through a link, which may lead anywhere.
                descriptor, about = files.opened(path, os.O_RDONLY | os.O_NOFOLLOW)
                os.close(descriptor)
                if about.st_size > _LARGEST:
                    raise files.TooLarge(0, f"is larger than {_LARGEST >> 20} MB", path)
            except OSError as error:
                found.trouble.append(f"{path} {error.strerror}: it is not used")
            else:
                setattr(found, "include" if name == INCLUDE else "link", path)
            break
    return found


def wanted(main: Place, patterns: Lists) -> Wanted:
    """Ask git in the main worktree what the lists match and git ignores. Raises `ProdigyError`."""
    from concurrent.futures import (
        ThreadPoolExecutor,
    )  # takes as long to import as git takes for this

    asked = [
        f"--exclude-from={patterns.include}" if patterns.include else None,
        f"--exclude-from={patterns.link}" if patterns.link else None,
        "--exclude-standard",
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        included, linked, ignored = pool.map(lambda one: _others(main, one), asked)
    return Wanted(both(included, ignored), both(linked, ignored))


def _others(main: Place, exclude: str | None) -> list[str]:
    if exclude is None:
        return []
    status, out, err = look(main, *_OTHERS, exclude)
    if status != 0:
        raise ProdigyError(f"git ls-files: {said(err, f'exit status {status}')}")
    found = [os.fsdecode(path) for path in out.split(b"\0") if path]
    # A folder that no pattern matches, but all that is in it, is named as well as what is in it.
    around = {path[: at + 1] for path in found for at, sign in enumerate(path[:-1]) if sign == "/"}
    return [path for path in found if path not in around]


def both(some: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return what is in two lists of files and whole folders: of nested ones, the inner."""
    first, second = set(some), set(others)
    found = {path for path in first if _is_covered(path, second)}
    found |= {path for path in second if _is_covered(path, first)}
    # Each list names a folder, or what is in it, not both; so does what they have in common.
    return sorted(found)


def _is_covered(path: str, by: set[str]) -> bool:
    if path in by:
        return True
    at = path.find("/")
    while at >= 0:
        if path[: at + 1] in by:
            return True
        at = path.find("/", at + 1)
    return False


def ignored(place: Place, paths: Iterable[str]) -> set[str]:
    """Return which paths git ignores in a worktree, whether they are there or not.

    Not those that are tracked (checked out or not), folders in which something is, and what lies behind
    a link or in a submodule. Raises `ProdigyError`.
    """
    wanted = list(paths)
    found = _ignored(place, wanted)
    if found is None:
        # git refuses the whole list for one path behind a link, or in a submodule.
        alone = ((path, _ignored(place, [path])) for path in wanted)
        return {path for path, answer in alone if answer}
    return found


def _ignored(place: Place, paths: list[str]) -> set[str] | None:
    if not paths:
        return set()
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    status, out, err = look(place, "check-ignore", "-z", "--stdin", stdin=stdin)
    if status == 128 and ("beyond a symbolic link" in err or "in submodule" in err):
        return None
    if status not in (0, 1):
        raise ProdigyError(f"git check-ignore: {said(err, f'exit status {status}')}")
    return {os.fsdecode(path) for path in out.split(b"\0") if path}
