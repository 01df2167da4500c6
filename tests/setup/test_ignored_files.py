"""What git ignores comes along into a new worktree: as it is, over nothing, and taken back whole."""

import os
import socket
from pathlib import Path

import pytest
from support_cli import left_of, new, refused
from support_ignored_files import IGNORED, include, inside, link, made


def test_without_a_list_nothing_comes_along(rich):
    top, said = made(rich)
    assert (sorted(os.listdir(top)), said) == ([".git", ".gitignore", "README", "src"], "")


def test_what_is_matched_and_ignored_is_copied_as_it_is(rich, git):
    (rich / "node_modules" / "l").symlink_to("../outside")
    (rich / "node_modules" / "run").write_text("#!/bin/sh\n")
    (rich / "node_modules" / "run").chmod(0o4755)
    (rich / "node_modules" / "a").chmod(0o555)
    (rich / "node_modules" / "empty").mkdir(mode=0o2750)
    for path in ("node_modules/run", "node_modules/a", "node_modules/l"):
        os.utime(rich / path, ns=(10**18, 10**18 + 7), follow_symlinks=False)
    (rich / "notes").write_text("untracked, not ignored")
    include(rich, ".env", "node_modules", "notes", "README", "*.log")
    top, said = made(rich)
    assert said == ""
    assert inside(top / "node_modules") == inside(rich / "node_modules")
    for path in ("node_modules/run", "node_modules/a", "node_modules/l", ".env"):
        one, other = (os.stat(place / path, follow_symlinks=False) for place in (rich, top))
        assert (one.st_mtime_ns, one.st_mode) == (other.st_mtime_ns, other.st_mode)
    assert (top / ".env").read_text() == "SECRET=1\n"
    assert (top / "src" / "x.log").read_text() == "log"
    assert not (top / "notes").exists()
    assert not (top / "build").exists()
    assert git("status", "--porcelain", cwd=top) == ""
    (rich / "node_modules" / "a").chmod(0o755)


def test_from_wherever_it_is_made_it_comes_from_the_main_worktree(rich):
    include(rich, ".env")
    top, _ = made(rich)
    (top / ".env").write_text("other")
    assert (Path(new(top, "w2")["worktree"]) / ".env").read_text() == "SECRET=1\n"


def test_a_list_that_only_the_branch_has_counts(rich, git):
    (rich / ".worktreeinclude").write_text(".env\n")
    git("add", ".", cwd=rich)
    git("commit", "-qm", "A list", cwd=rich)
    git("branch", "later", cwd=rich)
    git("reset", "-q", "--hard", "HEAD^", cwd=rich)
    top, _ = made(rich, "--base", "later")
    assert (top / ".env").exists()


def test_nothing_that_is_there_is_written_over(rich, git):
    git("checkout", "-q", "-b", "other", cwd=rich)
    git("rm", "-q", ".gitignore", cwd=rich)
    (rich / "build" / "out").write_text("tracked")
    git("add", "build/out", cwd=rich)
    (rich / ".gitignore").write_text(f"{IGNORED}")
    git("add", ".gitignore", cwd=rich)
    git("commit", "-qm", "Tracked there", cwd=rich)
    git("checkout", "-q", "main", cwd=rich)
    (rich / "build").mkdir()
    (rich / "build" / "out").write_text("mine")
    (rich / "build" / "more").write_text("more")
    include(rich, "build")
    top, said = made(rich, "--base", "other")
    assert ((top / "build" / "out").read_text(), (top / "build" / "more").read_text()) == (
        "tracked",
        "more",
    )
    assert said == ""


def test_what_the_branch_does_not_ignore_is_left_out(rich, git):
    git("checkout", "-q", "-b", "other", cwd=rich)
    git("rm", "-q", ".gitignore", cwd=rich)
    git("commit", "-qm", "Ignores nothing", cwd=rich)
    git("checkout", "-q", "main", cwd=rich)
    include(rich, ".env", "node_modules")
    link(rich, "build")
    top, said = made(rich, "--base", "other")
    assert sorted(os.listdir(top)) == [".git", "README", "src"]
    assert "not copied: .env, node_modules/a/b/f: git does not ignore it on this branch" in said
    assert git("status", "--porcelain", cwd=top) == ""


