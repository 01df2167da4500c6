"""A merge killed at each system call that changes something, and then called again.

strace injects the kill (strace(1), ``inject``) into our process; a git that it has started goes on, as
after any kill. Afterwards everything is merged, once, and nothing is left.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT, environment, ok
from support_cli import call as run
from support_faults import KILL, STOP, can_trace, injected, run_traced
from support_merge import Team, line, sh

from prodigy_git.git.ask import git

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: a merge that is killed; strace or ptrace is missing"
)

CALLS = ("write", "ftruncate", "rename", "mkdir", "unlink", "unlinkat", "rmdir", "vfork", "wait4")
"""What changes something, begins a git, or waits for one."""
PROGRAM = f"""
import sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.cli import run
import prodigy_git.cli.merge, prodigy_git.merging.queue.merge_queue
import prodigy_git.merging.conflicts.foresee
import prodigy_git.lifecycle.whereabouts, concurrent.futures.thread
{STOP}
sys.exit(run(sys.argv[2:]))
"""


class Killed:
    """A team whose merge can be killed as often as wanted, each time from the same beginning."""

    def __init__(self, repo: Path, store: Path, *options: str) -> None:
        self.root, self.options = repo.parent, options
        self.team = Team(repo, store, "ab")
        self.team.each({"a": f"echo a >a; {line(3, 'a')}", "b": f"echo b >b; {line(20, 'b')}"})
        if "--undo" in options:
            self.team.merge("a", "b")
        for name in ("repo", "store"):
            sh(self.root, f"cp -a {name} kept-{name}")
        self.before = self.team.tip()

    def reset(self) -> None:
        sh(self.root, "rm -rf repo store; cp -a kept-repo repo; cp -a kept-store store")

    def run(self, *traced: str) -> int:
        program = ["-P", "-c", PROGRAM, PACKAGE_PARENT, "merge", *self.options]
        done = run_traced(program, traced, env=environment(), cwd=self.team.repo)
        return done.returncode

    def points(self) -> list[tuple[str, int]]:
        output = self.root / "strace.txt"
        done = self.run("strace", "-y", "-o", str(output), "-e", f"trace={','.join(CALLS)}")
        assert done == 0
        found, counts = [], dict.fromkeys(CALLS, 0)
        for text in output.read_text(errors="replace").splitlines():
            match = re.match(r"(\w+)\(", text)
            if match and match[1] in counts:
                counts[match[1]] += 1
                if match[1] in ("vfork", "wait4") or f"{self.root}/" in text:
                    found.append((match[1], counts[match[1]]))
        return found

    def check_ledger(self) -> None:
        (path,) = self.team.store.glob("state/repo/merges/*.jsonl")
        open_ones: set[str] = set()
        for text in path.read_text().splitlines():
            step = json.loads(text)
            (open_ones.add if step["step"] == "begun" else open_ones.discard)(step["id"])
        assert open_ones == set()


def only_some(points: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Each third or so: what lies between two that are tried leaves what one of them does."""
    step = max(1, len(points) // most)
    return [point for n, point in enumerate(points) if n % step == 0]


def test_a_merge_that_is_killed_is_finished_by_the_next(repo, store):
    world = Killed(repo, store, "a", "b")
    points = world.points()
    assert len(points) > 60
    happened = 0
    for name, number in only_some(points, 20):
        world.reset()
        # How often a git is waited for depends on how long it takes: the last waits may not be reached.
        killed = world.run(*injected(name, f"{KILL}:when={number}")) != 0
        assert killed or name == "wait4", (name, number)
        found = ok("merge", "a", "b", "--json", cwd=world.team.repo).json
        happened += bool(found["finished"])
        where = (name, number, found)
        assert world.team.files() == ["README", "a", "b", "f"], where
        events = [one["item_id"] for one in world.team.events("WorktreeMerged")]
        assert events == ["a", "b"], where
        assert sh(repo, "git log --merges --oneline | wc -l").strip() == "2", where
        assert world.team.is_clean(), where
        assert world.team.left() == [], where
        world.check_ledger()
    assert happened > 0


def test_an_undo_that_is_killed_is_finished_by_the_next(repo, store):
    world = Killed(repo, store, "--undo")
    happened = 0
    for name, number in only_some(world.points(), 8):
        world.reset()
        # How often a git is waited for depends on how long it takes: the last waits may not be reached.
        killed = world.run(*injected(name, f"{KILL}:when={number}")) != 0
        assert killed or name == "wait4", (name, number)
        # Whichever comes next settles it: it is undone, or it is not.
        found = ok("merge", "a", "b", "--json", cwd=world.team.repo).json
        states = {one["state"] for one in found["results"]}
        undone = [one["item_id"] for one in world.team.events("WorktreeMergeUndone")]
        where = (name, number, found)
        assert (states, undone) in (({"merged"}, ["a", "b"]), ({"already_merged"}, [])), where
        happened += bool(undone)
        assert world.team.files() == ["README", "a", "b", "f"], where
        assert world.team.is_clean(), where
        world.check_ledger()
    assert happened > 0


def test_giving_back_that_is_killed_can_be_done_again(repo, store):
    world = Killed(repo, store, "b", "--check", "false", "--requeue")
    for name, number in [("rename", n) for n in range(1, 7)] + [
        ("write", n) for n in range(1, 30, 3)
    ]:
        world.reset()
        world.run(*injected(name, f"{KILL}:when={number}"))
        ok("merge", "a", cwd=world.team.repo)
        found = ok("job", "show", "j", "--json", cwd=world.team.repo).json
        told = list(world.team.store.glob("state/*/mapreduce/jobs/j/conflicts/b.json"))
        assert found["pending"] in (0, 1), (name, number)
        assert found["pending"] <= len(told), (name, number)


def test_what_a_killed_call_has_left_is_removed(repo, store):
    team = Team(repo, store, "a")
    team.work("a", "echo a >a")
    left = team.store / "merging" / "repo"
    team.merge("a")
    (lock,) = (team.store / "locks").glob("merge-repo-*")
    key = lock.name.removeprefix("merge-repo-").removesuffix(".lock")
    shutil.copytree(team.repo, left / key / "0123abcd" / "tree", symlinks=True)
    shutil.copytree(team.repo, left / "other-0123abcd" / "4567cdef" / "tree", symlinks=True)
    team.merge("--undo")
    assert team.left() == []


_GIT = """#!/bin/sh
case "$*" in
*read-tree*)
	strace -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number} {git} "$@"
	kill -KILL $PPID
	;;
*) exec {git} "$@" ;;
esac
"""


def test_a_checkout_on_its_way_when_git_is_killed_too_gets_there(
    repo, store, tmp_path, monkeypatch
):
    def stopped(*arguments, **options):
        if "checkout-index" in arguments:
            raise KeyboardInterrupt
        return git(*arguments, **options)

    team = Team(repo, store, "a")
    sh(repo, "mkdir d; echo d >d/d; echo gone >gone; ln -s f link; chmod +x gone; git add .")
    sh(repo, "git commit -qm more")
    change = f"{line(3, 'a')}; git rm -qr gone d; echo file >d; ln -sf README link; seq 9999 >large"
    made = team.work("a", f"{change}; mkdir e; echo e >e/e; chmod +x f")
    for name in ("repo", "store"):
        sh(tmp_path, f"cp -a {name} kept-{name}")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    real = shutil.which("git")
    program = ["-P", "-c", PROGRAM, PACKAGE_PARENT, "merge", "a"]
    path = environment()["PATH"]
    halves = 0
    cases = [
        ("unlink", 1),
        ("unlink", 3),
        ("write", 2),
        ("write", 4),
        ("symlink", 1),
        ("rename", 1),
    ]
    for call, number in cases:
        sh(tmp_path, "rm -rf repo store; cp -a kept-repo repo; cp -a kept-store store")
        (bin_ / "git").write_text(_GIT.format(call=call, number=number, git=real))
        (bin_ / "git").chmod(0o755)
        run_traced(program, (), env=environment(PATH=f"{bin_}:{path}"), cwd=repo)
        where = call, number, sh(repo, "git status --porcelain")
        assert team.tip() != made["base_commit"], where
        halves += bool(where[2])
        if call == "symlink":  # what is somebody's is not touched, also there
            sh(repo, "echo mine >README")
            found = ok("merge", "a", "--json", cwd=repo).json
            assert not found["target_checkouts"][0]["followed"], where
            assert (repo / "README").read_text() == "mine\n", where
            continue
        if call == "write":  # killed once more, as it takes the checkout back
            with monkeypatch.context() as patched:
                patched.setattr("prodigy_git.merging.queue.half_followed.git", stopped)
                assert run("merge", "a", cwd=repo).code == 130, where
        found = ok("merge", "a", "--json", cwd=repo).json
        assert [one["item_id"] for one in found["finished"]] == ["a"], where
        assert team.is_clean(), where
        assert (repo / "d").read_text() == "file\n", where
        assert len(team.events("WorktreeMerged")) == 1, where
    assert halves > 3
