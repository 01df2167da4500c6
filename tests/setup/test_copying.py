"""Copying what git ignores: byte for byte, of what changes meanwhile too, and ended in the middle."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support_cli import environment, left_of, new, ok, snapshot
from support_faults import can_trace
from support_ignored_files import include, inside, made

from prodigy_git.setup import copying, ignored_files, measuring


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
    assert inside(store / "worktrees" / "repo" / "w2" / "node_modules") == inside(
        rich / "node_modules"
    )
    assert snapshot(rich / "node_modules") == theirs
