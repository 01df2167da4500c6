"""A repository that says what its worktrees need, and a person who has trusted it."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from support_cli import ok

FOREIGN_TEXTS = {
    ".cursor/worktrees.json": '{"setup-worktree": ["echo ran > ran"]}',
    "conductor.json": '{"scripts": {"setup": "echo ran > ran"}}',
    ".config/wt.toml": 'post-create = "echo ran > ran"',
    ".gtrconfig": '[hooks]\n\tpostCreate = "echo ran > ran"\n',
    ".workmux.yaml": "post_create: ['echo ran > ran']\n",
}
PATIENCE = 60.0  # seconds; only a failure waits that long


def say(repo: Path, git: Any, text: str, path: str = ".prodigy/worktree.toml") -> None:
    """Commit a file that says what to run."""
    file = repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git("add", "-A", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "what a worktree needs", cwd=repo)


def shown(repo: Path) -> dict[str, Any]:
    found: dict[str, Any] = ok("setup", "show", "--json", cwd=repo).json
    return found


def trust(repo: Path) -> str:
    """Trust what the repository says now, as who has read it."""
    digest: str = shown(repo)["hash"]
    ok("setup", "trust", "--hash", digest, cwd=repo)
    return digest


def commands(repo: Path, stage: str = "run") -> list[str]:
    return [text for part in shown(repo)["parts"] for text in part["stages"].get(stage, [])]


def until(there: Callable[[], Any]) -> Any:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not (found := there()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def fifo(path: Path) -> Iterator[Callable[[], bytes]]:
    """A pipe that a command holds open while it lives; what is given reads to its end."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.set_blocking(descriptor, True)
        yield lambda: os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def number_in(path: Path) -> int:
    """Wait until a command has written its process id into a file."""
    return int(
        until(lambda: path.exists() and path.read_text().endswith("\n") and path.read_text())
    )
