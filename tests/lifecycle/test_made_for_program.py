"""Worktrees that an agent program asks for: any name will do, and git stands in where we cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support_cli import ok, session_file
from support_program_worktrees import asked, create, remove, started
from support_setup import say, trust, until

from prodigy_git import layout, names
from prodigy_git.git import repository
from prodigy_git.lifecycle import made_for_program


@pytest.fixture
def known(repo):
    ok("install", cwd=repo)
    return repo


def branch(git, path):
    return git("symbolic-ref", "--short", "HEAD", cwd=path)


def test_the_path_is_all_that_is_said_and_the_worktree_is_like_any_other(known, store, git, events):
    done = asked("create", known, "login")
    path = store / "worktrees" / "repo" / "login"
    assert (done.code, done.out, done.err) == (0, f"{path}\n", "")
    assert branch(git, path) == "prodigy-login"
    assert (path / "README").read_text() == "a repository\n"
    metadata = session_file(store, "login")["metadata"]
    assert (metadata["created_by"], metadata["made_for"]) == ("new-worktree", "claude")
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
    assert [one["subject"] for one in events("login") if one["type"] == "CommitCreated"] == ["work"]


@pytest.mark.parametrize(
    ("name", "session", "on"),
    [
        ("feature/auth", "feature-auth", "feature/auth"),
        ("--force", "force", "prodigy-force"),
        ("../../etc", "etc", "prodigy-etc"),
        ("a..b", "a.b", "prodigy-a.b"),
        ("x.lock", "x-lock", "prodigy-x-lock"),
        ("new\nline\x1b[31m", "newline-31m", "prodigy-newline-31m"),
        ("ünïcode name", "unicode-name", "prodigy-unicode-name"),
        ("refs/heads/main", "refs-heads-main", "prodigy-refs-heads-main"),
        ("HEAD", "HEAD", "prodigy-HEAD"),
        ("main/x", "main-x", "prodigy-main-x"),
    ],
)
def test_a_name_is_made_one_that_can_be(known, git, name, session, on):
    made = made_for_program.create(str(known), name, "claude", broken=pytest.fail)
    assert made.session_id == session
    assert branch(git, made.worktree) == on


def test_a_branch_that_no_filesystem_could_hold_is_no_branch(known, git):
    for name in ("x" * 300 + "/y", "é" * 150 + "/y", "/".join(["part"] * 400)):
        made = made_for_program.create(str(known), name, "claude", broken=pytest.fail)
        assert made.session_id is not None
        assert branch(git, made.worktree).startswith("prodigy-")


@pytest.mark.parametrize("name", ["", "日本", "..", "-", None])
def test_what_is_no_name_at_all_gets_one_that_is_made_up(known, name):
    made = made_for_program.create(str(known), name, "claude", broken=pytest.fail)
    assert (made.session_id or "").startswith("session-")


def test_a_very_long_name_is_cut_and_another_one_is_cut_otherwise(known):
    first, second = create(known, "x" * 4000), create(known, "x" * 3999)
    assert first != second
    assert len(first.name) <= names.MAX_LENGTH


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=60, deadline=None)
@given(text=st.one_of(_TEXTS, st.lists(_TEXTS, min_size=2, max_size=4).map("/".join)))
@example("a/" + "b" * 300)
@example("@{-1}/x")
@example("/".join("ab" * 40))
def test_each_name_that_is_tried_is_safe(place, text):
    tried = []
    for name in made_for_program.names_for(place, text):
        tried.append(name)
        if name is None or len(tried) > 25:
            break
        if "/" in name:
            assert not name.startswith(("-", "/", "refs/"))
            assert (
                repository.git_status(place.top, "check-ref-format", f"refs/heads/{name}")[0] == 0
            )
        else:
            assert names.is_safe(name)
            assert names.fits_into_ref(name)
    assert len(set(tried)) == len(tried)


@pytest.fixture(scope="module")
def place(scratch):
    top = scratch / "plain"
    subprocess.run(["git", "init", "-q", top], check=True)
    return repository.find(str(top))


def test_a_name_that_was_used_gets_a_number(known, git, store):
    made = [create(known, "login") for _ in "123"]
    assert [one.name for one in made] == ["login", "login-2", "login-3"]
    assert remove(known, made[0]).code == 0
    assert create(known, "login").name == "login-4"
    slashed = [create(known, "feature/auth") for _ in "12"]
    assert [branch(git, one) for one in slashed] == ["feature/auth", "feature/auth-2"]
    assert branch(git, create(known, "feature/auth/deep")) == "prodigy-feature-auth-deep"
    git("branch", "prodigy-other", cwd=known)
    assert create(known, "other").name == "other-2"
    (store / "worktrees" / "repo" / "taken").mkdir()
    assert create(known, "taken").name == "taken-2"


def test_many_at_once_get_one_each(known):
    running = [started("create", known, "same") for _ in range(4)]
    paths = {one.communicate(timeout=300)[0].strip() for one in running}
    assert [one.returncode for one in running] == [0] * 4
    assert len(paths) == 4
    assert all(map(os.path.isdir, paths))


def test_it_begins_where_the_program_stands(known, git):
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=known)
    first, second = git("rev-parse", "HEAD~1", "HEAD", cwd=known).split()
    assert git("rev-parse", "HEAD", cwd=create(known)) == second
    inner = create(create(known, "outer"), "inner")
    assert git("rev-parse", "HEAD", cwd=inner) == second
    git("checkout", "-q", "--detach", first, cwd=inner)
    assert git("rev-parse", "HEAD", cwd=create(inner, "third")) == first


def test_the_name_of_a_request_is_that_request(known, git, tmp_path):
    """So Claude Code calls it, where it is started with `--worktree '#7'`."""
    git("init", "-q", "--bare", tmp_path / "forge", cwd=known)
    git("commit", "-q", "--allow-empty", "-m", "proposed", cwd=known)
    git("push", "-q", tmp_path / "forge", "HEAD:refs/pull/7/head", cwd=known)
    proposed = git("rev-parse", "HEAD", cwd=known)
    git("reset", "-q", "--hard", "HEAD~1", cwd=known)
    git("remote", "add", "origin", tmp_path / "forge", cwd=known)
    paths = [create(known, "pr-7") for _ in "12"]
    assert [branch(git, one) for one in paths] == ["pr-7", "pr-7-2"]
    assert [git("rev-parse", "HEAD", cwd=one) for one in paths] == [proposed] * 2
    done = asked("create", known, "pr-8")
    assert "no remote has a request 8" in done.err
    assert branch(git, done.out.strip()) == "prodigy-pr-8"


def test_its_set_up_runs_where_somebody_trusts_it_and_nobody_is_asked(known, git):
    say(known, git, '[setup]\nrun = ["echo said; echo done > done"]\n')
    done = asked("create", known, "before")
    assert done.code == 0
    assert "prodigy-git setup trust" in done.err
    assert not Path(done.out.strip(), "done").exists()
    trust(known)
    done = asked("create", known, "after")
    assert done.out.endswith("/after\n")  # not what the command has said
    assert Path(done.out.strip(), "done").exists()


def test_a_set_up_that_fails_is_no_failure_of_ours(known, git, store):
    say(known, git, '[setup]\nrun = ["exit 3"]\n')
    trust(known)
    done = asked("create", known, "login")
    assert (done.code, done.out) == (3, "")
    assert "exit" in done.err
    assert len(git("worktree", "list", cwd=known).splitlines()) == 1


def test_the_programs_own_settings_come_along(known, git, tmp_path):
    local = known / ".claude" / "settings.local.json"
    local.parent.mkdir()
    local.write_text("{}")
    assert not (create(known, "shown") / ".claude").exists()  # it would be a new file of the work
    (known / ".gitignore").write_text("settings.local.json\n")
    git("add", ".gitignore", cwd=known)
    git("commit", "-q", "-m", "ignore", cwd=known)
    assert (create(known, "kept") / ".claude" / "settings.local.json").read_text() == "{}"
    local.unlink()
    local.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("secret")
    assert not (create(known, "linked") / ".claude").exists()


BROKEN = ("no folder", "a file", "a damaged mapping", "read-only", "no place")


@pytest.mark.parametrize("how", BROKEN)
def test_where_our_store_cannot_be_used_git_makes_it(repo, git, store, tmp_path, how):
    env = dict(os.environ)
    if how == "no folder":
        env["PRODIGY_HOME"] = "/dev/null/store"
    if how == "a file":
        store.write_text("")
    if how == "a damaged mapping":
        ok("new-worktree", "first", cwd=repo)
        (store / "state" / "repo" / "mappings" / "session-to-job.json").write_text("{")
    if how == "read-only":
        env["PRODIGY_HOME"] = "/proc/store"
    if how == "no place":
        env["PRODIGY_HOME"] = "relative"
    done = asked("create", repo, "feature/auth", env=env)
    path = repo / ".claude" / "worktrees" / "feature-auth"
    assert (done.code, done.out) == (0, f"{path}\n"), done
    assert branch(git, path) == "worktree-feature-auth"
    assert "git alone has made" in done.err
    assert "Traceback" not in done.err
    again = asked("create", repo, "feature/auth", env=env)
    assert again.out == f"{path}-2\n"


def test_where_git_cannot_either_it_says_so(tmp_path, repo, git):
    (tmp_path / "plain").mkdir()
    done = asked("create", tmp_path / "plain", "x", cwd=tmp_path / "plain")
    assert (done.code, done.out) == (3, "")
    assert "not in a git repository" in done.err
    git("init", "-q", tmp_path / "empty", cwd=tmp_path)
    done = asked("create", tmp_path / "empty", "x")
    assert (done.code, done.out) == (3, "")
    assert "Traceback" not in done.err


def test_nobody_to_tell_the_path(known, git):
    done = asked("create", known, "x", stdout=subprocess.DEVNULL, preexec_fn=_close_stdout)
    assert done.code == 3
    assert "standard output is closed" in done.err
    assert len(git("worktree", "list", cwd=known).splitlines()) == 1


def _close_stdout():
    os.close(1)


def test_a_removed_one_is_in_the_trash_whole_and_its_session_has_ended_well(known, git, store):
    path = create(known)
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
    (path / "new").write_text("not committed")
    (path / "README").write_text("changed")
    done = remove(known, path)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert not path.exists()
    assert session_file(store, "login")["status"] == "Completed"
    assert remove(known, path).code == 0  # twice
    ok("worktree", "restore", "login", cwd=known)
    assert (path / "new").read_text() == "not committed"
    assert (path / "README").read_text() == "changed"


def test_it_is_removed_from_within_and_by_a_path_through_a_link(known, tmp_path):
    path = create(known)
    (tmp_path / "link").symlink_to(path)
    assert remove(known, tmp_path / "link", cwd=path).code == 0
    assert not path.exists()


@pytest.mark.parametrize("whose", ["another's", "the program's"])
def test_it_stays_while_somebody_else_is_in_it(known, monkeypatch, whose):
    path = create(known)
    if whose == "the program's":  # as its servers are, when it asks at its end
        monkeypatch.setenv("CLAUDE_PID", str(os.getpid()))
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=path
    ) as inside:
        done = remove(known, path)
        inside.communicate(b"\n")
    assert (done.code == 3, "stands in it" in done.err, path.is_dir()) == (
        whose == "another's",
    ) * 3


def test_one_without_a_session_goes_to_the_trash_too_with_what_git_would_throw_away(
    repo, git, store, tmp_path
):
    """So it is with one that git made while our store could not be used."""
    git("worktree", "add", "-q", "--detach", tmp_path / "plain", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "on no branch", cwd=tmp_path / "plain")
    tip = git("rev-parse", "HEAD", cwd=tmp_path / "plain")
    exclude = repo / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("ignored\n")
    for name in ("ignored", "new"):
        (tmp_path / "plain" / name).write_text(name)
    done = remove(repo, tmp_path / "plain")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert not (tmp_path / "plain").exists()
    (name,) = [one.stem for one in (store / "sessions").iterdir()]
    assert session_file(store, name)["status"] == "Completed"
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("worktree", "restore", name, cwd=repo)
    assert git("rev-parse", "HEAD", cwd=tmp_path / "plain") == tip
    assert (tmp_path / "plain" / "ignored").read_text() == "ignored"


def test_one_that_was_made_for_the_program_ends_well_also_where_none_ends_with_a_program(
    known, git, store
):
    git("config", "prodigy.agentEnd", "keep", cwd=known)
    assert remove(known, create(known)).code == 0
    assert session_file(store, "login")["status"] == "Completed"


def test_one_without_a_session_that_stays_gets_none(repo, git, store, tmp_path):
    git("worktree", "add", "-q", "--detach", tmp_path / "plain", cwd=repo)
    git("worktree", "lock", tmp_path / "plain", cwd=repo)
    done = remove(repo, tmp_path / "plain")
    assert (done.code, (tmp_path / "plain").is_dir()) == (3, True)
    assert "it is locked" in done.err
    assert not list(store.glob("sessions/*.json"))


def test_many_that_remove_it_at_once_are_all_told_that_it_is_gone(known):
    path = create(known)
    (path / "new").write_text("not committed")
    running = [started("remove", known, path) for _ in range(4)]
    said = [one.communicate(timeout=300) for one in running]
    assert [one.returncode for one in running] == [0] * 4, said
    ok("worktree", "restore", "login", cwd=known)
    assert (path / "new").read_text() == "not committed"


def test_what_is_no_worktree_of_its_own_is_left_as_it_is(repo, tmp_path):
    (tmp_path / "folder").mkdir()
    done = remove(repo, tmp_path / "folder")
    assert (done.code, (tmp_path / "folder").is_dir()) == (3, True)
    assert "main worktree" in remove(repo, repo).err
    assert (repo / ".git").is_dir()


def test_a_worktree_without_a_session_stays_where_the_store_cannot_be_used(repo, git, tmp_path):
    git("worktree", "add", "-q", "-b", "plain", tmp_path / "plain", cwd=repo)
    done = remove(repo, tmp_path / "plain", env=dict(os.environ, PRODIGY_HOME="/dev/null/store"))
    assert (done.code, (tmp_path / "plain").is_dir()) == (3, True)
    assert "Traceback" not in done.err


def test_of_a_session_that_somebody_began_only_the_worktree_goes(known, store):
    path = Path(ok("new-worktree", "mine", cwd=known).out.strip())
    assert remove(known, path).code == 0
    assert session_file(store, "mine")["status"] == "Cancelled"
    item = Path(ok("new-worktree", "works", "--agent", "a", "--item", "i", cwd=known).out.strip())
    done = remove(known, item)
    assert (done.code, item.is_dir()) == (3, True)
    assert "works on item i" in done.err


def test_a_worktree_whose_making_was_interrupted_is_not_there(known, git, store):
    say(known, git, '[setup]\nrun = ["echo > begun; exec sleep 600"]\n')
    trust(known)
    path = store / "worktrees" / "repo" / "login"
    running = started("create", known, "login")
    until((path / "begun").exists)
    running.terminate()
    out, _ = running.communicate(timeout=120)
    assert (running.returncode, out) == (130, "")
    assert not path.exists()
    assert not os.path.lexists(layout.session(str(store), "login"))
