"""What a new worktree begins with: a branch that is there, a remote's, a pull request."""

import shutil
from pathlib import Path

import pytest
from support_cli import call, left_of, new, ok, refused

from prodigy_git.store import sessions


@pytest.fixture
def cloned(repo, tmp_path, git):
    """Clone the repository, which has a branch ``feature/x`` and the request 7 in it; return it."""
    git("switch", "-qc", "feature/x", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "feature", cwd=repo)
    git("switch", "-qc", "theirs", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "proposed", cwd=repo)
    git("update-ref", "refs/pull/7/head", "HEAD", cwd=repo)
    git("switch", "-q", "main", cwd=repo)
    git("branch", "-qD", "theirs", cwd=repo)
    git("clone", "-q", repo, tmp_path / "clone", cwd=tmp_path)
    return tmp_path / "clone"


def commit(git, where, name):
    return git("rev-parse", name, cwd=where)


def test_a_branch_that_is_there_is_checked_out_as_it_is(repo, git):
    git("branch", "old", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "newer", cwd=repo)
    assert "without --base checks it out" in refused(
        "new-worktree", "--branch", "old", "--base", "main", cwd=repo
    )
    made = new(repo, "--branch", "old")
    assert (made["session_id"], made["branch"], made["base_branch"]) == ("old", "old", None)
    assert made["base_commit"] == commit(git, repo, "old") != commit(git, repo, "main")
    assert git("branch", "--show-current", cwd=made["worktree"]) == "old"
    said = refused("new-worktree", "--branch", "old", cwd=repo)
    assert f"the branch old is checked out at {made['worktree']}" in said
    assert f"checked out at {repo}" in refused("new-worktree", "--branch", "main", cwd=repo)
    assert "checked out at" in refused(
        "new-worktree", "--branch", "old", "--base", "main", cwd=repo
    )
    assert "'@' cannot be a branch" in refused("new-worktree", "--branch", "@", cwd=repo)
    # Nor is it advised to check out what a worktree has.
    git("branch", "feature/x", cwd=repo)
    at = new(repo, "--branch", "feature/x")["worktree"]
    assert f"checked out at {at}: work there" in refused("new-worktree", "feature/x", cwd=repo)
    shutil.rmtree(at)
    gone = f"checked out at {at}, which is gone: 'git worktree prune' frees it"
    assert gone in refused("new-worktree", "--branch", "feature/x", cwd=repo)


def test_it_stays_when_something_fails(repo, store, git):
    git("branch", "old", cwd=repo)
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 3\n")
    hook.chmod(0o755)
    before = left_of(repo, store)
    assert call("new-worktree", "--branch", "old", cwd=repo).code == 1
    assert left_of(repo, store)["refs"] == before["refs"]
    hook.unlink()
    assert new(repo, "--branch", "old")["branch"] == "old"


def test_it_is_not_lost_with_its_worktree(repo, store, git, events):
    git("branch", "old", cwd=repo)
    made = new(repo, "--branch", "old")
    git("commit", "-q", "--allow-empty", "-m", "more", cwd=made["worktree"])
    tip = commit(git, repo, "old")
    git("merge", "-q", "old", cwd=repo)
    ok("finish", "old", cwd=repo)
    # It is the user's: what was not made for a session does not go with it.
    for how in ((), ("-f",)):
        ok("worktree", "clean", *how, "old", cwd=repo)
        assert commit(git, repo, "old") == tip
        ok("worktree", "restore", "old", cwd=repo)
        assert commit(git, repo, "old") == tip
    found = sessions.load(str(store), "old")
    assert (found.made_branch, found.text("branch")) == (None, "old")
    assert sessions.load(str(store), new(repo, "own")["session_id"]).made_branch == "prodigy-own"
    created = [one for one in events("old") if one["type"] == "WorktreeCreated"]
    assert [one["branch_existed"] for one in created] == [True]


@pytest.mark.parametrize("given", ["feature/x", "origin/feature/x"])
def test_a_remotes_branch_is_followed(cloned, git, given):
    made = new(cloned, "--branch", given)
    assert (made["session_id"], made["branch"]) == ("feature-x", "feature/x")
    assert made["base_commit"] == commit(git, cloned, "origin/feature/x")
    assert git("rev-parse", "--abbrev-ref", "@{u}", cwd=made["worktree"]) == "origin/feature/x"
    assert git("status", "--porcelain", cwd=made["worktree"]) == ""
    if given != "feature/x":
        assert "--branch feature/x checks that one out" in refused(
            "new-worktree", "--branch", given, cwd=cloned
        )
    # A new one of that name does not follow what this one did.
    ok("finish", "feature-x", cwd=cloned)
    ok("worktree", "clean", "--delete-branch", "-f", "feature-x", cwd=cloned)
    assert git("config", "branch.feature/x.merge", cwd=cloned) == "refs/heads/feature/x"
    other = new(cloned, "feature/x", "--base", "main")["worktree"]
    assert git("for-each-ref", "--format=%(upstream)", "refs/heads/feature/x", cwd=other) == ""


