"""Looking at one worktree: its files, the repositories and mounts in it, its private git directory."""

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from prodigy_git.cleanup.account import heartbeat, lone_commits, nested, presence
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.cleanup.folders import mounts, trees
from prodigy_git.cleanup.folders.mounts import Namespace
from prodigy_git.errors import ProdigyError
from prodigy_git.git import git_index
from prodigy_git.git.ask import look, said
from prodigy_git.record import clock, files, gitdir
from prodigy_git.record.gitdir import Place

STATUS = (
    # Said outright, so that no setting of the user's hides a file: status.showUntrackedFiles=no and
    # diff.ignoreSubmodules do.
    "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignored=matching",
    "--ignore-submodules=none", "--no-renames",
)  # fmt: skip


# git-status(1) passes over a folder that it may not read.
_NOT_OPENED = re.compile(r"^warning: could not open directory '(.*)': .*$", re.MULTILINE)


@dataclass(frozen=True)
class Repository:
    """What is asked once per repository; ``hash_size`` and ``salvage_limit`` are in bytes.

    ``linked`` are the real paths of its worktrees, the main one not; ``status`` is how git is asked.
    """

    hash_size: int
    default_branch: str | None
    salvage_limit: int
    linked: list[str]
    status: tuple[str, ...]


def look_at(
    e: Evidence, subject: Subject, here: Repository, own: Namespace | None
) -> lone_commits.Named:
    """Fill in what is in a worktree's folder and private git directory; return what that names.

    ``own`` are the mounts that this process sees, None where the system has no list of them.
    """
    place = subject.place
    assert place is not None
    e.main = os.path.realpath(place.private) == os.path.realpath(place.common)
    e.locked = _lock_reason(place)
    try:
        e.branch, e.head = gitdir.head(place)
    except OSError as error:
        e.unreadable.append(f"its HEAD cannot be read ({error.strerror})")
    if e.head is not None and (not e.head or e.head.strip("0123456789abcdef")):
        e.unreadable.append("its HEAD is damaged")
        e.head = None
    e.operations = list(dict.fromkeys(lone_commits.operations(place)))
    e.private_refs = [] if e.main else _private_refs(place)
    e.git_locks, e.old_git_locks = presence.git_locks(place, e.branch)
    if subject.session is not None:
        recorded = presence.recorded(subject.session)
        e.processes += [recorded] if recorded is not None else []
    named = lone_commits.named(place, e.head, e.private_refs)
    moved = named.journal[-1].seconds * clock.SECOND if named.journal else None
    if moved is not None:
        # The reflog's times are git's data, not the file's.
        e.last_activity = max(e.last_activity or 0, moved)
    heartbeat.note_git(e, place, moved)
    if own is not None:
        _mounts(e, place, own)
    try:
        _files(e, place, here, listed=own is not None)
    except (ProdigyError, OSError) as error:
        e.unreadable.append(f"its files cannot be looked at ({error})")
    return named


def _mounts(e: Evidence, place: Place, own: Namespace) -> None:
    for path in (place.top, place.private):
        if path != place.common:
            real = os.path.realpath(path)
            e.mounts += [one for one in mounts.inside(own, real) if one not in e.mounts]
            e.mounted_at += [one for one in mounts.elsewhere(own, real) if one not in e.mounted_at]


def _lock_reason(place: Place) -> str | None:
    """Return why a worktree is locked (git-worktree(1)), None where it is not."""
    try:
        return files.read(f"{place.private}/locked").decode("utf-8", "replace").strip()
    except OSError:
        return None


def _private_refs(place: Place) -> list[str]:
    if os.path.isdir(f"{place.private}/reftable"):
        kinds = ("refs/worktree", "refs/bisect", "refs/rewritten")
        _, out, _ = look(place, "for-each-ref", "--format=%(refname)", *kinds)
        return os.fsdecode(out).split("\n")[:-1]
    return sorted(
        os.path.relpath(f"{folder}/{name}", place.private)
        for folder, _, names in trees.walk(f"{place.private}/refs")
        for name in names
        if not name.endswith(".lock")
    )


def _files(e: Evidence, place: Place, here: Repository, *, listed: bool) -> None:
    """Fill in what git and the folders say; with ``listed`` the mounts are known already."""
    index = git_index.read(place, here.hash_size)
    if not index.sound:
        e.unreadable.append("its index is damaged")
    root = os.fsencode(place.top)
    links: dict[bytes, bool] = {}
    there = [
        path for path in index.hidden
        if os.path.lexists(b"%b/%b" % (root, path))
        and not trees.beyond_link(root, os.path.dirname(path), links)
    ]  # fmt: skip
    # git refuses to look at all while a link is where a submodule belongs.
    replaced = [path for path in index.gitlinks if trees.beyond_link(root, path, links)]
    with _seen(place, there, replaced) as env:
        status, out, err = look(place, *here.status, env=env)
    if status != 0:
        e.unreadable.append(f"git cannot read it ({said(err, f'exit status {status}')})")
        return
    for found in _NOT_OPENED.finditer(err):
        e.unreadable.append(found[0])
        e.unreadable_paths.append(found[1].rstrip("/"))
    changed, ignored = _count(e, out, set(there))
    tops = nested.hidden_tops(place.top, index.folders)
    contents, inner = _contents(e, place, listed=listed), _contents(e, place, listed=listed)
    for path in ignored:
        nested.measure(f"{place.top}/{path.rstrip('/')}", contents)
    e.ignored, e.ignored_bytes = contents.files, contents.bytes
    for path, tracked in changed:
        if trees.beyond_link(root, os.path.dirname(os.fsencode(path)), links):
            continue  # tracked, and its folder has been replaced by a link
        heartbeat.note_change(e, place.top, path)
        # With a slash at its end: an untracked repository, into which git does not look.
        if path.endswith("/"):
            nested.measure(f"{place.top}/{path.rstrip('/')}", inner)
        else:
            _hold(e, place.top, path, None if tracked else here.salvage_limit)
        # A bare repository is untracked files to git; its HEAD gives it away.
        if path.endswith("/HEAD") and nested.place_of(f"{place.top}/{path[:-5]}") is not None:
            tops.append(f"{place.top}/{path[:-5]}")
    for one in (contents, inner):
        e.unreadable += [f"{path}: {why}" for path, why in one.unreadable.items()]
        e.unreadable_paths += [os.path.relpath(path, place.top) for path in one.unreadable]
        if one.newest is not None:
            moment, path = one.newest
            heartbeat.note(e, moment, f"{os.path.relpath(path, place.top)} was written")
    if not listed:
        below = {os.path.dirname(f"{place.top}/{path}") for path, _ in changed}
        below |= {f"{place.top}/{os.fsdecode(folder)}" for folder in index.folders}
        e.mounts = mounts.by_device(place.top, below | contents.mounts | inner.mounts)
    _repositories(e, place, [*tops, *contents.tops, *inner.tops], index.gitlinks, here)


