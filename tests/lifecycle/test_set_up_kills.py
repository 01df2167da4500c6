"""new-worktree killed at each system call that changes something, while it is set up; then `clean`.

strace injects the kill (strace(1), ``inject``) into our process; a command that it has started goes on,
as after any kill. Afterwards a worktree is ready, or nobody's; nothing that was started is left behind.
"""

import re
import subprocess

import psutil
import pytest
from support_cli import PACKAGE_PARENT, call, environment, ok, session_file
from support_faults import KILL, STOP, can_trace, injected, run_traced
from support_setup import say, trust, until

from prodigy_git.setup.groups import MARK, is_marked

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: a set-up that is killed; strace or ptrace is missing"
)

CALLS = ("write", "rename", "mkdir", "unlink", "unlinkat", "vfork", "wait4")
TOML = """\
[setup]
run = ["echo one > one", "echo ready > ready"]
start = ["exec sleep 600"]
[teardown]
run = ["rm -f one"]
"""
PROGRAM = f"""
import sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.cli import run
import prodigy_git.cli.worktrees, prodigy_git.lifecycle.new_worktree, prodigy_git.setup.what_runs
import prodigy_git.setup.our_file, prodigy_git.setup.stages, prodigy_git.setup.background, psutil
import prodigy_git.setup.trust, prodigy_git.cli.trusting
{STOP}
sys.exit(run(sys.argv[2:]))
"""


def marked(store):
    """Return the processes of this store's set-ups."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except (psutil.Error, OSError):
            continue
        if MARK in env and env.get("PRODIGY_HOME") == str(store) and is_marked(process, env[MARK]):
            found.append(process)
    return found


def settled(repo, store):
    """Look twice, as the next commands do: first what was killed, then what that has left."""
    return [call("clean", "--yes", "--older-than", "0s", cwd=repo).err for _ in "12"]


@pytest.fixture
def world(repo, store, git):
    (repo / ".gitignore").write_text("one\nready\n")
    say(repo, git, TOML)
    trust(repo)
    root = repo.parent
    for name in ("repo", "store"):
        subprocess.run(["cp", "-a", name, f"kept-{name}"], cwd=root, check=True)

    def reset():
        again = "rm -rf repo store; cp -a kept-repo repo; cp -a kept-store store"
        subprocess.run(["sh", "-c", again], cwd=root, check=True)

    return reset


def run(repo, *traced):
    program = ["-P", "-c", PROGRAM, PACKAGE_PARENT, "new-worktree", "w1"]
    return run_traced(program, traced, env=environment(), cwd=repo).returncode


def points(repo):
    output = repo.parent / "strace.txt"
    assert run(repo, "strace", "-y", "-o", str(output), "-e", f"trace={','.join(CALLS)}") == 0
    found, counts, begun = [], dict.fromkeys(CALLS, 0), False
    for text in output.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", text)
        if match and match[1] in counts:
            counts[match[1]] += 1
            begun = begun or "/store/setup" in text
            if begun and (match[1] in ("vfork", "wait4") or f"{repo.parent}/" in text):
                found.append((match[1], counts[match[1]]))
    return found


def test_killed_anywhere_in_a_set_up_nothing_is_left_half(repo, store, git, world):
    some = points(repo)
    assert len(some) > 20
    ok("worktree", "clean", "w1", "--force", cwd=repo)
    cancelled = 0
    for name, number in [point for n, point in enumerate(some) if n % max(1, len(some) // 14) == 0]:
        world()
        killed = run(repo, *injected(name, f"{KILL}:when={number}")) != 0
        where = (name, number, killed)
        said = settled(repo, store)
        where = (*where, *said)
        assert not list(store.glob("setup/*.underway")), where
        path = store / "worktrees" / "repo" / "w1"
        if (store / "sessions" / "w1.json").exists():
            status = session_file(store, "w1")["status"]
            cancelled += status == "Cancelled"
            if status == "Running":
                assert (path / "ready").exists(), where
                assert marked(store), where
            elif status == "Initializing":  # before there was anything: it goes in a day
                assert not path.exists(), where
            else:
                assert status == "Cancelled", where
            call("worktree", "clean", "w1", "--force", cwd=repo)
        assert not path.exists(), where
        until(lambda: not marked(store))
        # A half written file goes with all such, when it is old.
        assert not [one for one in store.glob("setup/*") if one.suffix != ".new"], where
        assert git("branch", "--list", "prodigy*", cwd=repo) == "", where
    assert cancelled
