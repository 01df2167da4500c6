"""One result brought onto a commit, in the workplace: merged, squashed, or its commits picked anew.

By git's own commands, so that its hooks, signatures, merge drivers, filters and settings are heeded as
in anybody's worktree. Nothing outside of the workplace changes.
"""

import os
from dataclasses import dataclass
from typing import Literal

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.merging.queue import messages
from prodigy_git.merging.queue.workplace import Workplace, reset

Way = Literal["merge", "squash", "rebase"]

# Settings that would have the user asked, other branches moved, or commits changed.
_UNASKED = (
    "-c", "core.editor=true", "-c", "sequence.editor=true", "-c", "rebase.autoSquash=false",
    "-c", "rebase.updateRefs=false", "-c", "rebase.rebaseMerges=false", "-c", "merge.autoStash=false",
    "-c", "rebase.autoStash=false", "-c", "submodule.recurse=false",
)  # fmt: skip
_UNEDITED = {"GIT_EDITOR": "true"}
"""The same for `rebase --continue`: the user's variable counts for more than a setting."""


@dataclass(frozen=True)
class Work:
    """What is to be brought: a commit, since when it is the branch's own, and what it is called."""

    head: str
    branch: str | None
    name: str
    trailers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Joined:
    """What came of it: the commit, or why there is none.

    ``state``: joined, nothing (all of it is there already), conflict (in ``files``), refused (by a
    hook, or by git itself: ``text`` says why).
    """

    state: Literal["joined", "nothing", "conflict", "refused"]
    commit: str | None = None
    files: tuple[str, ...] = ()
    text: str = ""


def join(place: Workplace, onto: str, work: Work, way: Way, branch: str) -> Joined:
    """Bring a piece of work onto the commit ``onto``, which is that of the branch ``branch``.

    After a conflict the workplace is as git left it. Raises `ProdigyError`.
    """
    reset(place, onto)
    if way == "rebase":
        return _rebased(place, onto, work)
    if _is_ancestor(place, work.head, onto):
        return Joined("nothing")
    how = ["--squash", "--ff"]  # whatever merge.ff says
    if way == "merge":
        how = ["--no-ff", "--no-edit", "-F", _message(place, onto, work, way, branch)]
    status, out, err = git_status(place.top, *_UNASKED, "merge", "--no-stat", *how, work.head)
    if status != 0:
        return _stopped(place, out, err)
    if not _differs(place, onto):
        return Joined("nothing")
    if way == "merge":
        return Joined("joined", _head(place))
    return _committed(place, onto, work, way, branch)


def finish(place: Workplace, onto: str, work: Work, way: Way, branch: str) -> Joined:
    """Go on where all conflicts are resolved, with what the index has. Raises `ProdigyError`."""
    if way == "rebase":
        status, out, err = git_status(place.top, *_UNASKED, "rebase", "--continue", env=_UNEDITED)
        return _stopped(place, out, err) if status != 0 else _end_of_rebase(place, onto)
    return _committed(place, onto, work, way, branch)


def _committed(place: Workplace, onto: str, work: Work, way: Way, branch: str) -> Joined:
    if not _differs(place, onto):
        return Joined("nothing")
    how = ["-F", _message(place, onto, work, way, branch)]
    author = messages.author(place.top, onto, work.head) if way == "squash" else None
    if author is not None:
        how.append(f"--author={author}")
    status, out, err = git_status(place.top, *_UNASKED, "commit", "--quiet", *how)
    return _refused(out, err) if status != 0 else Joined("joined", _head(place))


def _message(place: Workplace, onto: str, work: Work, way: Way, branch: str) -> str:
    """Write the message of a commit; return its path."""
    if way == "merge":
        text = messages.merged(place.top, work.head, work.branch, branch)
    else:
        text = messages.squashed(place.top, onto, work.head, work.name)
    text = messages.with_trailers(place.top, text, work.trailers)
    path = f"{place.private}/prodigy-message"
    with open(path, "wb") as stream:
        stream.write(os.fsencode(text))
    return path


def _rebased(place: Workplace, onto: str, work: Work) -> Joined:
    if _is_ancestor(place, work.head, onto):
        return Joined("nothing")
    git(place.top, *_UNASKED, "checkout", "--quiet", "--detach", work.head)
    status, out, err = git_status(place.top, *_UNASKED, "rebase", "--no-stat", onto)
    if status != 0:
        return _stopped(place, out, err)
    return _end_of_rebase(place, onto)


def _end_of_rebase(place: Workplace, onto: str) -> Joined:
    head = _head(place)
    return Joined("nothing") if head == onto else Joined("joined", head)


def _stopped(place: Workplace, out: str, err: str) -> Joined:
    files = unmerged(place)
    if not files:
        return _refused(out, err)
    told = [line for line in f"{out}\n{err}".split("\n") if line.startswith("CONFLICT")]
    return Joined("conflict", files=files, text="; ".join(told))


def _refused(out: str, err: str) -> Joined:
    """Return why git made no commit: what a hook said, or else git itself."""
    lines = [
        line.strip()
        for line in (err or out).splitlines()
        if line.strip()
        and not line.startswith(("hint:", "Not committing", "error: Not committing"))
    ]
    found = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return Joined("refused", text=" ".join((found or lines[-3:])[:3]) or "no reason was given")


def unmerged(place: Workplace) -> tuple[str, ...]:
    """Return the paths that are in conflict, sorted. Raises `ProdigyError`."""
    lines = git(place.top, "ls-files", "--unmerged", "-z").split("\0")[:-1]
    return tuple(sorted({line.partition("\t")[2] for line in lines}))


def _differs(place: Workplace, commit: str) -> bool:
    status, _, err = git_status(place.top, "diff-index", "--cached", "--quiet", commit, "--")
    if status not in (0, 1):
        raise ProdigyError(f"git diff-index: {said(err)}")
    return status == 1


def _is_ancestor(place: Workplace, one: str, other: str) -> bool:
    return git_status(place.top, "merge-base", "--is-ancestor", one, other)[0] == 0


def _head(place: Workplace) -> str:
    return git(place.top, "rev-parse", "HEAD").strip()
