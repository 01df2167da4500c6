"""What the tests on cleaning begin with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_cli import (
    new,
    ok,
    session_file,
)
from support_memory import SHARED
from support_restore import (
    World,
)

from prodigy_git.cleanup.folders.erasing import erase


@pytest.fixture
def made(repo):
    return new(repo, "w1", "--job", "j")


@pytest.fixture
def finished(made, repo):
    ok("finish", "w1", cwd=repo)
    return Path(made["worktree"])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than the tests'."""
    if not SHARED.is_dir() or SHARED.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("NOT TESTED: another filesystem; /dev/shm is none")
    folder = SHARED / f"prodigy-crossing-{os.getpid()}"
    folder.mkdir()
    yield folder
    assert erase(str(folder)) == []


@pytest.fixture
def world(repo: Path, store: Path) -> World:
    new(repo, "w", "--job", "j")
    assert session_file(store, "w")["id"] == "w"
    return World(repo, store, store / "worktrees" / "repo" / "w")
