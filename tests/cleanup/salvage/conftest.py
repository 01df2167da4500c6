"""What the tests on salvages begin with."""

import pytest
from support_cli import new
from support_removal import (
    git,
)
from support_restore import World

from prodigy_git.cleanup.trash import emptying


@pytest.fixture
def world(repo, store, monkeypatch):
    monkeypatch.setattr(emptying, "_step_back", lambda: None)
    new(repo, "w", "--job", "j")
    git("config", "protocol.file.allow", "always", cwd=repo)
    return World(repo, store, store / "worktrees/repo/w")
