"""What a restored worktree's HEAD may be on, and under which name git may know the worktree.

Meanwhile its branch may have moved, gone, or been checked out elsewhere, and its private directory's
name may be a successor's.
"""

import contextlib
import os
from collections.abc import Iterator

from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.git import repository
from prodigy_git.git.ask import git, git_status
from prodigy_git.record import files, gitdir

_HEADS = "refs/heads/"
_DETACHED = "detached HEAD"  # what git itself writes for a rebase that began there


def free_private(found: Entry) -> str:
    """Return a path for the private directory: as it was if that is free, else numbered as git does."""
    folder = f"{found.common}/worktrees"
    name = os.path.basename(found.private)
    wanted, number = f"{folder}/{name}", 0
    while os.path.lexists(wanted):
        number += 1
        wanted = f"{folder}/{name}{number}"
    return wanted


def settle(found: Entry) -> list[str]:
    """Bring HEAD, in the private directory ``found.git``, and its branch together; return notes.

    A branch that is gone is made again at HEAD's old commit. Where it has moved or is checked out
    elsewhere, HEAD is detached at that commit. Can be repeated. Raises `ProdigyError` or `OSError`.
    """
    if found.branch is None:
        return _settle_rebase(found) + _settle_bisect(found)
    if _head_ref(found) != _HEADS + found.branch:
        return []  # detached by an earlier, killed run
    now, where = _tip(found, found.branch), _holder(found, found.branch)
    if found.head is None:
        if now is None and where is None:
            return []
        name = _free_branch(found)
        git(found.common, "symbolic-ref", "HEAD", _HEADS + name, env=_environment(found))
        return [
            f"branch {found.branch} has a commit or is checked out elsewhere by now: "
            f"HEAD, which had none, is on the new branch {name}"
        ]
    if where is not None:
        why = f"is checked out at {where}"
    elif now == found.head:
        return []
    elif now is not None:
        why = "has moved"
    elif _create(found, found.branch, found.head):
        return [f"branch {found.branch} was gone and is made again at {found.head[:12]}"]
    else:
        why = "is gone and cannot be made again"
    _detach(found, found.head)
    return [
        f"branch {found.branch} {why}: HEAD is detached at {found.head[:12]}, where the branch was; "
        "'git switch' or 'git branch NAME' gives it one"
    ]


def _environment(found: Entry) -> dict[str, str]:
    return {"GIT_DIR": found.git, "GIT_COMMON_DIR": found.common}


def _head_ref(found: Entry) -> str | None:
    """Return what HEAD points to, a full ref name; None where it is detached."""
    status, out, _ = git_status(
        found.common, "symbolic-ref", "--quiet", "HEAD", env=_environment(found)
    )
    return out.removesuffix("\n") if status == 0 else None


def _tip(found: Entry, branch: str) -> str | None:
    status, out, _ = git_status(
        found.common, "rev-parse", "--verify", "--quiet", "--end-of-options", _HEADS + branch
    )
    return out.strip() if status == 0 else None


def _create(found: Entry, branch: str, commit: str) -> bool:
    null = "0" * len(commit)
    # The user's hooks would be told of a new branch, which it is not.
    arguments = ("-c", "core.hooksPath=/dev/null", "update-ref", "-m", "prodigy-git: restored")
    return git_status(found.common, *arguments, _HEADS + branch, commit, null)[0] == 0


def _free_branch(found: Entry) -> str:
    name, number = f"{found.branch}-restored", 0
    while _tip(found, name) is not None or _holder(found, name) is not None:
        number += 1
        name = f"{found.branch}-restored{number}"
    return name


def _detach(found: Entry, commit: str) -> None:
    path = f"{found.git}/HEAD"
    if files.read(path).startswith(b"ref: refs/heads/.invalid"):  # a reftable's stub
        git(found.common, "update-ref", "--no-deref", "HEAD", commit, env=_environment(found))
        return
    # Not by git, which would write a line of its own into the reflog, our journal.
    _replace(path, f"{commit}\n")


def _replace(path: str, text: str) -> None:
    mode = os.stat(path).st_mode & 0o777
    files.replace(path, os.fsencode(text))
    os.chmod(path, mode)


def _holder(found: Entry, branch: str) -> str | None:
    """Return the worktree that has a branch checked out, or that a rebase will give it back to."""
    for other in repository.worktrees(found.common):
        if other.branch == branch:
            return other.path
    for private in _privates(found.common):
        if any(name == _HEADS + branch for _, name in _rebased(private)):
            with contextlib.suppress(OSError):
                return gitdir.worktree_of(private)
            return private
    return None


def _privates(common: str) -> list[str]:
    try:
        return [common, *(entry.path for entry in os.scandir(f"{common}/worktrees"))]
    except FileNotFoundError:
        return [common]


def _rebased(private: str) -> Iterator[tuple[str, str]]:
    """Yield the file that names the branch a stopped rebase is to move, and that branch's full name."""
    for folder in ("rebase-merge", "rebase-apply"):
        path = f"{private}/{folder}/head-name"
        with contextlib.suppress(OSError):
            name = os.fsdecode(files.read(path).rstrip(b"\n"))
            if name.startswith(_HEADS):
                yield path, name


def _settle_rebase(found: Entry) -> list[str]:
    """See to it that a stopped rebase can end: the branch that it is to move is where it was.

    Otherwise it ends with HEAD detached, as one that began so: it must not move under another's feet.
    """
    notes = []
    for path, name in _rebased(found.git):
        branch = name.removeprefix(_HEADS)
        before = os.path.join(os.path.dirname(path), "orig-head")
        try:
            tip = files.read(before).decode("ascii", "replace").strip()
        except OSError:
            continue
        now, where = _tip(found, branch), _holder(found, branch)
        if where is None and now == tip:
            continue
        if where is None and now is None and _create(found, branch, tip):
            notes.append(f"branch {branch} was gone and is made again at {tip[:12]}")
            continue
        why = f"is checked out at {where}" if where is not None else "has moved"
        _replace(path, f"{_DETACHED}\n")
        notes.append(
            f"branch {branch}, which the rebase under way was to move, {why}: the rebase will end "
            "with HEAD detached"
        )
    return notes


def _settle_bisect(found: Entry) -> list[str]:
    """Make the branch again that a bisect will go back to, where it is gone."""
    try:
        branch = os.fsdecode(files.read(f"{found.git}/BISECT_START").strip())
        lines = files.read(f"{found.git}/logs/HEAD").splitlines()
    except OSError:
        return []
    left = os.fsencode(f"\tcheckout: moving from {branch} to ")
    tips = [line.split(b" ")[0].decode("ascii", "replace") for line in lines if left in line]
    known = git_status(found.common, "rev-parse", "--verify", "--quiet", "--end-of-options", branch)
    # It began where HEAD was detached, or the branch is there.
    if known[0] == 0 or not tips or not _create(found, branch, tips[-1]):
        return []
    return [f"branch {branch} was gone and is made again at {tips[-1][:12]}"]
