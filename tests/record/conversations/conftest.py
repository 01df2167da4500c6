"""Conversations of agent programs: a worktree for them, and nothing in the background."""

import pytest
from support_agent_calls import nothing_in_the_background
from support_record import git


@pytest.fixture
def killed():
    """Every process in the background is killed before it does anything."""
    with nothing_in_the_background() as started:
        yield started


@pytest.fixture
def linked(repo, tmp_path, store):
    """A worktree that git made, without a session."""
    git("worktree", "add", "-q", tmp_path / "linked", cwd=repo)
    return tmp_path / "linked"
