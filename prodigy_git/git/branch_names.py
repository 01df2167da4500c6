"""Names of branches: whether git takes one, what is in its way, and where a branch of that name is.

A branch's name is a path: beside `a` there can be no `a/b`. Where a filesystem does not tell capitals
from small letters (``core.ignoreCase``) names that differ only by these are one name, too.
"""

import os
from typing import Literal, NamedTuple

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git_status, look
from prodigy_git.record import files, gitdir
from prodigy_git.record.gitdir import Place

LONGEST = 200
"""Bytes between two strokes: a file's name has 255 at most, and git puts ``.lock`` behind it."""


def is_possible(cwd: str, name: str) -> bool:
    """Whether git takes ``name`` for a new branch; not for what only stands for one, as ``@{-1}``."""
    status, out, _ = git_status(cwd, "check-ref-format", "--branch", name)
    return status == 0 and out == f"{name}\n" and name != "@"  # which is HEAD


def in_the_way(place: Place, name: str, *, ignore_case: bool = False) -> str | None:
    """Return the branch that keeps a new one from being called ``name``; None where it can be.

    It may be that branch itself, one that is a folder of it, or one of those below it.
    """
    reftable = os.path.isdir(f"{place.common}/reftable")
    if ignore_case or reftable:
        return _among(_all(place), name, ignore_case=ignore_case)
    try:
        packed = b"\n" + files.read(f"{place.common}/packed-refs", files.LARGEST_OF_GIT)
    except OSError:
        packed = b"\n"
    parts = name.split("/")
    for number in range(len(parts), 0, -1):
        one = "/".join(parts[:number])
        path = f"{place.common}/refs/heads/{one}"
        if os.path.lexists(path) and not os.path.isdir(path):
            return one
        if b" " + os.fsencode(f"refs/heads/{one}\n") in packed:
            return one
    return _below(place, name, packed)


def _all(place: Place) -> list[str]:
    status, out, _ = look(place, "for-each-ref", "--format=%(refname)", "refs/heads")
    lines = os.fsdecode(out).split("\n")[:-1] if status == 0 else []
    return [line.removeprefix("refs/heads/") for line in lines]


def _among(known: list[str], name: str, *, ignore_case: bool) -> str | None:
    wanted = name.casefold() if ignore_case else name
    for one in known:
        there = one.casefold() if ignore_case else one
        if f"{there}/".startswith(f"{wanted}/") or f"{wanted}/".startswith(f"{there}/"):
            return one
    return None


def _below(place: Place, name: str, packed: bytes) -> str | None:
    """Return a branch whose name goes on behind ``name/``."""
    top = f"{place.common}/refs/heads"
    for folder, _, found in os.walk(f"{top}/{name}"):
        for file in found:
            return os.path.relpath(f"{folder}/{file}", top)
    begin = packed.find(b" " + os.fsencode(f"refs/heads/{name}/"))
    if begin < 0:
        return None
    line = packed[begin + 1 : packed.find(b"\n", begin)]
    return os.fsdecode(line).removeprefix("refs/heads/")


class Found(NamedTuple):
    """Where a branch is that is to be checked out: here, or only with a remote.

    ``commit`` is what it is at. ``upstream`` is the remote's branch (``origin/x``) that a new local
    ``name`` is to follow; None for a branch that is here.
    """

    kind: Literal["local", "remote"]
    name: str
    commit: str
    upstream: str | None = None


def find(place: Place, name: str) -> Found | None:
    """Return the branch ``name``, given with its remote's name or without; None: there is none.

    Of several remotes that have it the one that ``checkout.defaultRemote`` names, as for git itself.
    Raises `ProdigyError` where it cannot be told which one is meant.
    """
    local = gitdir.tip(place, name)
    if local is not None:
        return Found("local", name, local)
    status, out, _ = look(place, "for-each-ref", "--format=%(objectname) %(refname) %(symref)",
                          "refs/remotes")  # fmt: skip
    known: dict[str, str] = {}
    for line in os.fsdecode(out).split("\n")[:-1] if status == 0 else []:
        commit, ref, symbolic = line.split(" ", 2)
        if not symbolic:  # origin/HEAD is the name of another one
            known[ref.removeprefix("refs/remotes/")] = commit
    status, out, _ = look(place, "remote")
    # The longest first: a remote's name may begin with another one's, and have strokes in it.
    remotes = sorted(os.fsdecode(out).split(), key=len, reverse=True) if status == 0 else []
    for remote in remotes:
        if name.startswith(f"{remote}/") and name in known:
            own = name.removeprefix(f"{remote}/")
            here = gitdir.tip(place, own)
            if here is not None:
                raise ProdigyError(
                    f"there is a branch {own} here, too: --branch {own} checks that one out"
                )
            return Found("remote", own, known[name], name)
    having = [remote for remote in remotes if f"{remote}/{name}" in known]
    if len(having) > 1:
        _, out, _ = look(place, "config", "--get", "checkout.defaultRemote")
        having = [one for one in having if one == os.fsdecode(out).strip()] or having
    if len(having) > 1:
        both = ", ".join(f"{remote}/{name}" for remote in sorted(having))
        raise ProdigyError(f"several remotes have a branch {name}: give one of {both}")
    if not having:
        return None
    return Found("remote", name, known[f"{having[0]}/{name}"], f"{having[0]}/{name}")
