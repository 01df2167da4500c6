"""Repositories with branches to be merged, made quickly; and what really merging them says."""

import os
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from prodigy_git.merging.conflicts import forecast, foresee
from prodigy_git.record.gitdir import Place

Tree = Mapping[str, "str | bytes | None"]
"""Paths, and what they hold; None: no such file."""

LINES = [f"line {n}\n" for n in range(12)]


class Branches:
    """A repository, and branches in it that begin where they are told."""

    def __init__(self, folder: Path, start: Tree) -> None:
        """Make it, with one commit on ``main``."""
        self.folder = folder
        self.git("init", "-q", "-b", "main", folder, cwd=folder.parent)
        self.commit(start)

    def git(self, *arguments: object, cwd: Path | None = None, check: bool = True) -> str:
        """Run git and return what it printed, stripped."""
        done = subprocess.run(
            ["git", *map(str, arguments)], cwd=cwd or self.folder, capture_output=True, text=True,
            check=False, env={**os.environ, "GIT_MERGE_AUTOEDIT": "no"},
        )  # fmt: skip
        assert not check or done.returncode == 0, done
        return done.stdout.strip()

    def commit(self, *changes: Tree) -> str:
        """Commit changes where HEAD is, and return the last commit."""
        for number, change in enumerate(changes):
            for name, content in change.items():
                path = self.folder / name
                if content is None:
                    path.unlink()
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.encode() if isinstance(content, str) else content)
            self.git("add", "-A")
            self.git("commit", "-q", "--allow-empty", "-m", f"change {number}")
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, *changes: Tree, base: str = "main") -> str:
        """Make a branch with a commit for each change, go back, and return its commit."""
        self.git("checkout", "-q", "-b", name, base)
        made = self.commit(*changes) if changes else self.git("rev-parse", "HEAD")
        self.git("checkout", "-q", "main")
        return made

    def place(self) -> Place:
        """Return its git directory, as all three parts of a place."""
        common = f"{self.folder}/.git"
        return Place(common, common, common)

    def names(self) -> list[str]:
        """Return the branches but main, in the order of their names."""
        listed = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        return [name for name in listed if name != "main"]

    def candidates(self, *names: str) -> list[forecast.Candidate]:
        """Return branches as candidates: all but main, where none is named."""
        return [
            forecast.Candidate(name, self.git("rev-parse", name)) for name in names or self.names()
        ]

    def foresee(self, *names: str, **more: object) -> forecast.Forecast:
        """Return what would come of merging branches into main."""
        target = self.git("rev-parse", "main")
        return foresee.foresee(self.place(), target, self.candidates(*names), **more)  # type: ignore[arg-type]

    def really(self, *names: str) -> bool:
        """Whether branches merge into main one after the other, by `git merge` in a worktree."""
        tree = self.folder.parent / "really"
        if not tree.exists():
            self.git("worktree", "add", "-q", "--detach", tree, "main")
        self.git("reset", "-q", "--hard", "main", cwd=tree)
        self.git("clean", "-qfdx", cwd=tree)
        for name in names:
            self.git("merge", "-q", "--no-ff", name, cwd=tree, check=False)
            if self.git("ls-files", "-u", cwd=tree) or (
                Path(self.git("rev-parse", "--git-path", "MERGE_HEAD", cwd=tree)).exists()
            ):
                self.git("merge", "--abort", cwd=tree)
                return False
        return True


def states(found: forecast.Forecast) -> dict[str, str]:
    """Return how each candidate stands."""
    return {one.name: one.state for one in found.standings}


def clashing(found: forecast.Forecast) -> dict[tuple[str, str], list[str]]:
    """Return the pairs that conflict, with the paths."""
    return {(one.one, one.other): [path for path, _ in one.files] for one in found.clashes}


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return all files of a folder, and what changes when they do.

    Not the time of an object: git sets it where it would write the object once more.
    """
    found = {}
    for top, folders, names in os.walk(folder):
        for path in (os.path.join(top, name) for name in (*folders, *names)):
            about = os.lstat(path)
            time = 0 if "/.git/objects/" in path else about.st_mtime_ns
            found[path] = about.st_size, time, about.st_ino
    return found


def text(*lines: tuple[int, str], without: Collection[int] = ()) -> str:
    """Return the usual lines, those with the given numbers replaced."""
    changed = dict(lines)
    return "".join(changed.get(n, line) for n, line in enumerate(LINES) if n not in without)
