"""Commits that only a worktree names: on its HEAD, in its reflog, in its pseudo-refs and private refs.

Asked for all worktrees of a repository in one process: git tells the part of the history that no ref
reaches, and who reaches what in it is found here.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import look, said
from prodigy_git.record import files, gitdir, journal
from prodigy_git.record.gitdir import Place
from prodigy_git.record.journal import Movement

# Commits that a command of git's left behind, named by one file each (gitrepository-layout(5)).
# FETCH_HEAD is not among them: what it names can be fetched again.
_PSEUDO_REFS = (
    "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "MERGE_AUTOSTASH",
    "BISECT_HEAD", "rebase-merge/orig-head", "rebase-merge/autostash", "rebase-merge/stopped-sha",
    "rebase-apply/orig-head", "rebase-apply/autostash", "sequencer/head", "sequencer/abort-safety",
)  # fmt: skip


@dataclass
class Named:
    """What a worktree names.

    ``head`` is its commit (None: unborn or unknown), ``rewritten`` what an amend or a finished rebase
    replaced, ``rebased`` the commits that each rebase made, with the one it ended at (empty: aborted),
    ``others`` everything.
    """

    head: str | None
    journal: list[Movement]
    rewritten: set[str] = field(default_factory=set)
    rebased: list[tuple[set[str], str]] = field(default_factory=list)
    others: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Lone:
    """How many commits no ref reaches: from HEAD; given up in the reflog; replaced by a rewrite."""

    head: int
    given_up: int
    rewritten: int


def named(place: Place, head: str | None, private_refs: Iterable[str]) -> Named:
    """Return what a worktree names; ``private_refs`` are the full names of its private refs."""
    movements = _journal(place)
    found = Named(head, movements)
    start: Movement | None = None
    picks: set[str] = set()
    for one in movements:
        found.others.update((one.old, one.new))
        if one.action == "amend":
            found.rewritten.add(one.old)
        if one.kind == journal.START:
            start, picks = one, set()
        elif one.kind == journal.FINISH and start is not None:
            found.rewritten.add(start.old)
            found.rebased.append((picks, one.new))
            start = None
        elif one.kind == journal.ABORT:
            found.rebased.append((picks, ""))  # copies of what the branch has again
            start = None
        elif one.kind == journal.PICK and start is not None:
            picks.add(one.new)
    for name in (*_PSEUDO_REFS, *private_refs):
        found.others.update(_shas(f"{place.private}/{name}"))
    return found


def _journal(place: Place) -> list[Movement]:
    if os.path.isdir(f"{place.private}/reftable"):
        _, data, _ = look(place, "log", "-g", "--format=%H %H x <x> 0 +0000%x09%gs", "HEAD", "--")
        return journal.parse(data, 0)[::-1]
    try:
        return journal.parse(files.read(f"{place.private}/logs/HEAD"), 0)
    except OSError:
        return []


def _shas(path: str) -> list[str]:
    try:
        text = files.read(path)
    except OSError:
        return []
    lines = (line.decode("ascii", "replace") for line in text.split(b"\n"))
    return [line for line in lines if len(line) in (40, 64) and not line.strip("0123456789abcdef")]


def count(common: Place, wanted: Sequence[Named]) -> list[Lone]:
    """Return for each worktree how many commits no branch, tag or other ref of the repository reaches.

    A worktree's own branch counts as a ref: it does not go with the folder. Another worktree's HEAD
    does not: that one may be the next to go. Raises `ProdigyError` where git cannot tell.
    """
    asked = {sha for one in wanted for sha in (one.head, *one.others) if sha is not None}
    parents = _unreached(common, sorted(sha for sha in asked if not journal.is_null(sha)))
    found = []
    for one in wanted:
        at_head = _reach(parents, () if one.head is None else (one.head,))
        rewritten = _reach(parents, one.rewritten)
        for picks, final in one.rebased:
            rewritten |= _reach(parents, picks) - _reach(parents, (final,))
        rewritten -= at_head
        # What was rewritten stays replaced, also where the reflog names its commits one by one.
        given_up = _reach(parents, one.others) - at_head - rewritten
        found.append(Lone(len(at_head), len(given_up), len(rewritten)))
    return found


def _unreached(common: Place, shas: list[str]) -> dict[str, list[str]]:
    """Return the commits among ``shas`` and their ancestors that no ref reaches, with parents."""
    if not shas:
        return {}
    # Not --all: that would count the HEADs. --ignore-missing: a reflog may name what gc has taken.
    status, out, err = look(
        common, "rev-list", "--parents", "--ignore-missing", "--stdin", "--not", "--branches",
        "--tags", "--remotes", "--glob=refs/*",
        stdin="".join(f"{sha}\n" for sha in shas).encode(),
    )  # fmt: skip
    if status != 0:
        raise ProdigyError(f"git rev-list: {said(err, f'exit status {status}')}")
    lines = (line.split() for line in out.decode("ascii", "replace").splitlines())
    return {line[0]: line[1:] for line in lines}


def _reach(parents: dict[str, list[str]], tips: Iterable[str]) -> set[str]:
    """Return which of the commits in ``parents`` the ``tips`` reach."""
    reached: set[str] = set()
    waiting = [tip for tip in tips if tip in parents]
    while waiting:
        sha = waiting.pop()
        if sha not in reached:
            reached.add(sha)
            waiting += [one for one in parents[sha] if one in parents]
    return reached


def made_commits(movements: Iterable[Movement]) -> bool:
    """Whether the lines of a reflog tell of a commit made here."""
    kinds = (journal.MADE, journal.PICK, journal.UNDECIDED)
    return any(one.kind in kinds for one in movements)


def common_place(place: Place) -> Place:
    """Return the place to ask about the whole repository from: no worktree's HEAD is in it."""
    return Place(place.common, place.common, place.common)


def operations(place: Place) -> list[str]:
    """Return, in words, the operations under way (git-status(1) tells them from the same files)."""
    found = []
    for name, words in _OPERATIONS:
        if os.path.lexists(f"{place.private}/{name}"):
            if name == "rebase-apply":
                words = "a rebase" if gitdir.rebasing(place) else "an am"
            found.append(words)
    return found


_OPERATIONS = (
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert of several commits"),
    ("BISECT_LOG", "a bisect"),
)
