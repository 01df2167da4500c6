"""A conflict resolved by a command: run where git has stopped, and believed only as far as it is seen.

What counts is what is in the index and in the files afterwards: no path is unmerged, no marker of a
conflict is left, and nothing else than what was in conflict is another than git had made of it.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from prodigy_git.git.ask import git, git_status
from prodigy_git.merging.queue import joining
from prodigy_git.merging.queue.joining import Joined, Way, Work
from prodigy_git.merging.queue.workplace import Workplace
from prodigy_git.record import files

_MARKER = re.compile(rb"^(?:<{7,}|>{7,}|\|{7,})(?: |\r?$)", re.MULTILINE)
_ROUNDS = 100
"""So many commits of a rebase may stop."""

Run = Callable[[Joined], str | None]
"""Runs the command for a conflict; returns why it has failed, None where it did well."""


@dataclass(frozen=True)
class _Before:
    head: str
    entries: dict[str, str]


def resolve(
    place: Workplace, onto: str, work: Work, way: Way, branch: str, stopped: Joined, run: Run
) -> Joined:
    """Have a conflict resolved, and go on to the commit; return what came of it.

    A rebase may stop several times. What is not resolved stays a conflict, and ``text`` says why.
    Raises `ProdigyError`, and what ``run`` raises.
    """
    for _ in range(_ROUNDS):
        before = _Before(_head(place), _entries(place))
        why = run(stopped) or _what_is_wrong(place, before, stopped.files, work, way)
        if why is not None:
            return Joined("conflict", files=stopped.files, text=f"not resolved: {why}")
        if way != "rebase" and _head(place) != before.head:
            return Joined("joined", _head(place))  # it has made the commit itself
        done = joining.finish(place, onto, work, way, branch)
        if done.state != "conflict":
            return done
        stopped = done
    return Joined("conflict", files=stopped.files, text=f"it stopped {_ROUNDS} times")


def _what_is_wrong(
    place: Workplace, before: _Before, conflicted: tuple[str, ...], work: Work, way: Way
) -> str | None:
    """Put what was resolved into the index, and return why it cannot be believed; None: it can."""
    head = _head(place)
    if head != before.head and way != "rebase":
        parents = git(place.top, "rev-parse", "HEAD^@").split()
        wanted = [before.head, work.head] if way == "merge" else [before.head]
        if parents != wanted:
            return "the command has made other commits than that of the merge"
    marked = _marked(place, before, conflicted)
    if marked is not None:
        return f"{marked} has a conflict's markers in it"
    left = joining.unmerged(place)
    if left:
        # A command that only writes files leaves it to us to say that they are resolved. Of a file
        # that it has not touched, and that is there in one version only, nobody has decided anything.
        undecided = [path for path in left if _is_undecided(place, before, path)]
        if undecided:
            return f"{undecided[0]} is in conflict still: 'git add' or 'git rm' decides"
        git(place.top, "--literal-pathspecs", "add", "--all", "--", *left)
    changed = git(place.top, "diff-files", "--name-only", "-z").split("\0")[:-1]
    also = sorted(set(changed) & set(conflicted))
    if also:
        git(place.top, "--literal-pathspecs", "add", "--all", "--", *also)
    others = sorted(set(changed) - set(conflicted))
    after = _entries(place)
    others += [
        path
        for path in sorted(before.entries.keys() | after.keys())
        if path not in conflicted and before.entries.get(path) != after.get(path)
    ]
    if others:
        return f"the command has changed {others[0]}, which was not in conflict"
    return None


def _marked(place: Workplace, before: _Before, conflicted: tuple[str, ...]) -> str | None:
    """Return a file that has more markers than the versions that were to be merged."""
    for path in conflicted:
        whole = f"{place.top}/{path}"
        if os.path.islink(whole) or not os.path.isfile(whole):
            continue
        found = len(_MARKER.findall(files.read(whole, most=1 << 30)))
        if found > max(_markers_in(place, entry) for entry in before.entries[path].split("\n")):
            return path
    return None


def _markers_in(place: Workplace, entry: str) -> int:
    """Return how many markers a version of a file has by itself: of `_entries`, mode, SHA and stage."""
    mode, sha = entry.split(" ")[:2]
    if mode == "160000":  # a submodule's commit
        return 0
    text = git(place.top, "cat-file", "blob", sha)
    return len(_MARKER.findall(os.fsencode(text)))


def _is_undecided(place: Workplace, before: _Before, path: str) -> bool:
    """Whether nothing was done about a conflict that leaves no markers: deleted here, changed there."""
    entries = [entry.split(" ") for entry in before.entries[path].split("\n")]
    if {"2", "3"} <= {stage for _, _, stage in entries} and not _is_binary(place, entries):
        return False  # it had markers, and has none now
    whole = f"{place.top}/{path}"
    if not os.path.lexists(whole):
        return False  # whoever removes it has decided
    status, out, _ = git_status(place.top, "hash-object", "--", path)
    return status != 0 or out.strip() in {sha for _, sha, _ in entries}


def _is_binary(place: Workplace, entries: list[list[str]]) -> bool:
    return any(
        mode == "160000"
        or mode == "120000"
        or "\0" in git(place.top, "cat-file", "blob", sha)[:8000]
        for mode, sha, _ in entries
    )


def _entries(place: Workplace) -> dict[str, str]:
    """Return what the index has of each path: lines of mode, SHA and stage."""
    found: dict[str, str] = {}
    for line in git(place.top, "ls-files", "--stage", "-z").split("\0")[:-1]:
        entry, _, path = line.partition("\t")
        found[path] = f"{found[path]}\n{entry}" if path in found else entry
    return found


def _head(place: Workplace) -> str:
    return git(place.top, "rev-parse", "HEAD").strip()
