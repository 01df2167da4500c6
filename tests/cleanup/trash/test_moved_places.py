"""Store, home and repository at another place than when a worktree went to the trash."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support_cli import call, new, ok, session_file
from support_restore import World, difference, seen, sh
from support_trash import work

from prodigy_git.cleanup.trash import emptying, expiry
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.errors import ProdigyError


@pytest.fixture
def world(repo: Path, store: Path) -> World:
    """A worktree with a commit, an untracked and an ignored file; its session has ended."""
    (repo / ".gitignore").write_text("*.env\n")
    tree = Path(new(repo, "w", "--job", "j")["worktree"])
    (tree / "README").write_text("committed\n")
    sh(tree, "git commit -qam one; echo u > untracked; echo s > x.env")
    ok("finish", "w", cwd=repo)
    return World(repo, store, tree)


def move_store(store: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store.rename(to)
    monkeypatch.setenv("PRODIGY_HOME", str(to))
    return to


def removed(world: World) -> dict[str, object]:
    """Clean the worktree ``w``; return what `seen` says of it before."""
    before = seen(world)
    ok("worktree", "clean", "-f", "w", cwd=world.repo)
    return before


def moved_back(text: dict[str, object], was: Path, now: Path) -> dict[str, object]:
    """Return what `seen` says with a path's new name replaced by its old one."""
    return {
        name: value.replace(str(now), str(was)) if isinstance(value, str) else value
        for name, value in text.items()
    }


def without_links(found: dict[str, object]) -> dict[str, object]:
    """Leave out the two files that name a path of the other half."""
    for part, names in (("folder", (b".git",)), ("private", (b"gitdir", b"prodigy", b"."))):
        inside = found[part]
        assert isinstance(inside, dict)
        for name in names:
            inside.pop(name, None)
    return found


def test_moved_store_gives_back_what_was_removed(world, tmp_path, monkeypatch):
    before = removed(world)
    store = move_store(world.store, tmp_path / "moved", monkeypatch)
    (row,) = ok("trash", "list", "--json", cwd=world.repo).json
    assert row["worktree"] == f"{store}/worktrees/repo/w"
    done = ok("worktree", "restore", "w", "--json", cwd=world.repo).json
    assert done["worktree"] == f"{store}/worktrees/repo/w"
    after = seen(World(world.repo, store, Path(done["worktree"])))
    after = moved_back(after, world.store, store)
    assert difference(without_links(before), without_links(after)) == []
    assert ok("trash", "list", "--json", cwd=world.repo).json == []
    assert not world.store.exists()
    assert ok("verify", "--all", cwd=world.repo).code == 0


def test_moved_store_is_emptied(world, tmp_path, monkeypatch):
    removed(world)
    store = move_store(world.store, tmp_path / "moved", monkeypatch)
    ok("trash", "empty", "w", "--yes", cwd=world.repo)
    work(store)
    (entry,) = entries.entries(str(store), pytest.fail)
    assert (entry.state, os.listdir(entry.path)) == ("emptied", ["entry.json"])
    # And from the salvage ref it comes back into the store that there is.
    done = ok("worktree", "restore", "w", "--json", cwd=world.repo).json
    assert done["worktree"] == f"{store}/worktrees/repo/w"
    assert Path(done["worktree"], "untracked").read_text() == "u\n"


def test_entry_of_before_the_store_was_noted(world, tmp_path, monkeypatch):
    removed(world)
    (entry,) = entries.entries(str(world.store), pytest.fail)
    fields = json.loads(Path(entry.path, "entry.json").read_text())
    del fields["store"]
    Path(entry.path, "entry.json").write_text(json.dumps(fields))
    store = move_store(world.store, tmp_path / "moved", monkeypatch)
    assert ok("worktree", "restore", "w", cwd=world.repo).out == f"{store}/worktrees/repo/w\n"


def test_removal_that_was_killed_before_the_move_is_finished(world, tmp_path, monkeypatch):
    removed(world)
    (entry,) = entries.entries(str(world.store), pytest.fail)
    entry.state, entry.settled = "moving", False
    entries.write(entry)
    store = move_store(world.store, tmp_path / "moved", monkeypatch)
    assert "is finished" in call("worktree", "clean", "--all", cwd=world.repo).err
    (entry,) = entries.entries(str(store), pytest.fail)
    assert (entry.state, entry.settled) == ("trashed", True)
    ok("worktree", "restore", "w", cwd=world.repo)


