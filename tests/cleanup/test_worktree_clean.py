"""worktree clean: what is refused, what goes to the trash, and what stays."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import (
    call,
    new,
    ok,
    refused,
    session_file,
    snapshot,
    standing_in,
    write_hooks,
)
from support_removal import salvaged


@pytest.fixture
def finished(made, repo):
    ok("finish", "w1", cwd=repo)
    return Path(made["worktree"])


def _merge_under_way(git, tree, repo):
    git("checkout", "-q", "-b", "side", "HEAD", cwd=tree)
    (tree / "README").write_text("one side\n")
    git("commit", "-qam", "side", cwd=tree)
    git("checkout", "-q", "prodigy-w1", cwd=tree)
    (tree / "README").write_text("the other\n")
    git("commit", "-qam", "other", cwd=tree)


def _modified(git, tree, repo):
    (tree / "README").write_text("changed\n")


def _staged(git, tree, repo):
    (tree / "staged").write_text("x\n")
    git("add", "staged", cwd=tree)


def _untracked(git, tree, repo):
    (tree / "new").write_text("x\n")


def _untracked_hidden(git, tree, repo):
    git("config", "status.showUntrackedFiles", "no", cwd=repo)
    (tree / "new").write_text("x\n")


def _merge(git, tree, repo):
    _merge_under_way(git, tree, repo)
    git("merge", "side", cwd=tree, check=False)


def _rebase(git, tree, repo):
    _merge_under_way(git, tree, repo)
    git("rebase", "side", cwd=tree, check=False)


def _cherry_pick(git, tree, repo):
    _merge_under_way(git, tree, repo)
    git("cherry-pick", "side", cwd=tree, check=False)


def _bisect(git, tree, repo):
    git("bisect", "start", cwd=tree)


def _detached(git, tree, repo):
    git("checkout", "-q", "--detach", cwd=tree)
    git("commit", "-q", "--allow-empty", "-m", "mine alone", cwd=tree)


def _orphan(git, tree, repo):
    git("checkout", "-q", "--orphan", "unborn", cwd=tree)


REASONS = [
    (_modified, "1 modified"),
    (_staged, "1 staged"),
    (_untracked, "1 untracked"),
    (_untracked_hidden, "1 untracked"),
    (_merge, "a merge is under way"),
    (_rebase, "a rebase is under way"),
    (_cherry_pick, "a cherry-pick is under way"),
    (_bisect, "a bisect is under way"),
    (_detached, "1 commit that no other ref reaches"),
]


@pytest.mark.parametrize(("make", "reason"), REASONS, ids=[m.__name__ for m, _ in REASONS])
def test_refused_with_the_reason_and_forced_kept_whole(
    repo, store, git, finished, make, reason, events
):
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("ignored\n")
    (finished / "ignored").write_bytes(b"\x00precious\xff")
    make(git, finished, repo)
    before = snapshot(finished)
    dry = call("worktree", "clean", "w1", "--dry-run", cwd=repo)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert (done.code, dry.code) == (1, 1)
    assert reason in done.out
    assert reason in dry.out
    assert snapshot(finished) == before
    assert reason in ok("worktree", "clean", "--all", cwd=repo).out
    assert finished.is_dir()

    (one,) = ok("worktree", "clean", "-f", "w1", "--json", cwd=repo).json
    assert one["result"] == "cleaned"
    assert not finished.exists()
    kept = Path(one["trash_path"]) / "worktree"
    expected = {os.path.relpath(path, finished): state for path, state in before.items()}
    expected[".git.in-trash"] = expected.pop(".git")
    assert {os.path.relpath(path, kept): s for path, s in snapshot(kept).items()} == expected
    assert str(finished) not in git("worktree", "list", cwd=repo)
    assert git("fsck", "--no-dangling", cwd=repo) == ""
    sha, more = salvaged(repo, one["salvage_ref"])
    assert git("cat-file", "-t", sha, cwd=repo, env=more) == "commit"
    assert [e["type"] for e in events("j")][-1] == "WorktreeCleaned"


def test_the_salvage_holds_what_was_modified_staged_and_untracked(repo, git, finished):
    _modified(git, finished, repo)
    _staged(git, finished, repo)
    (finished / "sub").mkdir()
    (finished / "sub" / "untracked").write_bytes(b"\x00\r\n")
    head = git("rev-parse", "HEAD", cwd=finished)
    (one,) = ok("worktree", "clean", "-f", "w1", "--json", cwd=repo).json
    ref = one["salvage_ref"]
    assert ref.startswith("refs/prodigy/salvage/w1/")
    sha, more = salvaged(repo, ref)
    assert git("show", f"{sha}:README", cwd=repo, env=more) == "changed"
    assert git("show", f"{sha}:staged", cwd=repo, env=more) == "x"
    stored = git("rev-parse", f"{sha}:sub/untracked", cwd=repo, env=more)
    assert stored == git("hash-object", "--stdin", cwd=repo, input="\x00\r\n")
    assert git("rev-parse", f"{sha}^", cwd=repo, env=more) == head


def test_a_running_session_is_refused(repo, made):
    assert "Running" in call("worktree", "clean", "w1", cwd=repo).out
    assert Path(made["worktree"]).is_dir()
    assert "Running" in ok("worktree", "clean", "--all", cwd=repo).out
    assert Path(made["worktree"]).is_dir()


def test_forced_a_running_session_becomes_cancelled(repo, made, store):
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    fields = session_file(store, "w1")
    assert fields["status"] == "Cancelled"
    assert Path(fields["metadata"]["trash_path"]).is_dir()


def test_a_locked_one_is_refused_even_if_forced(repo, git, finished):
    git("worktree", "lock", "--reason", "on a stick", finished, cwd=repo)
    done = call("worktree", "clean", "-f", "w1", cwd=repo)
    assert done.code == 1
    assert "on a stick" in done.out
    assert finished.is_dir()


def test_an_unborn_branch_is_refused_with_a_reason(repo, git, finished):
    _orphan(git, finished, repo)
    git("rm", "-rfq", "--cached", ".", cwd=finished)
    before = snapshot(finished)
    done = call("worktree", "clean", "w1", cwd=repo)
    assert done.code == 1
    assert "exit status" not in done.out
    assert snapshot(finished) == before


def test_the_main_worktree_is_refused(repo, git):
    write_hooks(repo / ".git" / "hooks")
    git("commit", "-q", "--allow-empty", "-m", "registers", cwd=repo)
    (one,) = ok("sessions", "list", "--json", cwd=repo).json
    ok("finish", cwd=repo)
    ok("worktree", "clean", "--all", cwd=repo)
    for force in ((), ("-f",)):
        done = call("worktree", "clean", one["session_id"], *force, cwd=repo)
        assert done.code == 1
        assert "main worktree" in done.out
    assert git("status", "--porcelain", cwd=repo) == ""


def test_a_branch_contained_in_its_base_goes_and_others_stay(repo, git, finished):
    other = new(repo, "w2")
    (Path(other["worktree"]) / "own").write_text("x")
    git("add", "own", cwd=other["worktree"])
    git("commit", "-qm", "own", cwd=other["worktree"])
    ok("finish", "w2", cwd=repo)
    said = ok("worktree", "clean", "--all", "--min-age", "0s", "--json", cwd=repo).json
    outcomes = {o["name"]: o for o in said}
    assert outcomes["w1"]["branch_deleted"] == "prodigy-w1"
    assert outcomes["w2"]["branch_deleted"] is None
    branches = git("branch", "--format=%(refname:short)", cwd=repo).split()
    assert branches == ["main", "prodigy-w2"]


def test_a_branch_that_is_checked_out_elsewhere_stays(repo, git, finished, tmp_path):
    git("worktree", "add", "-qf", tmp_path / "twin", "prodigy-w1", cwd=repo)
    ok("worktree", "clean", "w1", cwd=repo)
    assert git("rev-parse", "HEAD", cwd=tmp_path / "twin") == git("rev-parse", "HEAD", cwd=repo)
    assert "prodigy-w1" in git("branch", cwd=repo)


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


@pytest.mark.parametrize("arguments", [(), ("--all", "w1")])
def test_usage(repo, arguments):
    refused("worktree", "clean", *arguments, cwd=repo, code=2)


@pytest.mark.parametrize("name", ["../../x", "-x/..", "a/b", ""])
def test_bad_names(repo, made, name):
    done = call("worktree", "clean", "--", name, cwd=repo)
    assert done.code == 1
    assert "not a safe name" in done.out
    assert Path(made["worktree"]).is_dir()


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


def _results(*arguments, cwd, code=0):
    done = call("worktree", "clean", *arguments, "--json", cwd=cwd)
    assert done.code == code, done
    return {one["name"]: one["result"] for one in done.json}


def test_unlock(repo, git, finished):
    git("worktree", "lock", finished, cwd=repo)
    assert _results("w1", "-f", cwd=repo, code=1) == {"w1": "refused"}
    assert _results("w1", "--unlock", cwd=repo) == {"w1": "cleaned"}


def test_a_branch_that_the_session_did_not_make_stays_also_if_integrated(repo, git, finished):
    git("branch", "develop", "main", cwd=repo)
    git("checkout", "-q", "develop", cwd=finished)
    (one,) = ok("worktree", "clean", "w1", "--json", cwd=repo).json
    assert one["branch_deleted"] is None
    assert "develop" in git("branch", cwd=repo)


def test_the_default_branch_is_never_deleted(repo, git, finished):
    git("checkout", "-q", "--detach", cwd=repo)
    git("checkout", "-q", "main", cwd=finished)
    (one,) = ok("worktree", "clean", "w1", "-f", "--delete-branch", "--json", cwd=repo).json
    assert (one["result"], one["branch_deleted"]) == ("cleaned", None)


def test_one_without_a_session_is_refused_and_told_how_to_get_one(repo, git, tmp_path):
    git("worktree", "add", "-q", tmp_path / "by-hand", cwd=repo)
    for name in ("by-hand", "../by-hand", tmp_path / "by-hand"):
        done = call("worktree", "clean", "-f", name, cwd=repo)
        assert done.code == 1
        assert f"prodigy-git worktree adopt {tmp_path / 'by-hand'}" in done.out
    assert ok("worktree", "clean", "--all", cwd=repo).out == ""
    assert (tmp_path / "by-hand").is_dir()


def test_by_path_it_is_the_sessions(repo, finished):
    assert _results(str(finished), cwd=repo) == {"w1": "cleaned"}


def test_purge_asks_and_deletes_for_good(repo, finished, store):
    assert "--yes" in refused("worktree", "clean", "w1", "--purge", cwd=repo, code=2)
    assert finished.is_dir()
    (finished / "README").write_text("kept by git alone")
    ok("worktree", "clean", "w1", "-f", "--purge", "--dry-run", cwd=repo)
    (one,) = ok("worktree", "clean", "w1", "-f", "--purge", "--yes", "--json", cwd=repo).json
    assert (one["result"], one["purged"], one["trash_path"]) == ("cleaned", True, None)
    assert not finished.exists()


def test_ignored_files_are_said_and_no_reason_to_refuse(repo, finished):
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text(".env\n")
    (finished / ".env").write_text("TOKEN=1")
    assert "1 ignored file of 7 B" in ok("worktree", "clean", "w1", cwd=repo).out


@pytest.mark.parametrize("how", ["squashed, detached", "reset away"])
def test_merged_and_finished_it_needs_no_flag(repo, git, finished, how):
    """What nothing else reaches was squashed, or given up before: the salvage has it."""
    if how == "squashed, detached":
        git("checkout", "-q", "--detach", cwd=finished)
    for text in ("one\n", "two\n"):
        (finished / "README").write_text(text)
        git("commit", "-qam", text, cwd=finished)
    if how == "reset away":
        git("reset", "-q", "--hard", "HEAD~1", cwd=finished)
    head = git("rev-parse", "HEAD", cwd=finished)
    (repo / "main").write_text("it went on\n")
    git("add", "main", cwd=repo)
    git("commit", "-qm", "main", cwd=repo)
    git("merge", "-q", "--squash", head, cwd=repo)
    git("commit", "-qm", "squashed", cwd=repo)
    (said,) = ok("worktree", "clean", "w1", "--dry-run", "--json", cwd=repo).json
    (done,) = ok("worktree", "clean", "w1", "--json", cwd=repo).json
    assert (said["result"], done["result"]) == ("would-clean", "cleaned")
    assert said["notes"] == done["notes"] != []
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("worktree", "restore", "w1", cwd=repo)
    assert git("rev-parse", "HEAD", cwd=finished) == head
    assert len(git("log", "-g", "--format=%H", cwd=finished).split()) >= 3


def test_a_branch_whose_name_is_not_utf_8_goes_and_comes_back(repo):
    branch = os.fsdecode(b"a/\xff")
    ref = Path(f"{repo}/.git/refs/heads/{branch}")
    at = new(repo, branch)["worktree"]
    assert ref.exists()
    assert ok("diff", branch, "--json", cwd=repo).json["session_id"] == "a"
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=at, check=True)
    ok("finish", "a", cwd=repo)
    assert ok("diff", branch, "--json", cwd=repo).json["session_id"] == "a"
    subprocess.run(["git", "merge", "-q", branch], cwd=repo, check=True)
    (one,) = ok("worktree", "clean", "a", "--json", cwd=repo).json
    assert (one["result"], one["branch_deleted"], ref.exists()) == ("cleaned", branch, False)
    ok("worktree", "restore", "a", cwd=repo)
    assert ref.exists()
