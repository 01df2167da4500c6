"""What the tests on removals begin with."""

from pathlib import Path

import pytest
from support_cli import new


@pytest.fixture
def tree(repo):
    return Path(new(repo, "w1", "--job", "j")["worktree"])
