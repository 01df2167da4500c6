"""Branches that have served are deleted, if they are proven ours, and can be brought back."""

import json
from pathlib import Path

import pytest
from support_cli import call, new, ok, rewrite_session, session_file

from prodigy_git.merging import spent_branches

LINES = "".join(f"{n}\n" for n in range(20))


@pytest.fixture
def work(repo, git):
    """Make ``work(name, line, …)``: a worktree in which a line of a file is changed twice."""
    (repo / "f").write_text(LINES)
    git("add", "f", cwd=repo)
    git("commit", "-qm", "lines", cwd=repo)

    def made(name, *options, line=0, end=()):
        top = Path(new(repo, name, *options)["worktree"])
        for text in ("once", "twice"):
            lines = (top / "f").read_text().splitlines(keepends=True)
            lines[line] = f"{name} {text}\n"
            (top / "f").write_text("".join(lines))
            git("commit", "-qam", f"{name} {text}", cwd=top)
        if end is not None:
            ok("finish", name, *end, cwd=repo)
        return top

    return made


@pytest.fixture
def gone(work, git, repo):
    """Make ``gone(name, …)``: as ``work``, but the worktree was removed by git. Return the commit."""

    def made(name, *options, **more):
        top = work(name, *options, **more)
        tip = git("rev-parse", "HEAD", cwd=top)
        git("worktree", "remove", "--force", top, cwd=repo)
        return tip

    return made


def branches(git, repo):
    return set(git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo).split())


def dry_run(repo, *options):
    shown = ok("clean", "--branches", "--dry-run", "--json", *options, cwd=repo).json["branches"]
    return {one["branch"]: (one["result"], one["reasons"]) for one in shown["items"]}


def clean(repo, *options):
    done = ok("clean", "--branches", "--yes", "--json", *options, cwd=repo).json["branches"]
    return {one["branch"]: one for one in done["items"]}


def merge(git, repo, branch, *how):
    git("merge", "-q", *(how or ("--no-ff",)), branch, cwd=repo)
    if how == ("--squash",):
        git("commit", "-qm", f"squashed {branch}", cwd=repo)


@pytest.mark.parametrize("how", ["merged", "squashed", "unused"])
def test_merged_it_goes_and_comes_back(gone, repo, git, store, how):
    tip = gone("w1") if how != "unused" else None
    if how == "unused":
        top = new(repo, "w1")["worktree"]
        ok("finish", "w1", cwd=repo)
        git("worktree", "remove", top, cwd=repo)
        tip = git("rev-parse", "prodigy-w1", cwd=repo)
        (repo / "f").write_text("main\n")
        git("commit", "-qam", "main went on", cwd=repo)
    elif how == "merged":
        merge(git, repo, "prodigy-w1")
    else:
        merge(git, repo, "prodigy-w1", "--squash")
        (repo / "f").write_text("main\n")
        git("commit", "-qam", "and it was changed again", cwd=repo)
    said = dry_run(repo)
    assert said["prodigy-w1"][0] == "would-delete"
    assert "prodigy-w1" in branches(git, repo)
    one = clean(repo)["prodigy-w1"]
    assert (one["result"], one["head"], one["reasons"]) == ("deleted", tip, said["prodigy-w1"][1])
    assert branches(git, repo) == {"main"}
    # Not pushed with the refs, where no other ref has it; nor collected.
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)
    git("gc", "-q", "--prune=now", cwd=repo)
    if how == "squashed":
        assert call("worktree", "restore", "w1", cwd=repo).code == 0
    else:
        ok("worktree", "restore", "w1", cwd=repo)
    assert git("rev-parse", "prodigy-w1", cwd=repo) == tip
    assert git("status", "--porcelain", "-b", cwd=store / "worktrees/repo/w1") == "## prodigy-w1"
    assert git("for-each-ref", "refs/prodigy", cwd=repo) == ""
    assert not (repo / ".git" / "prodigy-salvage").exists()
    assert ok("trash", "list", "--json", cwd=repo).json == []
    git("fsck", "--strict", cwd=repo)


