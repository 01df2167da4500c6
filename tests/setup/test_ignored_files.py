"""What git ignores comes along into a new worktree: as it is, over nothing, and taken back whole."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support_cli import call, environment, left_of, new, ok, refused, snapshot
from support_faults import can_trace

from prodigy_git.setup import copying, ignored_files, measuring

IGNORED = ".env\nnode_modules/\nbuild\n*.log\ndeep/\ncache/\n.worktrees/\n"


@pytest.fixture
def rich(repo: Path, git: Any) -> Path:
    """Return a repository that ignores much, and has it."""
    (repo / ".gitignore").write_text(IGNORED)
    (repo / "src").mkdir()
    (repo / "src" / "code").write_text("code")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "More", cwd=repo)
    (repo / ".env").write_text("SECRET=1\n")
    (repo / "node_modules" / "a" / "b").mkdir(parents=True)
    (repo / "node_modules" / "a" / "b" / "f").write_text("f")
    (repo / "build").mkdir()
    (repo / "build" / "out").write_text("out")
    (repo / "src" / "x.log").write_text("log")
    return repo


def include(repo: Path, *patterns: str, name: str = ".worktreeinclude") -> None:
    (repo / ".git" / "info").mkdir(exist_ok=True)
    with (repo / ".git" / "info" / "exclude").open("a") as stream:
        stream.write(f"/{name}\n")
    (repo / name).write_text("".join(f"{pattern}\n" for pattern in patterns))


def link(repo: Path, *patterns: str) -> None:
    include(repo, *patterns, name=".worktreelink")


def made(repo: Path, *more: str) -> tuple[Path, str]:
    done = ok("new-worktree", "w1", *more, cwd=repo)
    said = [line for line in done.err.splitlines(keepends=True) if "git hooks are" not in line]
    return Path(done.out[:-1]), "".join(said)


def _inside(folder: Path) -> dict[str, Any]:
    return {path.removeprefix(str(folder)): one for path, one in snapshot(folder).items()}


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
    assert _inside(top / "node_modules") == _inside(rich / "node_modules")
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


def test_hard_links_are_kept_among_what_is_copied(rich):
    os.link(rich / "node_modules" / "a" / "b" / "f", rich / "node_modules" / "g")
    os.link(rich / "node_modules" / "g", rich / "build" / "h")
    include(rich, "node_modules", "build")
    top, _ = made(rich)
    inode = os.stat(top / "node_modules" / "g").st_ino
    assert os.stat(top / "node_modules" / "a" / "b" / "f").st_ino == inode
    assert os.stat(rich / "node_modules" / "g").st_ino != inode
    assert (top / "build" / "h").read_text() == "f"


def test_holes_stay_holes(rich):
    with (rich / "build" / "sparse").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(50 << 20)
        stream.write(b"middle")
        stream.truncate(100 << 20)
    include(rich, "build")
    top, _ = made(rich)
    about = os.stat(top / "build" / "sparse")
    assert about.st_size == 100 << 20
    assert about.st_blocks * 512 < 1 << 20
    with (top / "build" / "sparse").open("rb") as stream:
        assert stream.read(6) == b"begin\0"
        stream.seek(50 << 20)
        assert stream.read(7) == b"middle\0"


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


def test_what_is_linked_leads_there_and_is_ignored(rich, git):
    link(rich, "build", "node_modules", ".env", "src/x.log", "nothing")
    top, said = made(rich)
    assert said == ""
    for path in ("build", "node_modules", ".env", "src/x.log"):
        assert os.readlink(top / path) == str(rich / path)
    # A pattern with a slash at its end fits folders, not the link to one.
    assert git("status", "--porcelain", cwd=top) == ""
    git("add", "--all", cwd=top)
    assert git("diff", "--cached", "--name-only", cwd=top) == ""
    lines = (rich / ".git" / "info" / "exclude").read_text().splitlines()
    new(rich, "w2")
    assert lines.count("/node_modules") == 1
    assert (rich / ".git" / "info" / "exclude").read_text().splitlines() == lines


def test_an_exclude_file_that_cannot_be_written_keeps_git_from_seeing_no_link(rich, git, tmp_path):
    (tmp_path / "excludes").write_text("/.worktreelink\n")
    link(rich, "build", "node_modules")
    (rich / ".git" / "info" / "exclude").unlink()
    (rich / ".git" / "info" / "exclude").symlink_to(tmp_path / "excludes")
    top, said = made(rich)
    assert (top / "build").is_symlink()
    assert not os.path.lexists(top / "node_modules")
    assert "not linked: node_modules: git would not ignore the link" in said
    assert (tmp_path / "excludes").read_text() == "/.worktreelink\n"


def test_odd_names_are_excluded_by_patterns_that_fit_them_alone(rich, git):
    (rich / ".gitignore").write_text("odd*/\n")
    git("commit", "-qam", "Odd", cwd=rich)
    for name in ("odd *", "odd[x]", "odd\\", "odd#!"):
        (rich / name).mkdir()
        (rich / name / "f").touch()
    link(rich, "odd*")
    top, said = made(rich)
    assert said == ""
    assert all((top / name).is_symlink() for name in ("odd *", "odd[x]", "odd\\", "odd#!"))
    assert git("status", "--porcelain", cwd=top) == ""
    (top / "odd x").touch()
    assert "odd x" in git("status", "--porcelain", "-z", cwd=top)


def test_what_is_linked_is_not_copied_too(rich):
    include(rich, "*")
    link(rich, "node_modules/a", "build")
    top, said = made(rich)
    assert said == ""
    assert (top / "node_modules" / "a").is_symlink()
    assert (top / "build").is_symlink()
    assert (top / ".env").is_file()


def test_relative_links_where_git_makes_its_own_relative(rich, git):
    git("config", "worktree.useRelativePaths", "true", cwd=rich)
    link(rich, "build", "src/x.log")
    top, _ = made(rich)
    assert not os.readlink(top / "build").startswith("/")
    assert (top / "build" / "out").read_text() == "out"
    assert (top / "src" / "x.log").read_text() == "log"


@pytest.mark.parametrize("way", ["trash", "purge", "git", "undo"])
def test_what_links_lead_to_stays_whatever_becomes_of_the_worktree(rich, git, way):
    link(rich, "build", "node_modules")
    include(rich, ".env")
    before = snapshot(rich / "build", rich / "node_modules", rich / ".env")
    if way == "undo":
        hook = rich / ".git" / "hooks" / "post-checkout"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        assert call("new-worktree", "w1", cwd=rich).code == 1
    else:
        top, _ = made(rich)
        shown = ok("worktree", "show", "w1", "--json", cwd=rich).json
        # The two links and .env; not what the links lead to.
        assert (shown["ignored"], shown["untracked"]) == (3, 0)
        assert shown["doubts"] == ["its session is Running, 'prodigy-git finish w1' ends it"]
        if way == "git":
            git("worktree", "remove", "--force", top, cwd=rich)
        else:
            ok("finish", "w1", cwd=rich)
            more = ("--purge", "--yes") if way == "purge" else ()
            ok("worktree", "clean", "w1", *more, cwd=rich)
        if way == "trash":
            ok("worktree", "restore", "w1", cwd=rich)
            assert (top / "build" / "out").read_text() == "out"
            assert (top / ".env").exists()
    assert snapshot(rich / "build", rich / "node_modules", rich / ".env") == before


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


def test_what_vanishes_or_becomes_something_else_is_passed_over(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    for name in ("gone", "pipe", "link", "stays"):
        (source / "d" / name).write_text(name)
    way = measuring.Way(str(source))
    found = measuring.measure(way, "d/", 1 << 30, measuring.Never((0, 0)))
    way.close()
    for name in ("gone", "pipe", "link"):
        (source / "d" / name).unlink()
    os.mkfifo(source / "d" / "pipe")
    (source / "d" / "link").symlink_to("stays")
    done = copying.copy(str(source), str(target), found.folders, found.same, lambda _: None)
    assert os.listdir(target / "d") == ["stays"]
    assert sorted(done.passed_over) == ["d/gone", "d/link", "d/pipe"]
    assert (done.files, done.bytes) == (1, 5)


def test_a_folder_that_has_become_a_link_is_not_entered(tmp_path):
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    for folder in (source / "d" / "in", target, outside):
        folder.mkdir(parents=True)
    (source / "d" / "in" / "f").write_text("f")
    (outside / "f").write_text("secret")
    way = measuring.Way(str(source))
    found = measuring.measure(way, "d/", 1 << 30, measuring.Never((0, 0)))
    way.close()
    (source / "d" / "in" / "f").unlink()
    (source / "d" / "in").rmdir()
    (source / "d" / "in").symlink_to(outside)
    done = copying.copy(str(source), str(target), found.folders, found.same, lambda _: None)
    assert done.files == 0
    assert list(done.passed_over) == ["d/in"]


def test_trees_deeper_than_a_path_may_be_long(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    descriptor = os.open(source, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("x" * 100, dir_fd=descriptor)
        below = os.open("x" * 100, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    way = measuring.Way(str(source))
    found = measuring.measure(way, f"{'x' * 100}/", 1 << 30, measuring.Never((0, 0)))
    way.close()
    done = copying.copy(str(source), str(target), found.folders, found.same, lambda _: None)
    assert (done.files, done.passed_over) == (1, {})
    way = measuring.Way(str(target))
    assert os.listdir(way.to("/".join(["x" * 100] * 60))) == ["f"]
    way.close()


@pytest.mark.parametrize("size", [0, 1, 4095, 5_000_000])
def test_the_bytes_are_the_same_however_they_are_copied(tmp_path, monkeypatch, size):
    """Without copy_file_range(2), as between some filesystems, too."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    data = os.urandom(size)
    (source / "d" / "f").write_bytes(data)
    for number, refuse in enumerate((False, True)):
        (target / str(number)).mkdir(parents=True)
        if refuse:
            monkeypatch.delattr(os, "copy_file_range")
        folders = [measuring.Folder("d", ["f"])]
        done = copying.copy(str(source), f"{target}/{number}", folders, {}, lambda _: None)
        assert (target / str(number) / "d" / "f").read_bytes() == data
        assert (done.files, done.bytes) == (1, size)