def test_a_name_that_a_remote_has_is_asked_about(cloned, git):
    said = refused("new-worktree", "feature/x", cwd=cloned)
    assert "there is origin/feature/x: --branch feature/x checks it out and follows it" in said
    made = new(cloned, "feature/x", "--base", "main")
    assert made["base_commit"] == commit(git, cloned, "main")
    assert git("config", "branch.feature/x.remote", cwd=cloned, check=False) == ""


def test_several_remotes(cloned, repo, git):
    git("remote", "add", "up/stream", repo, cwd=cloned)
    git("fetch", "-q", "up/stream", cwd=cloned)
    said = refused("new-worktree", "--branch", "feature/x", cwd=cloned)
    assert "give one of origin/feature/x, up/stream/feature/x" in said
    git("config", "checkout.defaultRemote", "origin", cwd=cloned)
    assert new(cloned, "--branch", "feature/x")["branch"] == "feature/x"
    git("branch", "-m", "feature/x", "moved", cwd=cloned)
    made = new(cloned, "--branch", "up/stream/feature/x")
    assert git("rev-parse", "--abbrev-ref", "@{u}", cwd=made["worktree"]) == "up/stream/feature/x"


@pytest.mark.parametrize("ref", ["refs/pull/7/head", "refs/merge-requests/7/head"])
def test_a_request_by_its_number(cloned, repo, git, ref):
    git("update-ref", ref, "refs/pull/7/head", cwd=repo)
    if "pull" not in ref:
        git("update-ref", "-d", "refs/pull/7/head", cwd=repo)
    (cloned / ".git" / "FETCH_HEAD").write_text("mine\n")
    refs = set(git("for-each-ref", "--format=%(refname)", cwd=cloned).splitlines())
    made = new(cloned, "--pr", "7")
    assert (made["session_id"], made["branch"], made["base_branch"]) == ("pr-7", "pr-7", None)
    assert made["base_commit"] == commit(git, repo, ref)
    assert (cloned / ".git" / "FETCH_HEAD").read_text() == "mine\n"
    after = set(git("for-each-ref", "--format=%(refname)", cwd=cloned).splitlines())
    assert after - refs == {"refs/heads/pr-7"}
    # What is added to it comes with git pull.
    later = git("commit-tree", "-m", "later", "-p", ref, f"{ref}^{{tree}}", cwd=repo)
    git("update-ref", ref, later, cwd=repo)
    git("pull", "-q", "--ff-only", cwd=made["worktree"])
    assert commit(git, made["worktree"], "HEAD") == later
    again = refused("new-worktree", "other", "--pr", "7", cwd=cloned)
    assert "there is a branch pr-7: choose another one for the request with --branch" in again
    assert new(cloned, "again", "--pr", "7", "--branch", "mine")["branch"] == "mine"


def test_the_remote_that_has_the_request_is_found(cloned, repo, tmp_path, git):
    git("clone", "-q", "--bare", repo, tmp_path / "fork", cwd=tmp_path)
    git("remote", "set-url", "origin", tmp_path / "fork", cwd=cloned)
    assert "no remote has a request 7 (asked: origin)" in refused(
        "new-worktree", "--pr", "7", cwd=cloned
    )
    git("remote", "add", "upstream", repo, cwd=cloned)
    git("remote", "add", "broken", tmp_path / "nowhere", cwd=cloned)
    made = new(cloned, "--pr", "7")
    assert git("config", "branch.pr-7.remote", cwd=cloned) == "upstream"
    assert made["base_commit"] == commit(git, repo, "refs/pull/7/head")
    assert "request 8 cannot be asked for: broken: " in refused(
        "new-worktree", "--pr", "8", cwd=cloned
    )


def test_requests_that_cannot_be(repo, store, cloned):
    before = left_of(cloned, store)
    assert "no remote to fetch request 7 from" in refused("new-worktree", "--pr", "7", cwd=repo)
    assert "leave out --base" in refused("new-worktree", "--pr", "7", "--base", "main", cwd=cloned)
    for number in ("0", "-1", "x", "7/head"):
        assert call("new-worktree", "--pr", number, cwd=cloned).code == 2
    assert left_of(cloned, store) == before


def test_a_request_that_fails_later_leaves_nothing(cloned, store):
    hook = cloned / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 3\n")
    hook.chmod(0o755)
    before = left_of(cloned, store)["refs"]
    config = (cloned / ".git" / "config").read_text()
    for more in (("--pr", "7"), ("--branch", "feature/x")):
        assert call("new-worktree", *more, cwd=cloned).code == 1
    assert left_of(cloned, store)["refs"] == before
    assert (cloned / ".git" / "config").read_text() == config
    assert not list(Path(store / "worktrees").glob("*/*"))
