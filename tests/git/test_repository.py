"""What git says of a repository, also while others change it."""

import threading

import pytest

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository


@pytest.fixture
def half(repo, tmp_path):
    """A worktree that is being made: its folder is there, and not yet all that is in its files."""
    folder = repo / ".git" / "worktrees" / "half"
    folder.mkdir(parents=True)
    (folder / "gitdir").write_text(f"{tmp_path}/half/.git\n")
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "commondir").write_text("")
    return folder


def test_a_listing_waits_for_a_worktree_that_is_being_made(repo, half):
    done = threading.Timer(0.02, lambda: (half / "commondir").write_text("../..\n"))
    done.start()
    found = repository.worktrees(str(repo / ".git"))
    done.join()
    assert found[0].path == str(repo)


def test_a_listing_does_not_wait_for_ever(repo, half):
    with pytest.raises(ProdigyError, match="commondir"):
        repository.worktrees(str(repo / ".git"))
