"""worktree clean: what goes to the trash, what stays, and what it says."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support_cli import (
    call,
    new,
    ok,
    refused,
    snapshot,
    standing_in,
    write_hooks,
)
from support_worktree_clean import results_of


def test_worktrees_whose_folder_is_away_stay_registered(repo, git, finished, store):
    away = new(repo, "away")
    shutil.move(away["worktree"], store / "stick")
    ok("worktree", "clean", "w1", cwd=repo)
    shutil.move(store / "stick", away["worktree"])
    assert git("symbolic-ref", "--short", "HEAD", cwd=away["worktree"]) == "prodigy-away"


def test_all_takes_the_finished_ones_of_this_repository_only(repo, git, finished, tmp_path):
    git("clone", "-q", repo, tmp_path / "second", cwd=tmp_path)
    elsewhere = new(tmp_path / "second", "w2")
    ok("finish", "w2", cwd=repo)
    running = new(repo, "w3")
    ok("worktree", "clean", "--all", "--min-age", "0s", cwd=repo)
    assert not finished.exists()
    assert Path(elsewhere["worktree"]).is_dir()
    assert Path(running["worktree"]).is_dir()


def test_from_inside_the_worktree_itself(repo, made, git):
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=made["worktree"])
    with standing_in(made["worktree"]):
        ok("finish")
        done = ok("worktree", "clean", "--all")
    assert "change into another folder" in done.err
    assert not Path(made["worktree"]).exists()


def test_a_worktree_whose_private_folder_has_another_name(repo, git, store, events):
    """git's name for it and ours differ where a folder of that name was registered before."""
    git("worktree", "add", "-q", store.parent / "x" / "w1", cwd=repo)
    made = new(repo, "w1", "--branch", "another")
    private = Path(git("rev-parse", "--absolute-git-dir", cwd=made["worktree"]))
    assert private.name != "w1"
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert not private.exists()
    assert git("status", "--porcelain", cwd=store.parent / "x" / "w1") == ""


@pytest.mark.parametrize("hooked", [False, True], ids=["new-worktree", "worktree add"])
@pytest.mark.parametrize(
    "command",
    [
        ("worktree", "clean", "NAME"),
        ("worktree", "clean", "-f", "NAME"),
        ("worktree", "clean", "--all"),
        ("sessions", "clean", "--older-than", "0s"),
        ("events", "clean", "--older-than", "0s"),
        ("clean", "--sessions-older-than", "0s", "--events-older-than", "0s"),
    ],
    ids=" ".join,
)
def test_dry_run_changes_nothing(repo, store, git, command, hooked, tmp_path):
    if hooked:
        write_hooks(repo / ".git" / "hooks")
        tree = tmp_path / "tree"
        git("worktree", "add", "-q", "-b", "by-hand", tree, cwd=repo)
        (one,) = ok("sessions", "list", "--json").json
        name = one["session_id"]
        for hook in (repo / ".git" / "hooks").iterdir():
            hook.unlink()
    else:
        name = "w1"
        tree = Path(new(repo, "w1")["worktree"])
    ok("finish", name, cwd=repo)
    # Something that a drain would record, and an index that a status would rewrite.
    git("commit", "-q", "--allow-empty", "-m", "unrecorded", cwd=tree)
    os.utime(tree / "README", (1, 1))
    (tree / "untracked").write_text("x")
    before = snapshot(store, repo, tree)
    done = call(*(name if word == "NAME" else word for word in command), "--dry-run", cwd=repo)
    assert "Traceback" not in done.err
    assert "internal" not in done.err
    assert snapshot(store, repo, tree) == before


def test_exit_codes_and_json_of_several(repo, git, finished):
    new(repo, "w2")
    done = call("worktree", "clean", "w1", "w2", "nobody", "--json", cwd=repo)
    assert done.code == 1
    assert [(o["name"], o["result"]) for o in done.json] == [
        ("w1", "cleaned"), ("w2", "refused"), ("nobody", "failed"),
    ]  # fmt: skip
    assert not finished.exists()
    assert call("worktree", "clean", "w1", cwd=repo).code == 1  # has none any more


def test_the_trash_entry_says_what_it_is(repo, finished, git, store):
    head = git("rev-parse", "HEAD", cwd=finished)
    (one,) = ok("worktree", "clean", "w1", "--json", cwd=repo).json
    entry = Path(one["trash_path"])
    assert entry.parent == store / "trash" / "repo" / "w1"
    fields = json.loads((entry / "entry.json").read_text())
    assert fields["head"] == head
    assert fields["branch"] == "prodigy-w1"
    assert fields["salvage_ref"] == one["salvage_ref"]
    assert {"entry.json", "worktree", "git"} <= set(os.listdir(entry))
    assert git("rev-parse", one["salvage_ref"], cwd=repo) == head


def test_by_path_it_is_the_sessions(repo, finished):
    assert results_of(str(finished), cwd=repo) == {"w1": "cleaned"}


def test_purge_asks_and_deletes_for_good(repo, finished, store):
    assert "--yes" in refused("worktree", "clean", "w1", "--purge", cwd=repo, code=2)
    assert finished.is_dir()
    (finished / "README").write_text("kept by git alone")
    ok("worktree", "clean", "w1", "-f", "--purge", "--dry-run", cwd=repo)
    (one,) = ok("worktree", "clean", "w1", "-f", "--purge", "--yes", "--json", cwd=repo).json
    assert (one["result"], one["purged"], one["trash_path"]) == ("cleaned", True, None)
    assert not finished.exists()