@pytest.mark.parametrize("where", ["deep", "deep/er"])
def test_nothing_is_written_through_a_link_of_the_branch(rich, git, tmp_path, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    git("checkout", "-q", "-b", "other", cwd=rich)
    (rich / where).parent.mkdir(exist_ok=True)
    (rich / where).symlink_to(outside)
    git("add", "-f", where, cwd=rich)
    git("commit", "-qm", "A link", cwd=rich)
    git("checkout", "-q", "main", cwd=rich)
    (rich / "deep" / "er").mkdir(parents=True)
    (rich / "deep" / "er" / "secret").write_text("x")
    include(rich, "deep", ".env")
    top, _ = made(rich, "--base", "other")
    assert os.listdir(outside) == []
    assert (top / where).is_symlink()
    assert (top / ".env").exists()


def test_links_out_of_the_main_worktree_are_copied_as_links(rich, tmp_path):
    (tmp_path / "secret").write_text("x")
    (rich / "node_modules" / "out").symlink_to(tmp_path)
    (rich / "cache").symlink_to(tmp_path)
    include(rich, "node_modules", "cache")
    top, _ = made(rich)
    assert os.readlink(top / "node_modules" / "out") == str(tmp_path)
    assert not (top / "cache").exists()  # a link, which the pattern cache/ does not fit


def test_special_files_are_passed_over_with_a_word(rich):
    os.mkfifo(rich / "node_modules" / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(rich / "node_modules")
        one.bind("socket")
    include(rich, "node_modules")
    top, said = made(rich)
    assert sorted(os.listdir(top / "node_modules")) == ["a"]
    assert "not copied: node_modules/pipe, node_modules/socket: no regular file" in said


def test_repositories_and_worktrees_in_it_are_not_copied(rich, git):
    git("worktree", "add", "-q", ".worktrees/one", cwd=rich)
    git("init", "-q", "node_modules/clone", cwd=rich)
    git("init", "-q", "--bare", "node_modules/bare", cwd=rich)
    include(rich, ".worktrees", "node_modules")
    top, said = made(rich)
    assert os.listdir(top / "node_modules") == ["a"]
    assert not (top / ".worktrees").exists()
    assert said.count("a repository of its own") == 1
    for path in (".worktrees/one", "node_modules/clone", "node_modules/bare"):
        assert path in said


def test_a_store_in_the_repository_is_not_copied_into_itself(rich, monkeypatch):
    monkeypatch.setenv("PRODIGY_HOME", str(rich / "cache" / "store"))
    include(rich, "cache", ".env")
    top, said = made(rich)
    assert (top / ".env").exists()
    assert not (top / "cache").exists()
    assert "not copied: cache/store: the store" in said


def test_names_that_are_no_utf_8(rich):
    name = os.fsencode(rich / "node_modules") + b"/\xff\n\x1b[31m"
    os.makedirs(name)
    with open(name + b"/\xfe", "wb") as stream:
        stream.write(b"x")
    include(rich, "node_modules")
    top, said = made(rich)
    assert os.path.exists(os.fsencode(top) + b"/node_modules/\xff\n\x1b[31m/\xfe")
    assert said == ""


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "huge"])
def test_a_list_that_is_no_file_is_not_used(rich, kind, tmp_path):
    path = rich / ".worktreeinclude"
    if kind == "link":
        (tmp_path / "list").write_text(".env\n")
        path.symlink_to(tmp_path / "list")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text(".env\n" * 300_000)
    top, said = made(rich)
    assert not (top / ".env").exists()
    assert said.count("\n") == 1
    assert f"{path} is" in said
    assert said.endswith("it is not used\n")


def test_more_than_the_limit_is_not_copied_the_small_ones_are(rich, git):
    (rich / "node_modules" / "large").write_bytes(os.urandom(300_000))
    include(rich, "node_modules", ".env", "build")
    git("config", "prodigy.copyLimit", "200k", cwd=rich)
    top, said = made(rich)
    assert not (top / "node_modules").exists()
    assert (top / ".env").exists()
    assert (top / "build" / "out").exists()
    assert "not copied: node_modules/: all would be more than 200 KiB" in said
    assert "git config prodigy.copyLimit" in said
    git("config", "prodigy.copyLimit", "1m", cwd=rich)
    assert (Path(new(rich, "w2")["worktree"]) / "node_modules" / "large").stat().st_size == 300_000


def test_a_limit_that_is_none_is_named_and_nothing_is_made(rich, store, git):
    include(rich, ".env")
    git("config", "prodigy.copyLimit", "lots", cwd=rich)
    before = left_of(rich, store)
    assert "prodigy.copyLimit" in refused("new-worktree", "w1", cwd=rich)
    assert left_of(rich, store) == before


def test_a_worktree_that_fails_takes_read_only_folders_with_it(rich, store):
    (rich / "node_modules" / "a" / "b").chmod(0o555)
    (rich / "node_modules" / "a").chmod(0o500)
    include(rich, "node_modules")
    hook = rich / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntest -e node_modules/a/b/f && exit 3\n")
    hook.chmod(0o755)
    before = left_of(rich, store)
    assert "post-checkout" in refused("new-worktree", "w1", cwd=rich)
    assert left_of(rich, store) == before
    (rich / "node_modules" / "a").chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="modes do not stop root")
def test_what_cannot_be_read_is_named_and_the_rest_is_copied(rich):
    (rich / "node_modules" / "secret").write_text("x")
    (rich / "node_modules" / "secret").chmod(0)
    (rich / "build").chmod(0)
    include(rich, "node_modules", "build")
    top, said = made(rich)
    (rich / "build").chmod(0o755)
    assert os.listdir(top / "node_modules") == ["a"]
    assert not (top / "build").exists()
    assert "not copied: node_modules/secret: Permission denied" in said
    assert "not copied: build: Permission denied" in said


def test_a_bare_repository_has_no_main_worktree(tmp_path, repo, git):
    git("clone", "-q", "--bare", repo, tmp_path / "bare.git", cwd=tmp_path)
    (tmp_path / "bare.git" / ".worktreeinclude").write_text("*\n")
    top, said = made(tmp_path / "bare.git")
    assert (sorted(os.listdir(top)), said) == ([".git", "README"], "")


def test_tracked_files_that_are_not_checked_out_are_not_made(rich, git):
    """A sparse checkout: the file is tracked on that branch, and git would call it modified."""
    git("checkout", "-q", "-b", "other", cwd=rich)
    (rich / "build" / "sub").mkdir()
    (rich / "build" / "sub" / "kept").write_text("tracked")
    git("add", "-f", "build/sub/kept", cwd=rich)
    git("commit", "-qm", "Tracked", cwd=rich)
    git("checkout", "-q", "main", cwd=rich)
    (rich / "build" / "sub").mkdir()
    (rich / "build" / "sub" / "kept").write_text("mine")
    git("sparse-checkout", "set", "--cone", "src", cwd=rich)
    include(rich, "build")
    top, _ = made(rich, "--base", "other")
    assert (top / "build" / "out").exists()
    assert not (top / "build" / "sub").exists()
    assert git("status", "--porcelain", cwd=top) == ""