def test_attributes_come_along(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "d" / "f").write_text("f")
    try:
        os.setxattr(source / "d" / "f", "user.origin", b"here")
    except OSError:
        pytest.skip("no attributes on this filesystem")
    copying.copy(str(source), str(target), [measuring.Folder("d", ["f"])], {}, lambda _: None)
    assert os.getxattr(target / "d" / "f", "user.origin") == b"here"
    assert stat.S_IMODE(os.stat(target / "d" / "f").st_mode) == stat.S_IMODE(
        os.stat(source / "d" / "f").st_mode
    )
    assert ignored_files.LIMIT == 2 << 30


ENDS = {"error=ENOSPC:when=20+": 1, "signal=TERM:when=20": 130, "signal=INT:when=20": 130}


@pytest.mark.skipif(not can_trace(), reason="takes strace")
@pytest.mark.parametrize("fault", ENDS)
def test_a_full_disk_or_a_signal_in_the_middle_leaves_nothing(rich, store, fault):
    for number in range(200):
        (rich / "node_modules" / "a" / f"f{number}").write_text(f"{number}")
    include(rich, "node_modules")
    before, theirs = left_of(rich, store), snapshot(rich)
    program = [sys.executable, "-m", "prodigy_git", "new-worktree", "w1"]
    # With -f: the threads copy.
    traced = ["strace", "-f", "-o", os.devnull, "-e", "trace=copy_file_range"]
    done = subprocess.run(
        [*traced, "-e", f"inject=copy_file_range:{fault}", *program],
        cwd=rich, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (ENDS[fault], "")
    assert done.stderr.count("\n") == 1
    assert ("No space left" if "ENOSPC" in fault else "interrupted") in done.stderr
    assert left_of(rich, store) == before
    assert _without_git(snapshot(rich), rich) == _without_git(theirs, rich)


def _without_git(found: dict[str, Any], top: Path) -> dict[str, Any]:
    return {path: one for path, one in found.items() if not path.startswith(f"{top}/.git/")}


@pytest.mark.skipif(not can_trace(), reason="takes strace")
def test_killed_in_the_middle_the_next_command_says_so_and_clean_takes_it(rich, store, git):
    for number in range(200):
        (rich / "node_modules" / "a" / f"f{number}").write_text(f"{number}")
    include(rich, "node_modules")
    ok("install", cwd=rich)
    theirs = snapshot(rich / "node_modules")
    program = [sys.executable, "-m", "prodigy_git", "new-worktree", "w1"]
    traced = ["strace", "-f", "-o", os.devnull, "-e", "trace=copy_file_range"]
    subprocess.run(
        [*traced, "-e", "inject=copy_file_range:signal=KILL:when=20", *program],
        cwd=rich, env=environment(), capture_output=True, check=False,
    )  # fmt: skip
    done = ok("sessions", "list", "--json", cwd=rich)
    assert [(one["session_id"], one["status"]) for one in done.json] == [("w1", "Cancelled")]
    assert "w1: its set-up was interrupted, and its session is Cancelled" in done.err
    assert "'prodigy-git new-worktree' makes another" in done.err
    new(rich, "w2")
    ok("worktree", "clean", "w1", cwd=rich)
    assert _inside(store / "worktrees" / "repo" / "w2" / "node_modules") == _inside(
        rich / "node_modules"
    )
    assert snapshot(rich / "node_modules") == theirs
