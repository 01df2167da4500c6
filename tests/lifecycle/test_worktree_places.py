"""Where a new worktree is: a place of one's own, and places that cannot be."""

import os
import shutil
from pathlib import Path

import pytest
from support_cli import (
    call,
    left_of,
    new,
    ok,
    refused,
)
from support_naming import put_away
from support_setup import say

from prodigy_git.errors import ProdigyError
from prodigy_git.lifecycle.new_worktree import new_worktree


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


@pytest.mark.parametrize("by", ["somebody", "another"])
def test_what_is_put_there_while_a_person_is_asked_stays(repo, git, store, tmp_path, by):
    say(repo, git, '[setup]\nrun = "true"\n')
    work = tmp_path / "mine" / "work"

    def approve(_):
        if by == "somebody":
            work.parent.mkdir()
        else:
            new(repo, "first", "--no-setup", "--path", str(work.parent))
        work.write_text("mine")
        return False

    before = left_of(repo, store)["refs"]
    with pytest.raises(ProdigyError, match="is no empty folder"):
        new_worktree(str(repo), name="second", path=str(work.parent), approve=approve, broken=print)
    assert work.read_text() == "mine"
    refs = left_of(repo, store)["refs"]
    assert "second" not in str(refs)
    assert by == "another" or refs == before


@pytest.mark.parametrize("kind", ["folder", "file", "worktree", "clone"])
def test_what_is_put_there_faster_than_any_look_stays(repo, store, tmp_path, monkeypatch, kind):
    top = tmp_path / "mine"
    put = {
        "folder": f"mkdir {top}; echo mine > {top}/work",
        "file": f"echo mine > {top}",
        "worktree": f"$git worktree add -q -b other {top}; echo mine > {top}/work",
        "clone": f"$git clone -q {repo} {top}; echo mine > {top}/work",
    }[kind]
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.write_text(
        f"#!/bin/sh\ngit={shutil.which('git')}\n"
        f'case $* in *"worktree add"*) [ -e {top} ] || {{ {put}; }} ;; esac\nexec $git "$@"\n'
    )
    wrapper.chmod(0o755)
    before = left_of(repo, store)["refs"]
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        assert "already exists" in refused("new-worktree", "--path", str(top), cwd=repo)
    assert (top if kind == "file" else top / "work").read_text() == "mine\n"
    if kind == "worktree":
        assert str(top) in ok("worktree", "ls", "--json", cwd=repo).out
    else:
        assert left_of(repo, store)["refs"] == before
