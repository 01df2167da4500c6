"""What is in a restore's way: taken paths, missing objects, a repository that is gone."""

import shutil

import pytest
from support_cli import ok, session_file
from support_restore import (
    World,
    bring_back,
    difference,
    remove,
    seen,
    sh,
    whole,
)
from test_restore import refusal


def _take_by_worktree(path, repo):
    sh(repo, f"git worktree add -q --detach '{path}'")


TAKEN = {
    "folder": lambda path, repo: (path.mkdir(), (path / "mine").write_text("")),
    "file": lambda path, repo: path.write_text(""),
    "link": lambda path, repo: path.symlink_to("nowhere"),
    "worktree": _take_by_worktree,
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_path_that_is_taken(world, what):
    (world.tree / "untracked").write_text("x")
    before = seen(world)
    remove(world)
    TAKEN[what](world.tree, world.repo)
    assert "--to" in refusal(world)
    there = world.repo.parent / "there" / "w2"
    bring_back(world, to=there)
    after = seen(World(world.repo, world.store, there))
    assert {**before["folder"], b".git": 0} == {**after["folder"], b".git": 0}
    assert after["status"] == before["status"]
    assert session_file(world.store, "w")["metadata"]["worktree_path"] == str(there)
    sh(there, "git commit -q --allow-empty -m here")
    ok("verify", "--fix", cwd=world.repo)


def test_a_path_that_git_has_registered_for_another(world):
    remove(world)
    _take_by_worktree(world.tree, world.repo)
    world.tree.rename(world.repo.parent / "away")
    assert "bring that back" in refusal(world)


def _loose(repo, sha):
    return repo / ".git/objects" / sha[:2] / sha[2:]


def test_objects_that_are_missing(world):
    sh(world.tree, "printf 'f' >f; git add f; git commit -qm first")
    # Detached, since a branch has a reflog of its own, which is not the worktree's.
    sh(
        world.tree,
        "git switch -q --detach; git commit -q --allow-empty -m lone; git reset -q --hard HEAD~",
    )
    lone = sh(world.tree, "git rev-parse ORIG_HEAD")
    sh(world.tree, "printf 'gone' >g; git add g; printf 'new' >g; printf 'kept' >h; git add h")
    blobs = [sh(world.tree, f"git rev-parse :{name}") for name in "gh"]
    sh(world.tree, "git update-ref refs/worktree/mine ORIG_HEAD")
    before = seen(world)
    remove(world)
    shutil.rmtree(world.repo / ".git" / "prodigy-salvage")
    for sha in (lone, *blobs):
        _loose(world.repo, sha).unlink()
    done = bring_back(world)
    assert {note.split()[0] for note in done.notes} >= {"ORIG_HEAD", "refs/worktree/mine", "1"}
    whole(world.repo)
    sh(world.tree, "git log -g --oneline; git stash list")
    assert sh(world.tree, "git log -1 --format=%s") == "first"
    after = seen(world)
    assert difference({"folder": before["folder"]}, after) == []
    assert sh(world.tree, "git status --porcelain") == "A  h\n?? g"
    assert sh(world.tree, "git cat-file blob :h") == "kept"
    assert lone in (world.private / "missing/logs/HEAD").read_text()
    ok("verify", cwd=world.repo)


def test_a_reflog_whose_history_has_a_gap(world):
    sh(world.tree, "git switch -q --detach; git commit -q --allow-empty -m below")
    sh(world.tree, "git commit -q --allow-empty -m above")
    below = sh(world.tree, "git rev-parse HEAD~")
    sh(world.tree, "git reset -q --hard HEAD~2; git update-ref -d ORIG_HEAD")
    remove(world)
    shutil.rmtree(world.repo / ".git" / "prodigy-salvage")
    _loose(world.repo, below).unlink()
    # The commit below, the one above, and where `reset` came from.
    assert "3 lines" in bring_back(world).notes[0]
    whole(world.repo)
    assert sh(world.tree, "git log -g --format=%gs").splitlines()[0].startswith("reset")


@pytest.mark.parametrize("way", ["fetched", "salvaged"])
def test_a_head_that_is_missing_moves_nothing(world, way):
    sh(world.tree, "git commit -q --allow-empty -m own; git switch -q --detach")
    head = sh(world.tree, "git rev-parse HEAD")
    before = seen(world)
    remove(world)
    sh(world.repo, "git branch -q -D prodigy-w")
    salvage = world.repo / ".git" / "prodigy-salvage"
    salvage.rename(world.repo / "away")
    data = _loose(world.repo, head).read_bytes()
    _loose(world.repo, head).unlink()
    assert head in refusal(world)
    # Either is enough: the object in the repository, or the salvage.
    if way == "fetched":
        _loose(world.repo, head).write_bytes(data)
    else:
        (world.repo / "away").rename(salvage)
    bring_back(world)
    sh(world.repo, f"git branch prodigy-w {head}")
    assert difference(before, seen(world)) == []


def test_a_repository_that_is_gone_for_a_while(world):
    before = seen(world)
    found = remove(world)
    world.repo.rename(world.repo.parent / "away")
    text = refusal(world)
    assert "gone or was moved" in text
    assert found.path in text
    (world.repo.parent / "away").rename(world.repo)
    bring_back(world)
    assert difference(before, seen(world)) == []


def test_names_that_cannot_be_restored(world):
    assert "nothing of nobody" in refusal(world, "nobody")
    assert "not in the trash" in refusal(world)
    remove(world)
    bring_back(world)
    assert "not in the trash" in refusal(world)
