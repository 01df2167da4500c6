"""What the tests on the way back begin with."""

import pytest
from support_cli import new
from support_restore import (
    World,
)


@pytest.fixture
def world(repo, store):
    new(repo, "w", "--job", "j")
    return World(repo, store, store / "worktrees/repo/w")