@pytest.mark.parametrize("name", ["folder", "git"])
def test_what_does_not_lie_in_the_trash_is_not_deleted(world, tmp_path, name):
    removed(world)
    (entry,) = entries.entries(str(world.store), pytest.fail)
    precious = tmp_path / "trash" / entry.repo / entry.session / "another-moment" / "worktree"
    precious.mkdir(parents=True)
    setattr(entry, name, str(precious))
    entries.write(entry)
    troubles: list[str] = []
    assert emptying.empty_now([entry], troubles.append) == []
    assert len(troubles) == 1
    assert "names a place outside" in troubles[0]
    with pytest.raises(ProdigyError):
        expiry.measured(entries.read(entry.path))
    assert precious.is_dir()


def test_repository_renamed_while_a_worktree_is_in_the_trash(world):
    before = removed(world)
    moved = world.repo.rename(world.repo.parent / "renamed")
    (row,) = ok("trash", "list", "--json", cwd=moved).json
    assert row["session_id"] == "w"
    ok("worktree", "restore", "w", cwd=moved)
    after = moved_back(seen(world._replace(repo=moved)), world.repo, moved)
    assert difference(without_links(before), without_links(after)) == []
    assert sh(world.tree, "git rev-parse --git-common-dir") == f"{moved}/.git"
    # From cron, without standing in it: the worktree tells where the repository is.
    assert ok("verify", "--all", cwd="/").code == 0
    ok("worktree", "clean", "-f", "w", cwd=moved)
    ok("trash", "empty", "w", "--yes", cwd="/")


def test_worktree_inside_a_renamed_repository(repo, git):
    inside = repo / ".worktrees" / "in"
    git("worktree", "add", "-q", inside, cwd=repo)
    ok("worktree", "adopt", inside, "--name", "in", cwd=repo)
    (inside / "untracked").write_text("u\n")
    ok("worktree", "clean", "-f", "in", cwd=repo)
    moved = repo.rename(repo.parent / "renamed")
    done = ok("worktree", "restore", "in", cwd=moved)
    assert done.out == f"{moved}/.worktrees/in\n"
    assert (moved / ".worktrees" / "in" / "untracked").read_text() == "u\n"
    assert not repo.exists()


def test_another_clone_where_the_repository_was(world, git, tmp_path):
    removed(world)
    moved = world.repo.rename(tmp_path / "renamed")
    git("clone", "-q", moved, world.repo, cwd=tmp_path)
    ok("worktree", "restore", "w", cwd=moved)
    assert sh(world.tree, "git rev-parse --git-common-dir") == f"{moved}/.git"
    assert not (world.repo / ".git" / "worktrees").exists()


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_home_with_store_and_repository_at_another_place(world, tmp_path, monkeypatch, how):
    """Below one folder, as in a HOME; the copy's original is gone, as on another machine."""
    removed(world)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for one in (world.repo, world.store):
        if how == "moved":
            one.rename(elsewhere / one.name)
        else:
            shutil.copytree(one, elsewhere / one.name, symlinks=True)
            shutil.rmtree(one)
    monkeypatch.setenv("PRODIGY_HOME", str(elsewhere / "store"))
    done = ok("worktree", "restore", "w", "--json", cwd=elsewhere / "repo").json
    assert done["worktree"] == f"{elsewhere}/store/worktrees/repo/w"
    assert Path(done["worktree"], "x.env").read_text() == "s\n"
    assert session_file(elsewhere / "store", "w")["metadata"]["repo"] == "repo"
    ok("verify", "--all", cwd=elsewhere / "repo")
    assert not world.repo.exists()
    assert not world.store.exists()


def test_odd_store_in_an_entry_is_passed_over(world):
    removed(world)
    (entry,) = entries.entries(str(world.store), pytest.fail)
    path = Path(entry.path, "entry.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "store": ["odd"]}))
    assert entries.read(entry.path).worktree == entry.worktree
