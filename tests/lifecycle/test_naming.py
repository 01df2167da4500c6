"""What a new worktree is called: the session, and names that are used again; the branch; the place."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import (
    call,
    left_of,
    new,
    ok,
    refused,
    rewrite_session,
    session_file,
    start,
    write_hooks,
)

from prodigy_git.lifecycle import naming


def put_away(repo, name):
    ok("finish", name, cwd=repo)
    ok("worktree", "clean", name, cwd=repo)


def branches(git, repo):
    return git("branch", "--format=%(refname:short)", cwd=repo).splitlines()


# Names of sessions.


def test_a_name_is_used_again_once_what_bore_it_is_gone(repo, store, git, events):
    first = new(repo, "w1")
    (Path(first["worktree"]) / "mine").write_text("work")
    assert "w1 is Running; choose" in refused("new-worktree", "w1", cwd=repo)
    ok("finish", "w1", cwd=repo)
    assert "'prodigy-git worktree clean w1' puts it away" in refused("new-worktree", "w1", cwd=repo)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    done = ok("new-worktree", "w1", cwd=repo)
    second = Path(done.out[:-1])
    assert second.name == "w1-2"
    assert "the name w1 was used before: the session is w1-2" in done.err
    assert session_file(store, "w1-2")["metadata"]["name"] == "w1"
    assert git("branch", "--show-current", cwd=second) == "prodigy-w1"
    assert "the name w1 is in use: session w1-2 is Running" in refused(
        "new-worktree", "w1", cwd=repo
    )
    # The old one comes back beside it, with all that was in it.
    back = Path(ok("worktree", "restore", "w1", cwd=repo).out[:-1])
    assert (str(back), (back / "mine").read_text()) == (first["worktree"], "work")
    assert git("branch", "--show-current", cwd=second) == "prodigy-w1"
    assert session_file(store, "w1")["status"] == "Completed"


def test_a_session_whose_maker_was_killed_can_be_ended(repo, store, git):
    made = new(repo, "w1")
    git("worktree", "remove", "--force", made["worktree"], cwd=repo)
    git("branch", "-qD", "prodigy-w1", cwd=repo)
    rewrite_session(store, "w1", status="Initializing")
    said = refused("new-worktree", "w1", cwd=repo)
    # Whoever is just making it looks the same.
    assert "Initializing and has no worktree, unless it is being made just now, 'prodigy" in said
    ok("finish", "w1", cwd=repo)
    assert new(repo, "w1")["session_id"] == "w1-2"


def test_a_name_whose_sessions_were_cleaned_is_not_an_id_again(repo, store):
    for number in range(1, 4):
        made = new(repo, "w1")
        assert made["session_id"] == ("w1" if number == 1 else f"w1-{number}")
        put_away(repo, made["session_id"])
        ok("sessions", "clean", "--older-than", "0s", cwd=repo)
    assert list((store / "sessions").glob("*.json")) == []


def test_a_branch_that_is_left_still_bears_the_name(repo, git):
    made = new(repo, "w1")
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=made["worktree"])
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "--force", "w1", cwd=repo)
    git("branch", "-f", "prodigy-w1", made["base_commit"], cwd=repo)
    assert "--branch prodigy-w1 checks it out" in refused("new-worktree", "w1", cwd=repo)
    assert new(repo, "w1", "--branch", "prodigy-w1")["session_id"] == "w1-2"
    git("switch", "-q", "-c", "prodigy-w9", cwd=repo)
    assert f"is checked out at {repo}: work there" in refused("new-worktree", "w9", cwd=repo)


def test_another_repository_has_names_of_its_own(repo, tmp_path, git):
    git("clone", "-q", repo, tmp_path / "other", cwd=tmp_path)
    assert new(repo, "w1")["session_id"] == "w1"
    made = new(tmp_path / "other", "w1")
    assert (made["session_id"], made["branch"]) == ("w1-2", "prodigy-w1")
    assert ok("worktree", "path", "w1", cwd=repo).out != f"{made['worktree']}\n"


def test_two_who_want_one_name_at_once_get_one(repo):
    children = [start("new-worktree", "w1", cwd=repo) for _ in range(4)]
    codes = []
    for child in children:
        child.communicate(timeout=120)
        codes.append(child.returncode)
    assert sorted(codes) == [0, 1, 1, 1]


def test_commands_take_the_name_and_the_branch(repo, store, git):
    made = new(repo, "feature/login")
    again = new(repo, "w1")
    put_away(repo, "w1")
    again = new(repo, "w1")
    for name, session in (("feature/login", "feature-login"), ("prodigy-w1", "w1-2")):
        assert ok("sessions", "show", name, "--json", cwd=repo).json["session_id"] == session
        assert ok("worktree", "show", name, "--json", cwd=repo).json["session_id"] == session
    assert ok("worktree", "path", "feature/login", cwd=repo).out == f"{made['worktree']}\n"
    assert ok("finish", "w1", "--json", cwd=repo).json["session_id"] == "w1-2"
    assert ok("finish", "feature/login", "--json", cwd=repo).json["session_id"] == "feature-login"
    assert ok("worktree", "clean", "feature/login", cwd=repo).out.startswith(
        "feature-login: cleaned"
    )
    assert ok("worktree", "restore", "feature/login", cwd=repo).out == f"{made['worktree']}\n"
    assert again["session_id"] == "w1-2"
    shutil.rmtree(made["worktree"])
    git("worktree", "prune", cwd=repo)
    assert "feature/none" in refused("sessions", "show", "feature/none", cwd=repo)


def test_a_name_of_several_is_not_guessed(repo, tmp_path, git, monkeypatch):
    git("clone", "-q", repo, tmp_path / "other", cwd=tmp_path)
    new(repo, "a/b")
    new(tmp_path / "other", "a/b")
    assert ok("sessions", "show", "a/b", "--json", cwd=repo).json["session_id"] == "a-b"
    assert "give one of a-b, a-b-2" in refused("sessions", "show", "a/b", cwd=tmp_path)


# Branches.


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


# Places.


@pytest.mark.parametrize("kind", ["absolute", "relative", "empty", "deep", "linked"])
def test_a_place_of_ones_own(repo, tmp_path, git, kind, store):
    top = tmp_path / "mine"
    given: str | Path = top
    if kind == "relative":
        given = "../mine"
    elif kind == "empty":
        top.mkdir(mode=0o750)
    elif kind == "deep":
        top = given = tmp_path / "a" / "b" / "mine"
    elif kind == "linked":
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        given, top = tmp_path / "link" / "mine", tmp_path / "real" / "mine"
    made = new(repo, "--path", str(given))
    assert made["worktree"] == str(top)
    assert (made["session_id"], made["branch"]) == ("mine", "prodigy-mine")
    assert git("status", "--porcelain", cwd=top) == ""
    assert ok("worktree", "path", "mine", cwd=repo).out == f"{top}\n"
    put_away(repo, "mine")
    assert not top.exists()
    assert ok("worktree", "restore", "mine", cwd=repo).out == f"{top}\n"
    assert git("status", "--porcelain", cwd=top) == ""
    assert not (store / "worktrees" / "repo" / "mine").exists()


def test_inside_the_repository_it_is_said_that_it_shows(repo, git):
    done = ok("new-worktree", "--path", ".trees/a", cwd=repo)
    assert done.out == f"{repo}/.trees/a\n"
    assert f"{repo} shows it as untracked" in done.err
    (repo / ".git/info/exclude").write_text("/.trees/\n")
    assert "untracked" not in ok("new-worktree", "--path", ".trees/b", cwd=repo).err
    assert git("status", "--porcelain", cwd=repo) == ""
    put_away(repo, "a")
    assert ok("worktree", "restore", "a", cwd=repo).out == f"{repo}/.trees/a\n"


@pytest.mark.parametrize(
    "kind", ["bare", "full", "file", "dangling", ".git", "store", "below a file"]
)
def test_places_that_cannot_be(repo, store, tmp_path, kind):
    new(repo, "w0")
    top = tmp_path / "mine"
    if kind == "full":
        top.mkdir()
        (top / "file").write_text("mine")
    elif kind in ("file", "below a file"):
        top.write_text("mine")
        top = top / "below" if kind == "below a file" else top
    elif kind == "dangling":
        top.mkdir()
        top = top / "link"
        top.symlink_to("/dev/null/nowhere")
    elif kind == ".git":
        top = repo / ".git" / "mine"
    elif kind == "store":
        top = store / "trash" / "mine"
    elif kind == "bare":
        top = repo / ".git" / "refs" / "heads" / "mine"
    before = left_of(repo, store)
    assert "choose" in refused("new-worktree", "--path", str(top), cwd=repo)
    assert left_of(repo, store) == before


def test_a_bare_repository_may_have_its_worktrees_inside(repo, tmp_path, git):
    git("clone", "-q", "--bare", repo, tmp_path / "bare.git", cwd=tmp_path)
    made = new(tmp_path / "bare.git", "--path", "mine")
    assert made["worktree"] == str(tmp_path / "bare.git" / "mine")
    assert git("status", "--porcelain", cwd=made["worktree"]) == ""


@pytest.mark.parametrize("kind", ["empty", "deep"])
def test_what_fails_leaves_a_place_as_it_was(repo, store, tmp_path, kind):
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch left-behind\nexit 3\n")
    hook.chmod(0o755)
    top = tmp_path / "mine"
    if kind == "empty":
        top.mkdir(mode=0o750)
    before = left_of(repo, store)
    where = top if kind == "empty" else top / "a" / "b"
    refused_or_not = call("new-worktree", "--path", str(where), cwd=repo)
    assert refused_or_not.code == 1
    assert left_of(repo, store)["refs"] == before["refs"]
    assert left_of(repo, store)["registered"] == []
    assert list(top.iterdir()) == [] if kind == "empty" else not top.exists()
    if kind == "empty":
        assert top.stat().st_mode & 0o777 == 0o750


def test_a_place_on_another_filesystem(repo, git):
    elsewhere = Path("/dev/shm" if os.stat(repo).st_dev != os.stat("/dev/shm").st_dev else "/tmp")
    if os.stat(elsewhere).st_dev == os.stat(repo).st_dev:
        pytest.skip("there is one filesystem only")
    top = elsewhere / f"prodigy-test-{os.getpid()}"
    try:
        new(repo, "w1", "--path", str(top))
        (top / "untracked").write_text("x")
        ok("finish", "w1", cwd=repo)
        ok("worktree", "clean", "-f", "w1", cwd=repo)
        assert not top.exists()
        assert ok("worktree", "restore", "w1", cwd=repo).out == f"{top}\n"
        assert (top / "untracked").read_text() == "x"
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_stems_are_safe_ids():
    for text in (
        "a/b",
        "../x",
        "a..b",
        "x.lock",
        "",
        "///",
        "ü",
        "a" * 300,
        "-x-",
        "a b",
        "\x1b[2J",
    ):
        made = naming.stem(text)
        assert made is None or (naming.names.is_safe(made) and naming.names.fits_into_ref(made))
    assert naming.stem("a" * 300) != naming.stem("a" * 301)
