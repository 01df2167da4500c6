"""The checkouts of a branch that is moved under them: which follow, and how the others can.

As git's own ``receive.denyCurrentBranch=updateInstead``: one in which nothing differs from the commit
before is brought to the new one by a merge of two trees, in which git overwrites nothing that it does
not know. What git would overwrite all the same, files that it ignores, is looked for here.
"""

import os
import shlex
import time
from dataclasses import dataclass
from typing import Any

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import said
from prodigy_git.merging.queue import half_followed, ledger, steadily
from prodigy_git.merging.queue.target import Target
from prodigy_git.record import ownership
from prodigy_git.record.gitdir import Place

_UNDER_WAY = {
    "MERGE_HEAD": "a merge", "rebase-merge": "a rebase", "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick", "REVERT_HEAD": "a revert", "BISECT_LOG": "a bisect",
}  # fmt: skip

_LOOKED_AT = 50
"""So many commits, and calls of ``merge``, a checkout that was left as it is may be behind."""


@dataclass(frozen=True)
class Checkout:
    """A worktree that has the branch: whether it followed, else why not and what brings it there."""

    worktree: str
    followed: bool
    why: str | None = None
    command: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as ``merge --json`` prints them."""
        return {
            "worktree": self.worktree, "followed": self.followed, "reason": self.why,
            "command": self.command,
        }  # fmt: skip


def of(target: Target) -> list[Place]:
    """Return the worktrees whose HEAD is the branch. Raises `ProdigyError`."""
    common = target.place.common
    found = []
    for tree in repository.worktrees(common):
        place = repository.place_of(common, tree) if tree.branch == target.branch else None
        if place is not None:
            found.append(place)
    return found


def follow(target: Target, old: str, new: str, lock: int, *, again: bool = False) -> list[Checkout]:
    """Bring the checkouts of the branch, which was moved from ``old`` to ``new``, there too.

    One that is there already is not named. ``again``: a git that did so may have been killed. ``lock``
    as for `steadily.git`. Raises `ProdigyError` where git does not say which checkouts there are.
    """
    found = []
    try:
        places = of(target)
    except ProdigyError:  # perhaps a Ctrl-C at the terminal has ended git, too
        places = of(target)
    for place in places:
        try:
            found.append(_follow(target, place, old, new, lock, again=again))
        except (ProdigyError, OSError) as error:
            found.append(_left(target, place, str(error), old, new))
    return [one for one in found if one is not None]


def _follow(
    target: Target, place: Place, old: str, new: str, lock: int, *, again: bool
) -> Checkout | None:
    begun = time.time()
    for name, what in _UNDER_WAY.items():
        if os.path.lexists(f"{place.private}/{name}"):
            return _left(target, place, f"{what} is under way there", old, new)
    # The times that the index has may be old ones; this writes it, as any `git status` there would.
    steadily.look(place.top, "update-index", "-q", "--ignore-submodules", "--refresh")
    if _same(place, "diff-index", "--cached", new) and _same(place, "diff-files"):
        return None
    if again and _same(place, "diff-index", "--cached", old):
        half_followed.take_back(place, old, new)
    if not _same(place, "diff-index", "--cached", old) or not _same(place, "diff-files"):
        return _left(target, place, "there is work in it that is not committed", old, new)
    in_the_way = _in_the_way(place, old, new)
    if in_the_way is not None:
        why = f"{in_the_way} is in the way, which git does not have"
        return _left(target, place, why, old, new)
    status, _, err = steadily.git(
        place.top, "read-tree", "-m", "-u", old, new, lock=lock, common=target.place.common
    )
    # What root's git has written there is its owner's, as all else in it.
    ownership.hand_over_tree(place.top, since=begun - 1, beside=(".git",))
    if status != 0:
        return _left(target, place, said(err), old, new)
    return Checkout(place.top, True)


def _same(place: Place, command: str, *more: str) -> bool:
    # What a submodule has checked out is its own; which commit of it is meant, the index says.
    ignored = ("--ignore-submodules",) if command == "diff-files" else ()
    status, _, err = steadily.look(place.top, command, "--quiet", *ignored, *more, "--")
    if status not in (0, 1):
        raise ProdigyError(f"git {command}: {said(err)}")
    return status == 0


def _in_the_way(place: Place, old: str, new: str) -> str | None:
    """Return a path where a file is that git does not have, and that ``new`` has something at."""
    status, out, err = steadily.look(
        place.top, "diff-tree", "-r", "-z", "--no-renames", "--name-status", old, new
    )
    if status != 0:
        raise ProdigyError(f"git diff-tree: {said(err)}")
    fields = out.split("\0")[:-1]
    changed = dict(zip(fields[1::2], fields[::2], strict=True))
    fresh = [path for path, kind in changed.items() if kind == "A"]
    checked: set[str] = set()
    for path in fresh:
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            one = "/".join(parts[:end])
            if one in checked:
                continue
            checked.add(one)
            # What the old one has there is git's, and goes.
            if one not in changed or changed[one] == "A":
                whole = f"{place.top}/{one}"
                is_folder = os.path.isdir(whole) and not os.path.islink(whole)
                if os.path.lexists(whole) and not is_folder:
                    return one
    folders = [path for path in fresh if os.path.isdir(f"{place.top}/{path}")]
    for path in folders:  # a file comes where a folder is: all in it has to be git's
        spec = f":(top,literal){path}/"
        other = steadily.look(place.top, "ls-files", "--others", "-z", "--", spec)[1]
        if other:
            return other.split("\0")[0]
    return None


def _left(target: Target, place: Place, why: str, old: str, new: str) -> Checkout:
    # It carries along what is not committed, or says what is in the way and changes nothing.
    begin = _begin(target, place, old)
    command = f"git -C {shlex.quote(place.top)} read-tree -m -u {begin} {new}"
    return Checkout(place.top, False, why, command)


def _begin(target: Target, place: Place, old: str) -> str:
    """Return the commit that the index of a checkout stands at, beside what is staged there.

    Left as it is by earlier moves, it is not at ``old``: from there git would take what these brought
    for deleted by the user.
    """
    line, firsts, run = [old], [old], None
    for made in reversed(ledger.read(target.ledger, lambda _: None)):
        if made.state != "dropped" and made.new == line[-1]:
            if made.run == run:
                firsts.pop()
            line.append(made.old)
            firsts.append(made.old)
            run = made.run
    # Where the calls began comes first: of many results that one brings, the first finds it there.
    nearest, least = old, float("inf")
    for commit in dict.fromkeys((*firsts[:_LOOKED_AT], *line[:_LOOKED_AT])):
        status, out, _ = steadily.look(
            place.top, "diff-index", "--cached", "--name-only", "-z", commit, "--"
        )
        differing = out.count("\0") if status == 0 else float("inf")
        # Of two as near the earlier: from there git refuses, where the other would lose something.
        earlier = line.index(commit) > line.index(nearest)
        if differing < least or (differing == least and earlier):
            nearest, least = commit, differing
        if differing == 0:
            break
    return nearest
