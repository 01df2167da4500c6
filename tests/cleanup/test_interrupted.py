"""Going on with what was interrupted: what cannot be ended is not covered by something new."""

import json
from pathlib import Path
from typing import Any

import pytest
from support_cli import new
from support_restore import World, bring_back, remove, restored, sh

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.restore import announcing
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.errors import ProdigyError


@pytest.fixture
def world(repo: Path, store: Path) -> World:
    new(repo, "w", "--job", "j")
    return World(repo, store, store / "worktrees/repo/w")


@pytest.fixture
def half_back(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a worktree whose restore stopped when git knew it again: the store does not know yet."""

    def fails(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    (world.tree / "work").write_text("mine\n")
    remove(world)
    with monkeypatch.context() as patched:
        patched.setattr(announcing, "tell", fails)
        with pytest.raises(OSError, match="Input/output"):
            bring_back(world)
    return world


def test_what_is_half_way_back_is_not_removed_anew(half_back: World) -> None:
    with pytest.raises(ProdigyError, match="restore w' ends that"):
        remove(half_back)
    assert [one.state for one in entries.entries(str(half_back.store), print)] == ["restoring"]
    assert (half_back.tree / "work").read_text() == "mine\n"


def test_it_is_gone_on_with_and_then_removed(half_back: World) -> None:
    (line,) = interrupted.take_up(str(half_back.store), "repo", pytest.fail)
    assert "w" in line
    assert entries.entries(str(half_back.store), print) == []
    remove(half_back)
    assert not half_back.tree.exists()


def test_a_restore_that_it_finishes_is_the_one_that_was_asked_for(half_back: World) -> None:
    done = restored(half_back.store, "w", broken=lambda _: None)
    assert done.worktree == str(half_back.tree)
    session = json.loads((half_back.store / "sessions/w.json").read_text())
    assert "trash_path" not in session["metadata"]
    assert sh(half_back.tree, "git status --porcelain") == "?? work"
