"""Worktrees in every state, and everything that a removal and a restore must leave as it was."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.restore import restore
from prodigy_git.cleanup.restore.restore import Restored
from prodigy_git.cleanup.trash import removal
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.record import enrolment, gitdir
from prodigy_git.record.drain import drain


class World(NamedTuple):
    """A repository and one enrolled worktree ``w``, session ``w``, job ``j``."""

    repo: Path
    store: Path
    tree: Path

    @property
    def private(self) -> Path:
        found = gitdir.find(str(self.tree), {})
        assert found is not None
        return Path(found.private)


def sh(cwd: Path | str, script: str, **env: str) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=cwd, capture_output=True,
        check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **env},
    )  # fmt: skip
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


def remove(world: World, tree: Path | None = None, *, delete_branch: str | None = None) -> Entry:
    """Move a worktree to the trash, as `worktree clean -f` does."""
    place = gitdir.find(str(tree or world.tree), {})
    assert place is not None
    entered = enrolment.read(place.private)
    assert entered is not None
    troubles: list[str] = []
    found = removal.remove(
        str(world.store), place, entered, reasons=["forced"], touched=True, delete_branch=delete_branch,
        broken=troubles.append,
    )  # fmt: skip
    assert troubles == []
    return found


def restored(
    store: Path, name: str, *, to: str | None = None, broken: Callable[[str], None] = print
) -> Restored:
    """Bring a worktree back as `worktree restore` does: what was interrupted is ended first."""
    done = interrupted.finish(str(store), name, broken)
    return done or restore.restore(str(store), name, to=to, broken=broken)


def bring_back(world: World, name: str = "w", to: str | Path | None = None) -> Restored:
    troubles: list[str] = []
    target = None if to is None else str(to)
    done = restored(world.store, name, to=target, broken=troubles.append)
    assert troubles == []
    return done


def files_of(top: Path, *, skip: Iterable[str] = ()) -> dict[bytes, tuple[Any, ...]]:
    """Return kind, mode, times, contents, attributes of all below a folder, and which are one file."""
    found: dict[bytes, tuple[Any, ...]] = {}
    links: dict[int, list[bytes]] = {}
    skipped = {os.fsencode(name) for name in skip}
    root = os.fsencode(top)
    for folder, folders, names in os.walk(root):
        for name in (b".", *folders, *names):
            path = os.path.normpath(os.path.join(folder, name))
            inside = os.path.relpath(path, root)
            if inside in skipped:
                continue
            about = os.lstat(path)
            content = b""
            if stat.S_ISLNK(about.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                with open(path, "rb") as stream:
                    content = stream.read()
            if about.st_nlink > 1 and not stat.S_ISDIR(about.st_mode):
                links.setdefault(about.st_ino, []).append(inside)
            attributes = {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            }
            found[inside] = (about.st_mode, about.st_mtime_ns, content, attributes)
    for same in links.values():
        for name in same:
            found[name] = (*found[name], sorted(same))
    return found


def private_of(private: Path) -> dict[bytes, tuple[Any, ...]]:
    """Return the private directory's files, less the times that git or a drain without news changes.

    Of the enrolment without where it was written: a copy across filesystems is another folder.
    """
    found = files_of(private)
    if b"prodigy" in found:
        mode, _, text, more = found[b"prodigy"]
        fields = json.loads(text)
        for name in ("inode", "private"):
            fields.pop(name, None)
        found[b"prodigy"] = (mode, 0, json.dumps(fields).encode(), more)
    return {
        name: (about[0], *about[2:])
        if stat.S_ISDIR(about[0]) or name.startswith((b"prodigy-cursor", b"sharedindex."))
        else about
        for name, about in found.items()
    }


def seen(world: World) -> dict[str, Any]:
    """Return all that must be the same after a removal and a restore."""
    place = gitdir.find(str(world.tree), {})
    assert place is not None
    entered = enrolment.read(place.private)
    if entered is not None:
        drain(place, entered)  # as a removal does first
    top = files_of(world.tree)
    private = private_of(world.private)
    return {
        "folder": top,
        "private": private,
        "refs": sh(
            world.repo, "git for-each-ref | grep -v refs/prodigy/ || true; git symbolic-ref HEAD"
        ),
        "status": sh(
            world.tree, "git status --porcelain=v2 -z --ignored 2>/dev/null | tr '\\0' '\\n'"
        ),
        "private refs": sh(world.tree, "git for-each-ref refs/worktree refs/bisect"),
        "stash": sh(world.tree, "git stash list"),
        "list": sh(world.repo, "git worktree list --porcelain"),
    }


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return in words what differs between two results of `seen`; for a failed test's message."""
    lines = []
    for what, old in before.items():
        new = after[what]
        if isinstance(old, dict):
            lines += [
                f"{what} {name!r}: {old.get(name)} -> {new.get(name)}"
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        elif old != new:
            lines.append(f"{what}: {old!r} -> {new!r}")
    return lines


def whole(repo: Path) -> None:
    """Assert that nothing that git reaches in a repository is missing, and that it can collect."""
    sh(
        repo,
        "git fsck --connectivity-only && git gc -q --prune=now && git fsck --connectivity-only",
    )


class Templates:
    """Makes a world once and gives out copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copy(self, target: Path) -> World:
        shutil.copytree(self.folder, target, symlinks=True)
        old, new = os.fsencode(self.folder), os.fsencode(target)
        for pattern in (
            "repo/.git/worktrees/*/gitdir", "store/worktrees/*/*/.git", "**/prodigy",
            "store/state/*/repository.json", "store/sessions/*.json",
        ):  # fmt: skip
            for path in target.glob(pattern):
                path.write_bytes(path.read_bytes().replace(old, new))
        return World(target / "repo", target / "store", target / "store" / "worktrees/repo/w")
