"""worktree restore: everything is as it was, and goes on as it would have."""

import contextlib
import os
import shutil
import socket
from pathlib import Path

import pytest
from support_cli import ok, refused, session_file, snapshot, standing_in
from support_restore import (
    World,
    bring_back,
    difference,
    remove,
    seen,
    sh,
    whole,
)

from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.errors import ProdigyError


def refusal(world, name="w", to=None):
    """Restore what cannot be restored; return what is said, and see that nothing has changed."""
    before = snapshot(world.repo.parent) if world.repo.exists() else None
    with pytest.raises(ProdigyError) as caught:
        bring_back(world, name, to)
    if before is not None:
        after = snapshot(world.repo.parent)
        assert {p for p in before | after if before.get(p) != after.get(p)} <= {
            path for path in before | after if "/locks" in path
        }
    assert "\n" not in str(caught.value)
    return str(caught.value)


ODD = """
printf 'modified\\n' >README; printf '*.env\\nignored/\\n' >.gitignore; git add .gitignore
printf 'a\\n' >staged; git add staged; printf 'b\\n' >>staged; printf 'x' >untracked
mkdir -p ignored/deep empty/emptier odd; printf 's' >secret.env; printf 'i' >ignored/deep/file
ln -s nowhere dangling; ln -s README link; ln staged hard; ln secret.env odd/hard
printf 'n' >"odd/new
line"; printf 'u' >odd/$(printf 'caf\\351'); printf 'e' >odd/run; chmod 755 odd/run; chmod 400 odd/hard
mkfifo pipe; mkdir closed; printf 'c' >closed/file; chmod 555 closed
git init -q nested; git -C nested commit -q --allow-empty -m nested; printf 'd' >nested/dirty
touch -d 2001-02-03 odd/run; touch -d 2002-03-04 odd; touch -h -d 2003-04-05 link
git update-index --assume-unchanged README; git commit -q --allow-empty -m own; git stash -q || :
git commit -q --allow-empty -m lone; git reset -q --soft HEAD~; printf 'z' >README
"""


def test_every_kind_of_file_comes_back_as_it_was(world):
    sh(world.tree, ODD)
    with socket.socket(socket.AF_UNIX) as one, standing_in(world.tree):
        one.bind("socket")
    with contextlib.suppress(OSError):  # the filesystem may have none
        os.setxattr(world.tree / "untracked", "user.colour", b"red\0")
    os.utime(world.tree, ns=(10**18, 10**18 + 123456789))
    before = seen(world)
    found = remove(world)
    assert not world.tree.exists()
    whole(world.repo)
    done = bring_back(world)
    assert difference(before, seen(world)) == []
    assert (done.worktree, done.source, done.notes) == (str(world.tree), "trash", [])
    assert not os.path.lexists(found.path)
    assert sh(world.repo, "git for-each-ref refs/prodigy") == ""
    whole(world.repo)


