"""What git ignores, brought from the main worktree into a new one: settings, dependencies, caches.

Called once the new worktree has its tracked files and before anybody knows of it: whatever fails or is
killed here is taken back with the worktree. Nothing here runs a command of the repository's, so that
nobody need trust it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from prodigy_git import amounts
from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git_status, said
from prodigy_git.record.gitdir import Place
from prodigy_git.setup import copying, links, measuring, which_files
from prodigy_git.setup.measuring import Measured
from prodigy_git.store import enrolled
from prodigy_git.store.broken import Broken

SETTING = "prodigy.copyLimit"
LIMIT = 2 << 30
"""Bytes that are copied at most; git config ``prodigy.copyLimit`` says otherwise."""

_SHOWN = 3  # paths that a line names

Progress = Callable[[int, int], None]
"""Called with the bytes copied and those to be copied."""


@dataclass(frozen=True)
class Lists:
    """The lists of patterns that there are, and the main worktree that they are about."""

    main: Place
    patterns: which_files.Lists


def lists(new: Place) -> Lists | None:
    """Return what lists there are for a new worktree; None: none, and nothing comes along.

    Costs some looks at files that are not there. Raises `ProdigyError` where git cannot be asked.
    """
    top = enrolled.top(new.common, new.common)
    patterns = which_files.lists(top, new.top)
    if patterns.include is None and patterns.link is None and not patterns.trouble:
        return None
    if repository.config(new.common, "core.bare") == "true" or not os.path.isdir(top):
        return None  # there is no main worktree
    return Lists(Place(new.common, new.common, top), patterns)


def bring(store: str, new: Place, there: Lists, broken: Broken, progress: Progress) -> None:
    """Copy and link into a new worktree what the lists say (`which_files`).

    What is passed over is told to ``broken``, a line for each reason. Raises `ProdigyError` or
    `OSError` where it cannot be done (git fails, the disk is full); an interruption ends it at once.
    """
    main, patterns = there.main, there.patterns
    for line in patterns.trouble:
        broken(line)
    if patterns.include is None and patterns.link is None:
        return
    wanted = which_files.wanted(main, patterns)
    if wanted.linked:
        allowed = which_files.ignored(new, wanted.linked)
        not_linked = links.make(main, new, sorted(allowed))
        not_linked |= {path: _NOT_IGNORED for path in wanted.linked if path not in allowed}
        _tell(not_linked, "not linked", broken)
    links_there = {path.rstrip("/") for path in wanted.linked}
    copied = [path for path in wanted.copied if not _is_below(path, links_there)]
    if copied:
        _copy(store, main, new, copied, links_there, broken, progress)


def _is_below(path: str, tops: set[str]) -> bool:
    parts = path.rstrip("/").split("/")
    return any("/".join(parts[:number]) in tops for number in range(1, len(parts) + 1))


_NOT_IGNORED = "git does not ignore it on this branch"
"""It would seem to be work that somebody has done there."""


def _copy(
    store: str,
    main: Place,
    new: Place,
    paths: list[str],
    links_there: set[str],
    broken: Broken,
    progress: Progress,
) -> None:
    limit = _limit(main.common)
    about = os.stat(store)
    way = measuring.Way(main.top)
    try:
        never = measuring.Never((about.st_dev, about.st_ino), links_there)
        found = [measuring.measure(way, path, limit, never) for path in paths]
    finally:
        way.close()
    left_out = {path: why for one in found for path, why in one.left_out.items()}
    left_out |= _only_ignored(new, found)
    # The smallest first: where not all may be copied, settings go before what can be built again.
    fits, too_much, total = [], {}, 0
    for one in sorted(found, key=lambda one: one.bytes):
        if total + one.bytes <= limit:
            total += one.bytes
            fits.append(one)
        else:
            too_much[one.path] = (
                f"all would be more than {amounts.human(limit)}, "
                f"'git config {SETTING} 10g' allows that"
            )
    _tell(too_much, "not copied", broken)
    _tell(left_out, "not copied", broken)
    done = copying.copy(
        main.top,
        new.top,
        [folder for one in fits for folder in one.folders],
        {path: first for one in fits for path, first in one.same.items()},
        lambda so_far: progress(so_far, total),
    )
    progress(total, total)  # also where a file has become shorter meanwhile
    _tell(done.passed_over, "not copied", broken)
    _tell(dict.fromkeys(done.changed, "it was being written"), "perhaps not copied whole", broken)


def _only_ignored(new: Place, found: list[Measured]) -> dict[str, str]:
    """Take out what git does not ignore in the new worktree, or has tracked; return it with the reason.

    What is there anyway goes untold.
    """
    whole = which_files.ignored(new, [one.path for one in found])
    rest = [one for one in found if one.path not in whole]
    paths = [path for one in rest for path in one.paths()]
    some = which_files.ignored(new, paths)
    for one in rest:
        one.keep(some)
    return {
        path: _NOT_IGNORED
        for path in paths
        if path not in some and not os.path.lexists(f"{new.top}/{path}")
    }


def _limit(common: str) -> int:
    """Return how many bytes may be copied. Raises `ProdigyError` for a setting that is none."""
    status, out, err = git_status(common, "config", "--type=int", "--get", SETTING)
    if status == 1:
        return LIMIT
    if status != 0:
        raise ProdigyError(f"git config {SETTING}: {said(err)}")
    return int(out)


def _tell(why: dict[str, str], what: str, broken: Broken) -> None:
    """Say what is not as somebody may expect: one line for all that have a reason in common."""
    reasons: dict[str, list[str]] = {}
    for path, reason in why.items():
        reasons.setdefault(reason, []).append(path)
    for reason, paths in reasons.items():
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        broken(f"{what}: {', '.join(sorted(paths)[:_SHOWN])}{more}: {reason}")