def test_what_is_not_proven_ours_or_not_done_stays(gone, work, repo, git, tmp_path):
    base = git("rev-parse", "main", cwd=repo)
    git("branch", "by-hand", cwd=repo)
    gone("unmerged", line=1)
    gone("going-on", line=2)
    gone("running", line=4, end=None)
    gone("another", line=6)
    gone("there", line=8)
    work("standing", line=10)
    for name in ("going-on", "running", "another", "there", "standing"):
        merge(git, repo, f"prodigy-{name}")
    # A person went on with it, and that is merged, too.
    git("checkout", "-q", "prodigy-going-on", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "by hand", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    merge(git, repo, "prodigy-going-on")
    # Not made by new-worktree, or not by it alone.
    rewrite_session(repo.parent / "store", "another", metadata={
        **session_file(repo.parent / "store", "another")["metadata"], "created_by": "adopt",
    })  # fmt: skip
    rewrite_session(repo.parent / "store", "there", metadata={
        **session_file(repo.parent / "store", "there")["metadata"], "made_branch": None,
    })  # fmt: skip
    before = branches(git, repo)
    assert dry_run(repo) == {}
    assert clean(repo) == {}
    assert branches(git, repo) == before
    assert git("rev-parse", "by-hand", cwd=repo) == base


def test_what_somebody_needs_is_kept_and_it_is_said_why(gone, repo, git, tmp_path):
    names = ("out", "rebased", "bisected", "based", "pushed", "tracked")
    tips = {name: gone(name, line=2 * n) for n, name in enumerate(names)}
    for name in names:
        merge(git, repo, f"prodigy-{name}")
    git("worktree", "add", "-q", tmp_path / "out", "prodigy-out", cwd=repo)
    git("worktree", "add", "-q", "--detach", tmp_path / "other", cwd=repo)
    private = repo / ".git" / "worktrees" / "other"
    (private / "BISECT_START").write_text("prodigy-bisected\n")
    (private / "rebase-merge").mkdir()
    (private / "rebase-merge" / "update-refs").write_text(
        f"refs/heads/prodigy-rebased\n{tips['rebased']}\n{tips['rebased']}\n"
    )
    new(repo, "later", "--base", "prodigy-based")
    git("clone", "-q", "--bare", repo, tmp_path / "remote.git", cwd=repo)
    git("remote", "add", "origin", tmp_path / "remote.git", cwd=repo)
    more = git("commit-tree", "-m", "more", "-p", tips["pushed"], "main^{tree}", cwd=repo)
    git("push", "-q", "origin", f"{more}:refs/heads/prodigy-pushed", cwd=repo)
    git("push", "-q", "origin", f"{more}:refs/heads/elsewhere", cwd=repo)
    git("fetch", "-q", "origin", cwd=repo)
    git("branch", "-q", "--set-upstream-to=origin/elsewhere", "prodigy-tracked", cwd=repo)
    before = branches(git, repo)
    said = dry_run(repo)
    assert {name: result for name, (result, _) in said.items()} == {
        f"prodigy-{name}": "kept" for name in names
    }
    words = {name.removeprefix("prodigy-"): "; ".join(why) for name, (_, why) in said.items()}
    assert "worktree" in words["out"]
    assert "worktree" in words["bisected"]
    assert "worktree" in words["rebased"]
    assert "later" in words["based"]
    assert "origin/prodigy-pushed" in words["pushed"]
    assert "origin/elsewhere" in words["tracked"]
    assert {name: one["result"] for name, one in clean(repo).items()} == {
        name: result for name, (result, _) in said.items()
    }
    assert branches(git, repo) == before
    text = ok("clean", "--branches", "--yes", cwd=repo)
    assert "6 branches kept" in text.err


def test_the_default_branch_stays_whoever_made_it(gone, repo, git):
    gone("w1")
    merge(git, repo, "prodigy-w1")
    git("config", "init.defaultBranch", "prodigy-w1", cwd=repo)
    ((_, (result, why)),) = dry_run(repo).items()
    assert (result, why) == ("kept", ["it is a default branch"])


def test_a_name_that_was_used_again_is_the_last_ones(gone, repo, git, store):
    gone("w1")
    merge(git, repo, "prodigy-w1")
    fields = session_file(store, "w1")
    later = {**fields, "id": "w2", "started_at": "2999-01-01T00:00:00Z", "status": "Running"}
    (store / "sessions" / "w2.json").write_text(json.dumps(later))
    assert dry_run(repo) == {}


def test_failed_attempts_go_when_their_item_is_done(gone, repo, git, store, tmp_path):
    items = tmp_path / "items"
    items.write_text('{"id": "i1"}\n{"id": "i2"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)

    def attempt(name, item, line, *end):
        return gone(
            name, "--job", "j", "--agent", f"agent-{name}", "--item", item, line=line, end=end
        )

    tip = attempt("a", "i1", 0, "--failed")
    attempt("b", "i2", 4, "--failed")
    assert dry_run(repo) == {}
    attempt("c", "i1", 8)
    said = dry_run(repo)
    assert set(said) == {"prodigy/j/i1"}  # what has succeeded is not merged yet
    assert said["prodigy/j/i1"][1] == ["the attempt at i1 failed, agent-c has done it"]
    assert clean(repo)["prodigy/j/i1"]["result"] == "deleted"
    assert "prodigy/j/i1" not in branches(git, repo)
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("worktree", "restore", "a", cwd=repo)
    assert git("rev-parse", "prodigy/j/i1", cwd=repo) == tip


def test_an_attempt_that_was_done_once_more_goes_when_that_is_merged(gone, repo, git, tmp_path):
    """As `merge --requeue` leaves them: the first one conflicts, and the next begins at the target."""
    items = tmp_path / "items"
    items.write_text('{"id": "i1"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    gone("a", "--job", "j", "--agent", "agent-a", "--item", "i1", line=0)
    git("commit", "-qm", "another change", "--allow-empty", cwd=repo)
    (repo / "f").write_text(LINES.replace("0\n", "changed\n", 1))
    git("commit", "-qam", "a line that conflicts", cwd=repo)
    call("merge", "i1", "--requeue", cwd=repo)
    gone("b", "--job", "j", "--agent", "agent-b", "--item", "i1", line=5)
    assert dry_run(repo) == {}  # the second one is not merged yet
    ok("merge", "i1", cwd=repo)
    said = dry_run(repo)
    assert said["prodigy/j/i1"] == (
        "would-delete", ["agent-b has done i1 once more, and that is merged"]
    )  # fmt: skip
    # Also when the branch that was merged has gone before.
    git("branch", "-D", "prodigy/j/i1@2", cwd=repo)
    assert clean(repo)["prodigy/j/i1"]["result"] == "deleted"
    assert branches(git, repo) == {"main"}


def test_while_its_worktree_is_in_the_trash_that_has_it_all(work, repo, git, store):
    top = work("w1")
    (top / "ignored").write_text("kept\n")
    (repo / ".git" / "info" / "exclude").write_text("ignored\n")
    tip = git("rev-parse", "HEAD", cwd=top)
    ok("worktree", "clean", "w1", cwd=repo)
    assert "prodigy-w1" in branches(git, repo)
    merge(git, repo, "prodigy-w1", "--squash")
    (before,) = ok("trash", "list", "--json", cwd=repo).json
    one = clean(repo)["prodigy-w1"]
    assert one["trash_path"] == before["trash_path"]
    assert len(ok("trash", "list", "--json", cwd=repo).json) == 1
    assert branches(git, repo) == {"main"}
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("worktree", "restore", "w1", cwd=repo)
    assert git("rev-parse", "prodigy-w1", cwd=repo) == tip
    assert (top / "ignored").read_text() == "kept\n"


def test_sessions_whose_files_are_cleaned_are_known_still(gone, repo, git):
    gone("w1")
    ok("clean", "--sessions", "--older-than", "0s", "--yes", cwd=repo)
    merge(git, repo, "prodigy-w1")
    assert clean(repo)["prodigy-w1"]["result"] == "deleted"


def test_a_clean_does_what_its_dry_run_says(gone, work, repo, git):
    gone("w1")
    work("w2", line=5)
    for name in ("w1", "w2"):
        merge(git, repo, f"prodigy-{name}")
    said = ok("clean", "--dry-run", "--json", cwd=repo).json
    assert [one["branch"] for one in said["branches"]["items"]] == ["prodigy-w1"]
    done = ok("clean", "--yes", "--json", cwd=repo).json
    assert [one["branch"] for one in done["branches"]["items"]] == ["prodigy-w1"]
    assert said["branches"]["count"] == done["branches"]["count"] == 1
    assert branches(git, repo) == {"main"}  # the other one goes with its worktree
    assert ok("clean", "--branches", "--dry-run", "--older-than", "1d", cwd=repo).code == 0


def test_a_branch_that_was_there_is_not_ours(repo, git):
    """A worktree of an existing branch: that stays, with the worktree and without, merged or not."""
    for name in ("w1", "w2"):
        git("branch", f"theirs-{name}", cwd=repo)
        top = Path(new(repo, name, "--branch", f"theirs-{name}")["worktree"])
        git("commit", "-q", "--allow-empty", "-m", "work", cwd=top)
        ok("finish", name, cwd=repo)
        merge(git, repo, f"theirs-{name}")
    ok("worktree", "clean", "w1", cwd=repo)
    git("worktree", "remove", top, cwd=repo)
    assert clean(repo) == {}
    assert branches(git, repo) == {"main", "theirs-w1", "theirs-w2"}


def test_older_than_is_the_age_of_the_sessions_end(gone, repo, git):
    gone("w1")
    merge(git, repo, "prodigy-w1")
    assert dry_run(repo, "--older-than", "1d") == {}
    assert set(dry_run(repo, "--older-than", "0s")) == {"prodigy-w1"}


def test_one_that_another_command_has_just_deleted_is_no_failure(gone, repo, git, store):
    gone("w1")
    merge(git, repo, "prodigy-w1")
    (found,) = spent_branches.find(str(store), None, None, pytest.fail)
    git("branch", "-q", "-D", "prodigy-w1", cwd=repo)
    (end,) = spent_branches.delete(str(store), [found], pytest.fail)
    assert (found.result, end.result) == ("would-delete", "kept")
    assert end.reasons == ["somebody else has just deleted it"]
