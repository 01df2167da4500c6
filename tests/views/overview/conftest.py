"""Where an agent program is at work."""

import pytest
from support_cli import new, ok
from support_program_states import look


@pytest.fixture
def ada(repo):
    """An agent's worktree, made by `new-worktree`."""
    ok("install", cwd=repo)
    return new(repo, "login", "--agent", "ada")["worktree"]


@pytest.fixture
def own(repo, git):
    """A person's own checkout; return its session's id."""
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=repo)
    return look(repo)["checkouts"][0]["session_id"]
