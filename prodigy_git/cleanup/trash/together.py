"""What removals that go on at once ask git for: one process for all that wait, not one for each.

Starting git is most of what a ref costs. While it is at work for one removal the others gather, and
whoever comes next asks for all of them. Each goes on only when its own refs are on the disk.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.git import repository
from prodigy_git.record import files, gitdir
from prodigy_git.record.gitdir import Place

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")
_NAMING = (
    "HEAD", "rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START",
    "rebase-merge/update-refs",  # of `rebase --update-refs`: the ref, and two commits, each on its line
)  # fmt: skip
"""The files of a worktree's private directory that name the branch that it is on, or goes back to."""
_HELD_FOR_ALL = ("packed-refs.lock", "cannot lock references")
"""What git says where a lock keeps every deletion out, not only that of one ref; of reftables any."""
Answer = tuple[int, bytes, str]
"""Exit status, output and error output, as of `salvage.update_refs`."""


class Gathered(Generic[_Asked, _Answer]):
    """Has one thread do for all that wait what each of them asks for.

    ``do`` is never called by two threads at once; what it raises is raised to all that it was for.
    """

    def __init__(self, do: Callable[[list[_Asked]], list[_Answer]]) -> None:
        """Take what is to be done: an answer for each that was asked, in their order."""
        self._do = do
        self._changed = threading.Condition()
        self._waiting: list[_Wish[_Asked, _Answer]] = []
        self._busy = False

    def ask(self, asked: _Asked) -> _Answer:
        """Return the answer; other threads' may be found with it."""
        mine: _Wish[_Asked, _Answer] = _Wish(asked)
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.done or not self._busy)
            if not mine.done:
                some, self._waiting = self._waiting, []
                self._busy = True
        if not mine.done:
            self._serve(some)
        if mine.error is not None:
            raise mine.error
        (answer,) = mine.answer
        return answer

    def _serve(self, some: "list[_Wish[_Asked, _Answer]]") -> None:
        error: BaseException | None = None
        answers: list[_Answer] = []
        try:
            answers = self._do([one.asked for one in some])
        except BaseException as raised:
            error = raised
        with self._changed:
            for number, one in enumerate(some):
                one.done, one.error, one.answer = True, error, answers[number : number + 1]
            self._busy = False
            self._changed.notify_all()


class _Wish(Generic[_Asked, _Answer]):
    __slots__ = ("answer", "asked", "done", "error")

    def __init__(self, asked: _Asked) -> None:
        self.asked = asked
        self.done = False
        self.error: BaseException | None = None
        self.answer: list[_Answer] = []


class Together:
    """The refs of a repository from which several worktrees are removed at once, by threads."""

    def __init__(self, common: str) -> None:
        """Begin with nobody who waits."""
        self._place = Place(common, common, common)
        self._updates = Gathered(self._update)
        self._branches = Gathered(self._delete)

    def update(self, request: bytes) -> Answer:
        """Do what `salvage.update_refs` does. Raises `ProdigyError` where git cannot be started."""
        return self._updates.ask(request) if request else (0, b"", "")

    def delete_branch(self, name: str, head: str) -> bool:
        """Delete a branch if it is still at a commit, and no worktree's; return whether it went.

        Compare-and-swap: one that has moved meanwhile is not the one that was looked at.
        """
        return self._branches.ask((name, head))

    def _update(self, requests: list[bytes]) -> list[Answer]:
        whole = salvage.update_refs(self._place, b"".join(requests))
        held = any(words in whole[2] for words in _HELD_FOR_ALL)
        # Each alone would wait for that lock as long as all have, and others for the repository's. One
        # that a signal ended may have done some of it, which cannot be done again.
        if whole[0] <= 0 or len(requests) == 1 or held:
            return [whole] * len(requests)
        # All or nothing, and the fault of one: now each for itself.
        return [salvage.update_refs(self._place, one) for one in requests]

    def _delete(self, wanted: list[tuple[str, str]]) -> list[bool]:
        held = checked_out(self._place.common, {name for name, _ in wanted})
        free = [pair for pair in wanted if pair[0] not in held]
        # A name need not be UTF-8.
        requests = [os.fsencode(f"delete refs/heads/{name} {head}\n") for name, head in free]
        answers = self._update(requests) if free else []
        gone = {
            pair
            for pair, (status, _, _) in zip(free, answers, strict=True)
            if status == 0 or (status < 0 and not self._has_branch(pair[0]))
        }
        return [pair in gone for pair in wanted]

    def _has_branch(self, name: str) -> bool:
        return repository.has_ref(self._place.common, f"refs/heads/{name}")


def checked_out(common: str, branches: Collection[str]) -> set[str]:
    """Return those that a worktree has checked out, or a rebase or bisect will go back to."""
    if os.path.isdir(f"{common}/reftable"):  # HEAD is a stub
        there = (one.branch for one in repository.worktrees(common))
        return {name for name in there if name is not None and name in branches}
    wanted = {os.fsencode(name): name for name in branches}
    found = set()
    privates = [f"{common}/worktrees/{one}" for one in entries.folders(f"{common}/worktrees", None)]
    for private in (common, *privates):
        for file in _NAMING:
            with contextlib.suppress(OSError):
                read = gitdir.symbolic if file == "HEAD" else files.read
                for line in read(f"{private}/{file}").split(b"\n"):
                    name = wanted.get(line.removeprefix(b"ref: ").removeprefix(b"refs/heads/"))
                    if name is not None:
                        found.add(name)
    return found
