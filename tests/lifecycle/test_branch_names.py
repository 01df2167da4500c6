"""What a new worktree's branch is called: by a name, by what it is for, in a format of one's own."""

import json
import subprocess
from pathlib import Path

import pytest
from support_cli import (
    call,
    left_of,
    new,
    ok,
    refused,
    start,
    write_hooks,
)
from support_naming import put_away


def branches(git, repo):
    return git("branch", "--format=%(refname:short)", cwd=repo).splitlines()


def test_a_name_with_a_stroke_is_the_branchs(repo, git):
    made = new(repo, "feature/login")
    assert (made["session_id"], made["branch"], made["base_branch"]) == (
        "feature-login", "feature/login", "main",
    )  # fmt: skip
    assert Path(made["worktree"]).name == "feature-login"
    assert git("branch", "--show-current", cwd=made["worktree"]) == "feature/login"
    # Another name that the folder could be made of.
    other = new(repo, "feature-login")
    assert (other["session_id"], other["branch"]) == ("feature-login-2", "prodigy-feature-login")
    git("branch", "old/one", cwd=repo)
    assert "--branch old/one checks it out" in refused("new-worktree", "old/one", cwd=repo)
    assert "old/one leaves no room for old/one/two" in refused(
        "new-worktree", "old/one/two", cwd=repo
    )
    assert "feature/login leaves no room for feature" in refused(
        "new-worktree", "--branch", "feature", cwd=repo
    )


@pytest.mark.parametrize(
    ("branch", "session"),
    [
        ("fix/x.lock.", None), ("a/b..c", None), ("a/x.lock", None), ("a/ü+ß", "a"),
        ("ü/ß", "session-"), ("a/" + "x" * 150, "a-" + "x" * 90), ("a/B@1", "a-B-1"),
        ("-a/b", None), ("a/b.c", "a-b.c"), ("a/'$(id)'", "a-id"), ("a/.b", None),
    ],
)  # fmt: skip
def test_folders_are_safe_whatever_a_branch_is_called(repo, git, branch, session):
    if session is None:
        assert "cannot be a branch" in refused("new-worktree", "--", branch, cwd=repo)
        return
    made = new(repo, "--", branch) if branch[0] == "-" else new(repo, branch)
    assert made["session_id"].startswith(session)
    assert made["branch"] == branch
    put_away(repo, made["session_id"])
    assert ok("worktree", "restore", made["session_id"], cwd=repo).out[:-1] == made["worktree"]


def test_a_branch_says_what_it_is_for(repo, git):
    who = ("--job", "j", "--agent", "a", "--item", "i")
    assert [new(repo, *who)["branch"] for _ in range(3)] == [
        "prodigy/j/i", "prodigy/j/i@2", "prodigy/j/i@3",
    ]  # fmt: skip
    made = new(repo, "alone", "--item", "x")
    assert made["branch"] == "prodigy/alone/x"
    assert new(repo, "plain", "--agent", "a")["branch"] == "prodigy-plain"
    assert new(repo, "my/own", *who)["branch"] == "my/own"


def test_the_format_is_ones_own(repo, git):
    def made(form, *arguments):
        git("config", "prodigy.branchFormat", form, cwd=repo)
        return new(repo, "--job", "j", *arguments)["branch"]

    who = ("--agent", "ann", "--item", "i")
    assert made("wip/{agent}/{item}", *who) == "wip/ann/i"
    assert made("wip/{agent}/{item}", *who) == "wip/ann/i@2"
    assert made("wip/{agent}/{item}", "--item", "i").startswith("prodigy-session-")
    assert made("{name}", *who).startswith("agent-")
    assert made("work/{name}").startswith("work/session-")
    assert made("fixed", *who) == "fixed"
    assert made("fixed", *who) == "fixed@2"
    for bad, why in (
        ("{nobody}/{item}", "has {nobody} in it"), ("a..b/{item}", "cannot be a branch"),
        ("{item}/", "cannot be a branch"), ("", "cannot be a branch"), ("-{item}", "cannot be"),
        ("a b/{item}", "cannot be a branch"), ("{item", "a brace is alone"),
        ("x{0}", "has {0} in it"), ("{item.__class__}", "in it: there is only"),
    ):  # fmt: skip
        git("config", "prodigy.branchFormat", bad, cwd=repo)
        before = left_of(repo, repo.parent / "store")
        said = refused("new-worktree", "--job", "j", *who, cwd=repo)
        assert why in said, bad
        assert "prodigy.branchFormat" in said
        assert left_of(repo, repo.parent / "store") == before


def test_ids_that_no_ref_may_hold_are_made_safe_and_stay_different(repo, git):
    made = [
        new(repo, "--job", "x.lock", "--item", item)["branch"]
        for item in ("a..b", "a.b", "a...b", "end.", "y.lock", "y-lock")
    ]
    assert len(set(made)) == 6
    assert made[1].startswith("prodigy/x-lock-")
    assert made[1].endswith("/a.b")
    for name in made:
        git("check-ref-format", "--branch", name, cwd=repo)
    long = "x" * 128
    assert new(repo, "--job", long, "--item", long)["branch"] == f"prodigy/{long}/{long}"
    git("config", "prodigy.branchFormat", "{job}-{item}-{agent}", cwd=repo)
    one, two = (
        new(repo, "--job", long, "--item", long, "--agent", f"{'y' * 127}{n}")["branch"]
        for n in "12"
    )
    assert one != two
    assert len(one) <= 210


