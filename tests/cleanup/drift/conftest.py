"""What the tests on drift begin with."""

from pathlib import Path

import pytest
from support_cli import new, ok
from support_drift import (
    Time,
    repair,
)  # fmt: skip


@pytest.fixture
def time(monkeypatch):
    return Time(monkeypatch)


@pytest.fixture
def made(repo, store, git):
    """A worktree with a commit and work, beside another one, which a clean has seen whole."""
    path = Path(new(repo, "w1", "--job", "j")["worktree"])
    new(repo, "other", "--job", "j")
    git("commit", "-q", "--allow-empty", "-m", "own", cwd=path)
    (path / "work").write_text("precious")
    (path / ".gitignore").write_text("*.env\n")
    (path / "x.env").write_text("secret")
    ok("sessions", "show", "w1", cwd=repo)
    assert repair(store) == []
    return path
