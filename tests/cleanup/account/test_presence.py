"""Who is in a worktree: real processes that stand in it, and git's lock files."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support_cli import call, new, ok, rewrite_session, session_file

from prodigy_git.cleanup.account import presence
from prodigy_git.record.gitdir import find
from prodigy_git.store import sessions


@pytest.fixture
def tree(repo):
    made = new(repo, "w1")
    ok("finish", "w1", cwd=repo)
    return Path(made["worktree"])


@contextlib.contextmanager
def standing(cwd, code="import sys; sys.stdin.read()"):
    """A process with its working directory in ``cwd``, alive until the end of the block."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True); {code}"],
        cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("where", [".", "sub/deeper", "link"])
def test_a_live_process_inside_keeps_it_forced_or_not(repo, tree, where):
    (tree / "sub" / "deeper").mkdir(parents=True)
    (tree / "link").symlink_to("sub")
    with standing(tree / where) as child:
        for force in ((), ("-f",), ("-f", "--all", "--min-age", "0s")):
            names = () if "--all" in force else ("w1",)
            done = call("worktree", "clean", *names, *force, cwd=repo)
            assert f"(pid {child.pid}) stands in it" in done.out
            assert tree.is_dir()
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert not tree.exists()


def test_one_whose_name_begins_the_same_is_not_inside(repo, tree):
    beside = Path(f"{tree}-2")
    beside.mkdir()
    with standing(beside):
        ok("worktree", "clean", "w1", cwd=repo)


def test_a_process_in_the_private_git_directory(repo, tree):
    with standing(find(str(tree), {}).private) as child:
        assert f"(pid {child.pid})" in call("worktree", "clean", "-f", "w1", cwd=repo).out


def test_a_process_that_has_ended_and_was_not_waited_for_is_nobody(repo, tree):
    child = subprocess.Popen([sys.executable, "-c", ""], cwd=tree)
    # Ended, and a zombie: it can be waited for, and is left as it is.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        ok("worktree", "clean", "w1", cwd=repo)
    finally:
        child.wait()


def recorded(store, process, **more):
    metadata = {
        "host": os.uname().nodename,
        "pid": process.pid,
        "pid_started": psutil.Process(process.pid).create_time(),
        **more,
    }
    rewrite_session(store, "w2", metadata=metadata)
    return presence.recorded(sessions.load(str(store), "w2"))


def test_the_recorded_process_keeps_an_unfinished_session_only(repo, store, tmp_path):
    made = new(repo, "w2")
    with standing(tmp_path) as child:
        found = recorded(store, child)
        assert (found.pid, found.why) == (child.pid, "started its session")
        done = call("worktree", "clean", "-f", "w2", cwd=repo)
        assert f"(pid {child.pid}) started its session" in done.out
        # Another host's, another process of the same id, a process that the command descends from.
        assert recorded(store, child, host="elsewhere") is None
        assert recorded(store, child, pid_started=psutil.Process().create_time() - 3600) is None
        assert recorded(store, child, pid_started=None) is None
        assert recorded(store, child, pid="1") is None
        assert recorded(store, child, pid=-5) is None
        assert recorded(store, child, pid=2**70) is None
        assert recorded(store, psutil.Process().parent()) is None
        recorded(store, child)
        ok("finish", "w2", cwd=repo)
        assert recorded(store, child) is None
        ok("worktree", "clean", "w2", cwd=repo)
    assert not Path(made["worktree"]).exists()


def test_new_worktree_notes_when_the_process_began(repo, store, prodigy):
    made = json.loads(prodigy("new-worktree", "--json", cwd=repo, check=True).stdout)
    metadata = session_file(store, made["session_id"])["metadata"]
    assert metadata["pid"] == os.getpid()
    assert metadata["pid_started"] == pytest.approx(psutil.Process().create_time(), abs=2)


@pytest.mark.parametrize("force", [(), ("-f",)], ids=["", "-f"])
@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock"])
def test_a_young_lock_of_gits_keeps_it_and_an_old_one_is_a_doubt(repo, tree, name, force):
    lock = Path(find(str(tree), {}).private) / name
    lock.touch()
    done = call("worktree", "clean", "w1", *force, cwd=repo)
    assert f"git is at work in it ({name}" in done.out
    # A clock that was wrong must not make it young for ever.
    for age in (-3600, 61):
        os.utime(lock, (time.time() - age, time.time() - age))
        dry = call("worktree", "clean", "w1", *force, "--dry-run", cwd=repo)
        assert (dry.code, f"{name} left by a git command" in dry.out) == (0 if force else 1, True)


def test_a_lock_on_its_branch_counts(repo, tree):
    (repo / ".git" / "refs" / "heads" / "prodigy-w1.lock").touch()
    assert "prodigy-w1.lock" in call("worktree", "clean", "-f", "w1", cwd=repo).out


def test_a_folder_that_is_gone_has_nobody_in_it(repo, tree):
    with standing(tree):
        shutil.rmtree(tree)
        assert "it is not at" in call("worktree", "clean", "w1", cwd=repo).out