def test_branches_above_and_below_leave_room_for_each_other(repo, git):
    who = ("--job", "j", "--item", "i")
    git("branch", "prodigy/j/i/deep", cwd=repo)
    assert new(repo, *who)["branch"] == "prodigy/j/i@2"
    git("branch", "-D", "prodigy/j/i/deep", cwd=repo)
    # What is packed is no file.
    git("branch", "prodigy/k/i/deep", cwd=repo)
    git("pack-refs", "--all", cwd=repo)
    assert new(repo, "--job", "k", "--item", "i")["branch"] == "prodigy/k/i@2"
    for name in branches(git, repo):
        if name != "main":
            git("update-ref", "-d", f"refs/heads/{name}", cwd=repo)
    git("branch", "prodigy", cwd=repo)
    assert new(repo, *who)["branch"] == "prodigy@2/j/i"
    assert new(repo, *who)["branch"] == "prodigy@2/j/i@2"
    git("branch", "prodigy@2/l", cwd=repo)
    assert new(repo, "--job", "l", "--item", "i")["branch"] == "prodigy@2/l@2/i"


def test_capitals_do_not_make_two_where_the_disk_does_not_tell_them_apart(repo, git):
    git("config", "core.ignoreCase", "true", cwd=repo)
    assert new(repo, "--job", "j", "--item", "ITEM")["branch"] == "prodigy/j/ITEM"
    assert new(repo, "--job", "j", "--item", "item")["branch"] == "prodigy/j/item@2"
    assert new(repo, "--job", "J", "--item", "x")["branch"] == "prodigy/J/x"
    git("branch", "Feature", cwd=repo)
    assert "Feature leaves no room" in refused("new-worktree", "feature/x", cwd=repo)
    git("config", "core.ignoreCase", "false", cwd=repo)
    assert new(repo, "--job", "j", "--item", "Item")["branch"] == "prodigy/j/Item"


def test_many_who_do_one_item_at_once_each_get_a_branch(repo):
    who = ("--job", "j", "--item", "i")
    children = [start("new-worktree", "--json", *who, cwd=repo) for _ in range(6)]
    made = [json.loads(child.communicate(timeout=120)[0]) for child in children]
    assert {one["branch"] for one in made} == {
        "prodigy/j/i", *(f"prodigy/j/i@{number}" for number in range(2, 7)),
    }  # fmt: skip


def test_an_attempts_number_is_its_branchs(repo, tmp_path):
    (tmp_path / "items").write_text('{"id": "a"}\n')
    ok("job", "start", "j", "--items", tmp_path / "items", "--max-attempts", "3", cwd=repo)
    run = ("run", "--job", "j", "--item", "a", "--backoff", "0s", "--", "false")
    assert call(*run, cwd=repo).code == 1
    rows = ok("sessions", "list", "--json", cwd=repo).json
    assert sorted(one["branch"] for one in rows) == [
        "prodigy/j/a", "prodigy/j/a@2", "prodigy/j/a@3",
    ]  # fmt: skip


def test_reftables_are_asked_of_git(tmp_path, git):
    repo = tmp_path / "tables"
    if subprocess.run(
        ["git", "init", "-q", "--ref-format=reftable", repo], capture_output=True, check=False
    ).returncode:
        pytest.skip("git knows no reftables")
    git("commit", "-q", "--allow-empty", "-m", "start", cwd=repo)
    git("branch", "prodigy", cwd=repo)
    assert new(repo, "--job", "j", "--item", "i")["branch"] == "prodigy@2/j/i"


def test_what_only_a_branch_of_its_own_holds_is_salvaged(repo, git):
    """Its branch may be amended or deleted: a worktree's own is no safe place for its commits."""
    write_hooks(repo / ".git" / "hooks")
    made = new(repo, "--job", "j", "--item", "i")
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=made["worktree"])
    sha = git("rev-parse", "HEAD", cwd=made["worktree"])
    git("switch", "-q", "--detach", cwd=made["worktree"])
    ok("finish", made["session_id"], cwd=repo)
    ok("worktree", "clean", "-f", made["session_id"], cwd=repo)
    kept = ok("trash", "list", "--json", cwd=repo).json
    git("branch", "-q", "-D", "prodigy/j/i", cwd=repo, check=False)
    git("reflog", "expire", "--expire=now", "--all", cwd=repo)
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("trash", "empty", "--yes", cwd=repo)
    back = ok("worktree", "restore", made["session_id"], cwd=repo).out[:-1]
    assert git("rev-parse", "HEAD", cwd=back) == sha
    assert len(kept) == 1
