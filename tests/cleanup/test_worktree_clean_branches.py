"""worktree clean: which branches go with their worktrees, and which stay."""

import os
import subprocess
from pathlib import Path

import pytest
from support_cli import (
    new,
    ok,
)


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
