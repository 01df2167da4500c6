"""worktree restore: everything as it was; and what happens where it cannot be."""

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest
from support_cli import ok, refused, session_file, snapshot, standing_in
from support_restore import (
    World,
    bring_back,
    difference,
    remove,
    restored,
    seen,
    sh,
    whole,
)

from prodigy_git.cleanup.records import by_age
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.errors import ProdigyError
from prodigy_git.store import locked


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


def _head(world):
    return sh(world.tree, "git symbolic-ref -q HEAD || git rev-parse HEAD")


BRANCHES = {
    "as it was": ("true", None),
    "gone": ("git branch -q -D prodigy-w", "made again"),
    "moved": ("git update-ref refs/heads/prodigy-w main", "has moved"),
    "elsewhere": ("git worktree add -q ../else prodigy-w", "checked out at"),
    "rebased elsewhere": (
        "git worktree add -q ../else prodigy-w; cd ../else; git commit -q --allow-empty -m x;"
        "GIT_SEQUENCE_EDITOR='sed -i 1ibreak' git rebase -qi main 2>/dev/null;"
        "git update-ref refs/heads/prodigy-w $HEAD",
        "checked out at",
    ),
    "name taken": (
        "git branch -q -D prodigy-w; git branch prodigy-w/below",
        "cannot be made again",
    ),
}


@pytest.mark.parametrize("case", BRANCHES)
def test_its_branch_meanwhile(world, case):
    script, said = BRANCHES[case]
    sh(world.tree, "git commit -q --allow-empty -m own; printf 'x' >staged; git add staged")
    head = sh(world.tree, "git rev-parse HEAD")
    before = seen(world)
    remove(world)
    sh(world.repo, script, HEAD=head)
    refs = sh(world.repo, "git for-each-ref | grep -v refs/prodigy")
    done = bring_back(world)
    assert sh(world.tree, "git rev-parse HEAD") == head
    detached = said not in (None, "made again")
    assert _head(world) == (head if detached else "refs/heads/prodigy-w")
    assert sh(world.tree, "git status --porcelain") == "A  staged"
    after = seen(world)
    names = {
        name for name in before["private"] if before["private"][name] != after["private"].get(name)
    }
    assert names == ({b"HEAD"} if detached else set())
    if said is None:
        assert done.notes == []
    else:
        (note,) = done.notes
        assert said in note
    if case != "gone":
        assert sh(world.repo, "git for-each-ref") == refs
    whole(world.repo)
    ok("verify", cwd=world.repo)


def test_an_unborn_branch_that_has_a_commit_by_now(world):
    sh(world.tree, "git switch -q --orphan fresh; printf 'x' >staged; git add staged")
    remove(world)
    sh(world.repo, "git branch fresh main")
    (note,) = bring_back(world).notes
    assert "fresh-restored" in note
    assert _head(world) == "refs/heads/fresh-restored"
    assert sh(world.tree, "git status --porcelain") == "A  staged"
    assert sh(world.repo, "git rev-parse fresh") == sh(world.repo, "git rev-parse main")


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


def test_an_empty_folder_is_in_nobodys_way(world):
    before = seen(world)
    remove(world)
    world.tree.mkdir()
    bring_back(world)
    assert difference(before, seen(world)) == []


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


@pytest.mark.parametrize("how", ["cleaned", "deleted"])
def test_a_session_file_that_was_cleaned_away(world, how):
    ok("finish", "w", cwd=world.repo)
    before = session_file(world.store, "w")
    remove(world)
    if how == "cleaned":
        assert by_age.clean_sessions(str(world.store), -(10**9), dry_run=False, broken=print)
    else:
        (world.store / "sessions/w.json").unlink()
    done = bring_back(world)
    after = session_file(world.store, "w")
    assert after["status"] == "Completed"
    assert after["metadata"]["worktree_path"] == str(world.tree)
    if how == "cleaned":
        assert after["started_at"] == before["started_at"]
        assert after["metadata"] == before["metadata"]
    else:
        assert "new one" in done.notes[0]
    sh(world.tree, "git commit -q --allow-empty -m x")
    ok("verify", "--fix", cwd=world.repo)


