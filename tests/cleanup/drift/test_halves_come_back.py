"""Halves of worktrees that were put away, or stand alone: restored, they are one again."""

import shutil

import pytest
from support_cli import rewrite_session, session_file, snapshot
from support_drift import (
    entries,
    find,
    private_of,
    repair,
)  # fmt: skip
from support_restore import restored
from test_holding_back import HALVES, back, end, no_folder


@pytest.mark.parametrize("take", HALVES)
def test_halves_that_were_put_away_come_back_together(git, repo, store, made, time, take):
    """The missing half turns up again, after the other one went to the trash."""
    (made / "staged").write_text("staged")
    git("add", "staged", cwd=made)
    status = git("status", "--porcelain", "--ignored", cwd=made)
    reflog = git("reflog", cwd=made)
    end(store)
    take(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    assert [bool(one.done) for one in repair(store)] == [True]
    back(git, repo, store, made)
    done = restored(store, "w1", broken=print)
    assert done.worktree == str(made)
    assert git("status", "--porcelain", "--ignored", cwd=made) == status
    assert git("reflog", cwd=made) == reflog
    assert (made / "x.env").read_text() == "secret"
    assert find(store) == []
    assert git("worktree", "list", cwd=repo).count(str(made)) == 1
    assert session_file(store, "w1")["status"] == "Completed"


def test_both_halves_in_entries_of_their_own_are_joined(git, repo, store, made, time):
    (made / "staged").write_text("staged")
    git("add", "staged", cwd=made)
    status = git("status", "--porcelain", "--ignored", cwd=made)
    reflog = git("reflog", cwd=made)
    end(store)
    no_folder(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    repair(store)
    back(git, repo, store, made)  # the disk is there again, before anybody restored the other half
    repair(store)
    time.pass_days(2)
    done = repair(store)
    assert [(one.kind, one.error) for one in done] == [("folder", "")]
    assert len(entries(store)) == 2
    restored(store, "w1", broken=print)
    assert git("status", "--porcelain", "--ignored", cwd=made) == status
    assert git("reflog", cwd=made) == reflog
    assert [one.state for one in entries(store) if one.state != "emptied"] == []
    assert find(store) == []


def test_folder_that_stands_where_it_belongs_gets_a_registration(git, repo, store, made):
    """Cloned anew, or pruned: the folder is all there is, and it was never moved."""
    shutil.rmtree(private_of(git, made))
    before = snapshot(made)
    done = restored(store, "w1", broken=print)
    assert {k: v for k, v in snapshot(made).items() if not k.endswith("/.git")} == {
        k: v for k, v in before.items() if not k.endswith("/.git")
    }
    assert done.worktree == str(made)
    assert git("symbolic-ref", "--short", "HEAD", cwd=made) == "prodigy-w1"
    assert git("status", "--porcelain", cwd=made) == "?? .gitignore\n?? work"
    assert any("from here on it is session" in text for text in done.notes)
    assert find(store) == []
    with pytest.raises(Exception, match="belongs to session"):
        restored(store, "w1", broken=print)


def test_folder_whose_commit_git_does_not_have(git, repo, store, made):
    rewrite_session(
        store, "w1", metadata={"branch": "gone", "last_commit": "1" * 40, "base_commit": ""}
    )
    shutil.rmtree(private_of(git, made))
    before = snapshot(store, repo)
    with pytest.raises(Exception, match="has neither branch gone nor the last commit"):
        restored(store, "w1", broken=print)
    assert {k for k in snapshot(store, repo) if "/locks/" not in k} == {
        k for k in before if "/locks/" not in k
    }