def _hold(e: Evidence, top: str, path: str, limit: int | None) -> None:
    """Name a changed file that a salvage commit cannot hold: too large, or not to be read."""
    try:
        about = os.lstat(f"{top}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        e.unreadable_paths.append(path)
        return
    if not stat.S_ISREG(about.st_mode):
        return
    if limit is not None and about.st_size > limit:
        e.too_large.append(path)
    elif not os.access(f"{top}/{path}", os.R_OK):
        e.unreadable_paths.append(path)


def _contents(e: Evidence, place: Place, *, listed: bool) -> nested.Contents:
    """Return what nothing has been counted in yet, and where counting ends."""
    real = os.path.realpath(place.top)
    return nested.Contents(
        mounts={place.top + point.removeprefix(real) for point in e.mounts},
        device=None if listed else os.stat(place.top).st_dev,
    )


def _count(e: Evidence, out: bytes, hidden: set[bytes]) -> tuple[list[tuple[str, bool]], list[str]]:
    """Count what `git status` tells; return what has changed (path, tracked), and what is ignored."""
    changed, ignored = [], []
    for entry in out.split(b"\0"):
        kind = entry[:2]
        if kind == b"! ":
            ignored.append(os.fsdecode(entry[2:]))
            continue
        if kind == b"? ":
            e.untracked += 1
            path = entry[2:]
        elif kind == b"u ":
            e.unmerged += 1
            path = entry.split(b" ", 10)[10]
        elif kind == b"1 ":
            path = entry.split(b" ", 8)[8]
            e.staged += entry[2:3] != b"."
            if path in hidden:
                e.hidden += entry[3:4] != b"."
            else:
                e.modified += entry[3:4] != b"."
        else:
            continue
        changed.append((os.fsdecode(path), kind != b"? "))
    return changed, ignored


@contextlib.contextmanager
def _seen(
    place: Place, hidden: list[bytes], replaced: list[bytes]
) -> Iterator[dict[str, str] | None]:
    """Give the environment in which git sees what is there: a copy of the index, where need be.

    In it the ``hidden`` entries have no flags, and those ``replaced`` are missing.
    """
    if not hidden and not replaced:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="prodigy-index-") as scratch:
        shutil.copyfile(f"{place.private}/index", f"{scratch}/index")
        env = {"GIT_INDEX_FILE": f"{scratch}/index"}
        for flag, paths in (
            ("--no-assume-unchanged", hidden), ("--no-skip-worktree", hidden),
            ("--force-remove", replaced),
        ):  # fmt: skip
            stdin = b"".join(path + b"\0" for path in paths)
            status, _, err = look(
                place, "update-index", flag, "-z", "--stdin", stdin=stdin, env=env
            )
            if status != 0:
                raise ProdigyError(f"git update-index: {said(err)}")
        yield env


def _repositories(
    e: Evidence, place: Place, tops: list[str], gitlinks: list[bytes], here: Repository
) -> None:
    """Fill in the repositories inside: submodules, clones, worktrees registered anywhere."""
    real = os.path.realpath(place.top)
    worktrees = {path for path in here.linked if path.startswith(f"{real}/")}
    root, links = os.fsencode(place.top), {b"": False}
    seen = set()
    for path in gitlinks:
        top = f"{place.top}/{os.fsdecode(path)}"
        # Replaced by a link, it is not there; what it had committed is among the modules.
        inner = None if trees.beyond_link(root, path, links) else nested.place_of(top)
        if inner is not None:
            seen.add(os.path.realpath(inner.private))
            e.submodules[os.fsdecode(path)] = nested.own_work(inner, place)
            worktrees.update(nested.registered_elsewhere(inner, place))
    for top in dict.fromkeys(tops):
        inner = nested.place_of(top)
        name = os.path.relpath(top, place.top)
        if inner is None:
            e.nested[name] = ["its git directory is missing"]
        elif os.path.realpath(inner.private) not in seen:
            linked = nested.registered_elsewhere(inner, place)
            worktrees.update(linked)
            if inner.private == inner.common or not linked:
                e.nested[name] = nested.own_work(inner, place)
    for inner in nested.modules(place.private):
        if os.path.realpath(inner.private) not in seen:
            work = nested.own_work(inner, place)
            if work:
                e.submodules[os.path.relpath(inner.private, f"{place.private}/modules")] = work
    e.nested_worktrees = sorted(worktrees)