def test_private_directories_that_git_removed_or_gave_away(world):
    before = seen(world)
    remove(world)
    assert not (world.repo / ".git/worktrees").exists() or not os.listdir(
        world.repo / ".git/worktrees"
    )
    shutil.rmtree(world.repo / ".git/worktrees", ignore_errors=True)
    bring_back(world)
    assert difference(before, seen(world)) == []
    remove(world)
    sh(world.repo, "git worktree add -q --detach ../other/w")
    (note,) = bring_back(world).notes
    assert "w1" in note
    assert world.private.name == "w1"
    sh(world.repo, "git worktree prune; git worktree lock ../other/w")
    after = seen(world)
    assert after["status"] == before["status"]
    assert not (world.private / "locked").exists()


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


def test_a_restore_waits_for_who_holds_the_repository(world):
    before = seen(world)
    remove(world)
    done = []
    thread = threading.Thread(target=lambda: done.append(bring_back(world)))
    with locked.repository(str(world.store), "repo"):
        thread.start()
        thread.join(0.3)
        assert not world.tree.exists()
    thread.join()
    assert done
    assert difference(before, seen(world)) == []


def test_a_lock_of_the_users_own(world):
    sh(world.repo, f"git worktree lock --reason 'mine é' '{world.tree}'")
    before = seen(world)
    remove(world)
    bring_back(world)
    assert difference(before, seen(world)) == []


CONTENT = """
printf 'tracked\\n' >t; printf '*.env\\n' >.gitignore; git add .; git commit -qm own
printf 'staged\\n' >t; printf 'new\\n' >new; git add t new; printf 'modified\\n' >t
printf 'untracked\\n' >u; mkdir d; printf 'e' >d/run; chmod 755 d/run; ln -s t l; printf 's' >x.env
printf 'n' >"new
line"; printf 'u' >$(printf 'caf\\351'); rm README
"""


@pytest.mark.parametrize("left", ["folder", "git", "nothing", "emptied", "damaged", "no entry"])
def test_what_git_holds(world, left, events):
    ok("install", cwd=world.repo)
    sh(world.tree, CONTENT)
    before = seen(world)
    status = sh(world.tree, "git status --porcelain=v1")
    found = remove(world)
    whole(world.repo)
    if left in ("folder", "nothing", "emptied"):
        shutil.rmtree(found.folder)
    if left in ("git", "nothing", "emptied"):
        shutil.rmtree(found.git)
    if left == "emptied":
        found.state = "emptied"
        entries.write(found)
    if left == "damaged":
        Path(f"{found.path}/entry.json").write_text("{")
        done = restored(world.store, "w", broken=print)
    else:
        if left == "no entry":
            shutil.rmtree(world.store / "trash")
        done = bring_back(world)
    after = seen(world)
    assert sh(world.tree, "git status --porcelain=v1") == status
    assert sh(world.tree, "git symbolic-ref HEAD") == "refs/heads/prodigy-w"
    gone = {b"x.env"} if left not in ("git", "damaged") else set()
    assert set(before["folder"]) - set(after["folder"]) == gone
    assert done.source == ("trash" if left == "damaged" else "salvage")
    contents = {n: (a[0], a[2]) for n, a in before["folder"].items() if n not in gone | {b".git"}}
    assert {n: (a[0], a[2]) for n, a in after["folder"].items() if n != b".git"} == contents
    if gone:
        assert any("ignored" in note for note in done.notes)
        assert sh(world.repo, "git for-each-ref refs/prodigy") != ""
    if left == "folder":
        assert difference({"private": before["private"]}, after) == []
    sh(world.tree, "git commit -q --allow-empty -m after")
    log = [e for e in events("j") if e["type"] == "CommitCreated"]
    late = log
    if left == "no entry":
        (other,) = {
            r["session_id"] for r in ok("worktree", "ls", "--json", cwd=world.repo).json
        } - {None, "w"} or {""}
        late = [e for e in events(other) if e["type"] == "CommitCreated"]
        log += late
    assert [e["subject"] for e in log] == ["own", "after"]
    ok("verify", cwd=world.repo)
    whole(world.repo)


def test_an_entry_of_which_nothing_is_left(world):
    sh(world.tree, "printf 'x' >u")
    found = remove(world)
    shutil.rmtree(found.folder)
    sh(world.repo, f"git update-ref -d {found.salvage_ref}; rm -r .git/prodigy-salvage")
    # HEAD's commit is there: what it holds is better than nothing, and it is said.
    done = bring_back(world)
    assert any("missing" in note for note in done.notes)
    assert sh(world.tree, "git status --porcelain") == ""


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
