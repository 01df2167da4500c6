"""Signs of life: where not all processes can be seen, they decide for worktrees that are not named."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support_cli import new, ok, rewrite_session
from support_ordinary import ordinary as ordinary

from prodigy_git.cleanup.account import presence
from prodigy_git.record.gitdir import find

HOUR = 3600
OUTSIDE = "processes outside of this container (PID namespace)"


@pytest.fixture
def blind(monkeypatch):
    """What every ordinary user, and root in a container, has: processes that are out of sight."""
    monkeypatch.setattr(presence, "_out_of_sight", lambda own: [OUTSIDE])


@pytest.fixture
def tree(repo, store, monkeypatch):
    """A worktree whose last sign of life is three hours old, and whose session ended two hours ago."""
    (repo / ".gitignore").write_text("build/\n")
    (repo / "dir").mkdir()
    (repo / "dir" / "file").write_text("one\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "files", cwd=repo)
    with monkeypatch.context() as earlier:
        earlier.setenv("GIT_COMMITTER_DATE", f"{int(time.time()) - 3 * HOUR} +0000")
        top = Path(new(repo, "w1", "--job", "j")["worktree"])
        git("commit", "-q", "--allow-empty", "-m", "its work", cwd=top)
    (top / "build").mkdir()
    (top / "build" / "log").write_text("x")
    ok("finish", "w1", cwd=repo)
    times = {"started_at": stamp(3 * HOUR), "completed_at": stamp(2 * HOUR)}
    rewrite_session(store, "w1", checkpoints=[], **times)
    aged(top)
    return top


def git(*words, cwd):
    subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True)


def stamp(ago):
    return datetime.fromtimestamp(time.time() - ago, UTC).isoformat().replace("+00:00", "Z")


def aged(top):
    private = find(str(top), {}).private
    for path in [top, *top.rglob("*"), Path(private, "index")]:
        set_age(path, 3 * HOUR)


def set_age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def index(top, repo, store, ago):
    set_age(Path(find(str(top), {}).private, "index"), ago)


def folder(top, repo, store, ago):
    set_age(top, ago)


def changed_file(top, repo, store, ago):
    (top / "dir" / "file").write_text("changed\n")
    set_age(top / "dir" / "file", ago)


def deleted_file(top, repo, store, ago):
    (top / "dir" / "file").unlink()
    set_age(top / "dir", ago)


def untracked_file(top, repo, store, ago):
    (top / "dir" / "new").write_text("x")
    set_age(top / "dir" / "new", ago)


def ignored_file(top, repo, store, ago):
    set_age(top / "build" / "log", ago)


def old_lock(top, repo, store, ago):
    lock = Path(find(str(top), {}).private, "index.lock")
    lock.touch()
    set_age(lock, ago)


def commit(top, repo, store, ago):
    date = f"{int(time.time()) - ago} +0000"
    env = {**os.environ, "GIT_COMMITTER_DATE": date, "PRODIGY_GIT_SILENCE": "1"}
    subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=top, env=env, check=True
    )
    aged(top)


def event(top, repo, store, ago):
    ok("event", "add", "--type", "Note", "--session", "w1", "--job", "j", cwd=repo)
    (log,) = (store / "events").glob("*/j/*.jsonl")
    lines = log.read_text().splitlines()
    last = json.loads(lines[-1])
    last["timestamp"] = stamp(ago)
    log.write_text("\n".join([*lines[:-1], json.dumps(last, separators=(",", ":"))]) + "\n")


SIGNS = [
    (index, "its index was written"),
    (folder, "files came or went in its folder"),
    (changed_file, "dir/file was written"),
    (deleted_file, "dir/file was removed"),
    (untracked_file, "dir/new was written"),
    (ignored_file, "build/log was written"),
    (old_lock, "git wrote index.lock"),
    (commit, "its HEAD moved"),
    (event, "it recorded Note"),
]
ALL = ("worktree", "clean", "--all", "-f")


@pytest.mark.parametrize(("sign", "words"), SIGNS, ids=[one.__name__ for one, _ in SIGNS])
def test_a_sign_of_life_after_the_end_keeps_it_from_all(repo, store, tree, blind, sign, words):
    sign(tree, repo, store, HOUR + 60)
    kept = ok(*ALL, cwd=repo).out
    assert f"w1: kept ({words} 1h 01m ago, after its session's end" in kept
    assert f"no seeing {OUTSIDE}, left alone until it is " in kept
    dry = ok(*ALL, "--min-age", "1h", "--dry-run", cwd=repo).out
    assert "w1: would be cleaned" in dry
    # By name it goes, and that is said.
    done = ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert f"{words} 1h 01m ago, after its session's end, and there is no seeing" in done.out
    assert OUTSIDE in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("sign", [one for one, _ in SIGNS], ids=[one.__name__ for one, _ in SIGNS])
def test_before_its_end_everything_is_its_own(repo, store, tree, blind, sign):
    sign(tree, repo, store, 2 * HOUR + 60)
    assert "w1: cleaned" in ok(*ALL, "--min-age", "100h", cwd=repo).out


def test_where_all_are_seen_nobody_asks_for_signs(repo, store, tree, all_seen):
    untracked_file(tree, repo, store, HOUR)
    assert "w1: cleaned" in ok(*ALL, "--min-age", "90m", cwd=repo).out


def test_an_unfinished_session_is_kept_by_any_sign(repo, store, tree, blind):
    rewrite_session(store, "w1", status="Running", completed_at=None)
    said = ok(*ALL, "--min-age", "4h", cwd=repo).out
    assert "ago, its session is Running, and there is no seeing" in said
    assert "w1: cleaned" in ok(*ALL, "--min-age", "170m", cwd=repo).out


def test_a_clock_that_was_wrong_keeps_nothing_for_ever(repo, store, tree, blind):
    untracked_file(tree, repo, store, -HOUR)
    assert "w1: cleaned" in ok(*ALL, "--min-age", "100h", cwd=repo).out


def test_gc_in_another_worktree_is_no_sign(repo, tree, blind):
    git("gc", "-q", cwd=repo)
    assert "w1: cleaned" in ok(*ALL, "--min-age", "100h", cwd=repo).out


def test_looking_is_no_sign(repo, tree, blind):
    for _ in range(2):
        ok("worktree", "show", "w1", cwd=repo)
        ok("worktree", "ls", cwd=repo)
        ok("verify", cwd=repo)
    assert "w1: cleaned" in ok(*ALL, "--min-age", "100h", cwd=repo).out


def test_finish_and_then_clean_all_as_an_ordinary_user(ordinary):
    top = Path(ordinary.ok("new-worktree", "w1").strip())
    (top / "new").write_text("x")
    for words in (("add", "new"), ("commit", "-qm", "new")):
        assert ordinary.run("git", *words, cwd=top).returncode == 0
    ordinary.ok("finish", cwd=top)
    done = ordinary.prodigy("worktree", "clean", "--all", cwd=top)
    assert "w1: cleaned" in done.stdout
    assert "no seeing" not in done.stderr
    ordinary.ok("worktree", "restore", "w1")
    done = ordinary.prodigy("worktree", "clean", "w1")
    assert "w1: cleaned" in done.stdout
    assert "no seeing " in done.stderr


def test_somebody_whom_an_ordinary_user_cannot_see(ordinary):
    top = Path(ordinary.ok("new-worktree", "w1").strip())
    ordinary.ok("finish", "w1")
    # Root stands in there and works on, as in a container that shares the folder.
    # Its work is dated a little ahead, so that the test need not wait.
    command = ["sh", "-c", "touch -d '10 seconds' .; echo; read line"]
    with subprocess.Popen(
        command, cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as unseen:
        assert unseen.stdout.readline() == b"\n"
        kept = ordinary.prodigy("worktree", "clean", "--all", "-f", "--min-age", "1h").stdout
        assert "w1: kept (" in kept
        assert "files came or went in its folder" in kept
        unseen.communicate()
