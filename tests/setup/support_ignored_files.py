"""A main worktree's lists of what comes along, and a worktree that is made of it."""

from pathlib import Path
from typing import Any

from support_cli import ok, snapshot

IGNORED = ".env\nnode_modules/\nbuild\n*.log\ndeep/\ncache/\n.worktrees/\n"


def include(repo: Path, *patterns: str, name: str = ".worktreeinclude") -> None:
    (repo / ".git" / "info").mkdir(exist_ok=True)
    with (repo / ".git" / "info" / "exclude").open("a") as stream:
        stream.write(f"/{name}\n")
    (repo / name).write_text("".join(f"{pattern}\n" for pattern in patterns))


def link(repo: Path, *patterns: str) -> None:
    include(repo, *patterns, name=".worktreelink")


def made(repo: Path, *more: str) -> tuple[Path, str]:
    done = ok("new-worktree", "w1", *more, cwd=repo)
    said = [line for line in done.err.splitlines(keepends=True) if "git hooks are" not in line]
    return Path(done.out[:-1]), "".join(said)


def inside(folder: Path) -> dict[str, Any]:
    return {path.removeprefix(str(folder)): one for path, one in snapshot(folder).items()}
