"""worktree clean: what is refused, with the reason, and kept whole where it is forced."""

import os
from pathlib import Path

import pytest
from support_cli import (
    call,
    ok,
    refused,
    session_file,
    snapshot,
    write_hooks,
)
from support_removal import salvaged
from support_worktree_clean import results_of


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
    ok("finish", one["session_id"], cwd=repo)
    ok("worktree", "clean", "--all", cwd=repo)
    for force in ((), ("-f",)):
        done = call("worktree", "clean", one["session_id"], *force, cwd=repo)
        assert done.code == 1
        assert "main worktree" in done.out
    assert git("status", "--porcelain", cwd=repo) == ""


@pytest.mark.parametrize("arguments", [(), ("--all", "w1")])
def test_usage(repo, arguments):
    refused("worktree", "clean", *arguments, cwd=repo, code=2)


@pytest.mark.parametrize("name", ["../../x", "-x/..", "a/b", ""])
def test_bad_names(repo, made, name):
    done = call("worktree", "clean", "--", name, cwd=repo)
    assert done.code == 1
    assert "not a safe name" in done.out
    assert Path(made["worktree"]).is_dir()


def test_unlock(repo, git, finished):
    git("worktree", "lock", finished, cwd=repo)
    assert results_of("w1", "-f", cwd=repo, code=1) == {"w1": "refused"}
    assert results_of("w1", "--unlock", cwd=repo) == {"w1": "cleaned"}


def test_one_without_a_session_is_refused_and_told_how_to_get_one(repo, git, tmp_path):
    git("worktree", "add", "-q", tmp_path / "by-hand", cwd=repo)
    for name in ("by-hand", "../by-hand", tmp_path / "by-hand"):
        done = call("worktree", "clean", "-f", name, cwd=repo)
        assert done.code == 1
        assert f"prodigy-git worktree adopt {tmp_path / 'by-hand'}" in done.out
    assert ok("worktree", "clean", "--all", cwd=repo).out == ""
    assert (tmp_path / "by-hand").is_dir()


def test_ignored_files_are_said_and_no_reason_to_refuse(repo, finished):
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text(".env\n")
    (finished / ".env").write_text("TOKEN=1")
    assert "1 ignored file of 7 B" in ok("worktree", "clean", "w1", cwd=repo).out
