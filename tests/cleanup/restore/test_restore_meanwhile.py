"""worktree restore: what it goes back to has changed meanwhile: a branch, a folder, git's records."""

import os
import shutil
import threading
from pathlib import Path

import pytest
from support_cli import ok, session_file
from support_restore import (
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
from prodigy_git.store import locked


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


def test_an_empty_folder_is_in_nobodys_way(world):
    before = seen(world)
    remove(world)
    world.tree.mkdir()
    bring_back(world)
    assert difference(before, seen(world)) == []


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
