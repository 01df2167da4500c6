"""What the tests on stories begin with."""

import pytest
from support_cli import new, write_hooks


@pytest.fixture
def hooks(repo, tmp_path, git):
    folder = tmp_path / "hooks"
    write_hooks(folder)
    git("config", "core.hooksPath", folder, cwd=repo)


@pytest.fixture
def wt(repo, hooks):
    who = ("--job", "review", "--agent", "ann", "--item", "i-1", "--branch", "prodigy-wt")
    return new(repo, "wt", *who)["worktree"]


@pytest.fixture
def commit(git):
    def make(cwd, subject, *more):
        git("commit", "-q", "--allow-empty", "-m", subject, *more, cwd=cwd)
        return git("rev-parse", "HEAD", cwd=cwd)

    return make