CLASH = """
git switch -q -c side; printf 'side\\n' >README; git commit -qam side; printf 'more' >f; git add f
git commit -qm more; git switch -q prodigy-w; printf 'other\\n' >README; git commit -qam other
"""
OPERATIONS = {
    "merge": ("! git merge -q side", "git add README; git commit -qm merged; test -f f"),
    "merge-abort": ("! git merge -q side", "git merge --abort; test $(cat README) = other"),
    "rebase": (
        "printf 'dirty' >g; git add g; ! git rebase --autostash side",
        "git add README; git rebase --continue; test -f g; test -f f",
    ),
    "rebase-apply": ("! git rebase --apply side", "git add README; git rebase --continue"),
    "cherry-pick": (
        "! git cherry-pick side~ side",
        "git add README; git cherry-pick --continue --no-edit; test -f f",
    ),
    "revert": (
        "git commit -q --allow-empty -m x; ! git revert --no-edit side~",
        "git add README; git revert --continue --no-edit || git revert --skip",
    ),
    "am": (
        "git format-patch -q -1 side~ --stdout >p; ! git am -q p",
        "printf 'm' >README; git add README; git am --continue",
    ),
    "bisect": (
        "git bisect start; git bisect bad; git bisect good HEAD~1",
        "git bisect log; git bisect reset; test $(git branch --show-current) = prodigy-w",
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_under_way_goes_on(world, operation):
    begin, end = OPERATIONS[operation]
    quiet = "exec >/dev/null 2>&1; export GIT_EDITOR=true; "
    sh(world.tree, CLASH + quiet + begin)
    before = seen(world)
    remove(world)
    whole(world.repo)
    assert bring_back(world).notes == []
    assert difference(before, seen(world)) == []
    sh(world.tree, quiet + end)
    assert "## prodigy-w" in sh(world.tree, "git status -b --porcelain")
    whole(world.repo)


def test_what_is_committed_in_it_is_recorded_again(world, events):
    ok("install", cwd=world.repo)
    sh(world.tree, "git commit -q --allow-empty -m one")
    before = session_file(world.store, "w")
    remove(world)
    assert session_file(world.store, "w")["status"] == "Cancelled"
    bring_back(world)
    after = session_file(world.store, "w")
    assert {**after, "updated_at": ""} == {**before, "updated_at": ""}
    sh(world.tree, "git commit -q --allow-empty -m two")
    log = events("j")
    assert [e["subject"] for e in log if e["type"] == "CommitCreated"] == ["one", "two"]
    (told,) = [e for e in log if e["type"] == "WorktreeRestored"]
    assert (told["session_id"], told["worktree_name"]) == ("w", "w")
    ok("verify", cwd=world.repo)
    (row,) = [r for r in ok("worktree", "ls", "--json", cwd=world.repo).json if r["name"] == "w"]
    assert (row["worktree"], row["status"]) == (str(world.tree), "Running")
    ok("finish", "w", cwd=world.repo)
    ended = session_file(world.store, "w")
    remove(world)
    bring_back(world)
    assert session_file(world.store, "w")["completed_at"] == ended["completed_at"]
    assert [e["type"] for e in events("j")].count("WorktreeRestored") == 2


@pytest.mark.parametrize(
    ("script", "said", "ends_on"),
    [
        ("git branch -q -D prodigy-w", "made again", "prodigy-w"),
        ("git update-ref refs/heads/prodigy-w main", "has moved", ""),
        ("git worktree add -q ../else prodigy-w", "checked out at", ""),
    ],
)
def test_the_branch_of_a_stopped_rebase_meanwhile(world, script, said, ends_on):
    sh(world.tree, CLASH + "! git rebase side 2>/dev/null")
    remove(world)
    sh(world.repo, script)
    before = sh(world.repo, "git rev-parse -q --verify prodigy-w || true")
    (note,) = bring_back(world).notes
    assert said in note
    sh(world.tree, "git add README; GIT_EDITOR=true git rebase --continue")
    assert sh(world.tree, "git branch --show-current") == ends_on
    if not ends_on:
        assert sh(world.repo, "git rev-parse prodigy-w") == before


@pytest.mark.parametrize("where", ["relative", "shm", "inside", "bad"])
def test_another_path(world, where, tmp_path, git):
    sh(world.repo, "git init -q ../lib; git -C ../lib commit -q --allow-empty -m lib")
    sh(world.tree, ODD + "git submodule --quiet add ../../../../lib sub; git -C sub tag mine")
    before = seen(world)
    remove(world)
    notes = []
    if where == "relative":
        target = tmp_path / "new" / "place"
        with standing_in(tmp_path):
            bring_back(world, to="new/place")
    elif where == "inside":
        target = world.repo / "inner"
        notes = bring_back(world, to=target).notes
        assert "inside the worktree" in notes[0]
    elif where == "bad":
        file = tmp_path / "file"
        file.write_text("")
        for bad in (file / "w", world.repo / ".git/worktrees/w", world.store / "trash/w"):
            assert "--to" in refusal(world, to=bad)
        return
    else:
        shm = Path("/dev/shm")
        if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("NOT TESTED: another filesystem; /dev/shm is none")
        target = shm / f"prodigy-{os.getpid()}" / "w"
        notes = bring_back(world, to=target).notes
    try:
        moved = World(world.repo, world.store, target)
        after = seen(moved)
        for found in (before, after):
            for name in (b".git", b"sub/.git"):
                del found["folder"][name]
        assert difference({"folder": before["folder"]}, after) == []
        assert sh(target, "git status --porcelain --ignored") == sh(
            target, "git status --porcelain --ignored"
        )
        assert after["status"] == before["status"]
        assert (
            sh(target / "sub", "git tag; git rev-parse --show-toplevel")
            == f"mine\n{target / 'sub'}"
        )
        sh(target, "git submodule status; git submodule update")
        sh(world.repo, "git worktree prune")
        assert f"worktree {target}\n" in sh(world.repo, "git worktree list --porcelain")
    finally:
        if where == "shm":
            shutil.rmtree(target.parent, ignore_errors=True)


def test_the_newest_of_several(world):
    remove(world)
    first = entries.entries(str(world.store), print)
    bring_back(world)
    sh(world.tree, "printf 'newer' >file")
    before = seen(world)
    remove(world)
    # What an earlier restore never got to remove.
    newest = entries.entries(str(world.store), print)[0].path
    shutil.copytree(newest, first[0].path)
    document = Path(first[0].path, "entry.json")
    document.write_text(document.read_text().replace(newest, first[0].path))
    shutil.rmtree(f"{first[0].path}/worktree")
    os.mkdir(f"{first[0].path}/worktree")
    bring_back(world)
    assert difference(before, seen(world)) == []
    assert [one.path for one in entries.entries(str(world.store), print)] == [first[0].path]


def test_conflicts_in_the_index_are_gone_with_it(world):
    sh(world.tree, CLASH + "! git merge side >/dev/null")
    found = remove(world)
    shutil.rmtree(found.folder)
    shutil.rmtree(found.git)
    notes = bring_back(world).notes
    assert any("conflicts" in note for note in notes)
    assert "<<<<<<<" in (world.tree / "README").read_text()
    whole(world.repo)


def test_the_command(world):
    remove(world)
    assert ok("worktree", "restore", "w", "--json", cwd=world.repo).json == {
        "session_id": "w", "worktree": str(world.tree), "source": "trash", "notes": [],
    }  # fmt: skip
    remove(world)
    sh(world.repo, "git branch -q -D prodigy-w")
    done = ok("worktree", "restore", "w", cwd=world.repo)
    assert done.out == f"{world.tree}\n"
    assert "made again" in done.err
    assert "not in the trash" in refused("worktree", "restore", "w", cwd=world.repo)
    assert "not a safe name" in refused("worktree", "restore", "../w", cwd=world.repo)
