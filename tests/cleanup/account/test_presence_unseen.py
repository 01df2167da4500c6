"""Processes that have another path for the same folder, and those that cannot be seen at all."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import call, new, ok
from support_mounts import mounted, needs_mounts
from support_ordinary import ordinary as ordinary

from prodigy_git.cleanup.account import presence
from prodigy_git.record.gitdir import find

PYTHON = [sys.executable, "-c"]
WAIT = "print(flush=True); import sys; sys.stdin.read()"


@pytest.fixture
def tree(repo):
    made = new(repo, "w1")
    ok("finish", "w1", cwd=repo)
    (Path(made["worktree"]) / "sub").mkdir()
    return Path(made["worktree"])


@contextlib.contextmanager
def alive(*command, cwd="/"):
    """A command that prints a line once it is ready, alive until the end of the block."""
    child = subprocess.Popen(
        [*map(str, command)], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"\n"
        yield child
    finally:
        child.communicate()


def needs_first_pids():
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
        pytest.skip("this is a container")


def kept(repo, *, by):
    done = call("worktree", "clean", "-f", "w1", cwd=repo)
    assert by in done.out
    assert done.code == 1


def test_a_bind_mount_is_another_path_of_the_same_folder(repo, tree, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with mounted(other, tree.parent), alive(*PYTHON, WAIT, cwd=other / "w1" / "sub") as child:
        kept(repo, by=f"(pid {child.pid}) stands in it")
    ok("worktree", "clean", "-f", "w1", cwd=repo)


@pytest.mark.parametrize("part", ["w1", "w1/sub"])
def test_a_process_of_another_mount_namespace(repo, tree, tmp_path, part):
    needs_mounts()
    (tmp_path / "other").mkdir()
    script = f"mount --bind {tree.parent} other; cd other/{part}; echo; read line"
    with alive("unshare", "--mount", "sh", "-c", script, cwd=tmp_path) as child:
        assert not (tmp_path / "other" / "w1").exists()
        kept(repo, by=f"(pid {child.pid}) stands in it")
    ok("worktree", "clean", "-f", "w1", cwd=repo)


def test_a_process_of_another_pid_namespace(repo, tree):
    needs_mounts()
    script = "echo; read line"
    with alive("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, cwd=tree):
        kept(repo, by=") stands in it")


@pytest.mark.parametrize("own_mounts", [False, True])
@pytest.mark.parametrize("root", ["..", ".", "sub"])
def test_a_process_whose_root_is_in_there(repo, tree, root, own_mounts):
    needs_mounts()
    where = "/w1" if root == ".." else "/"
    code = f"import os; os.chroot({str(tree / root)!r}); os.chdir({where!r}); {WAIT}"
    unshare = ["unshare", "--mount"] if own_mounts else []
    with alive(*unshare, *PYTHON, code) as child:
        kept(repo, by=f"(pid {child.pid}) stands in it")


def test_a_container_that_has_it_mounted_and_stands_elsewhere(repo, tree, tmp_path):
    needs_mounts()
    (tmp_path / "other").mkdir()
    script = f"mount --bind {tree}/sub other; cd /; echo; read line"
    with alive("unshare", "--mount", "sh", "-c", script, cwd=tmp_path) as child:
        kept(repo, by=f"(pid {child.pid}) has it mounted at {tmp_path}/other")


def test_one_that_has_the_folder_above_is_not_in_it(repo, tree, tmp_path):
    needs_mounts()
    (tmp_path / "other").mkdir()
    script = f"mount --bind {tree.parent} other; cd other; echo; read line"
    with alive("unshare", "--mount", "sh", "-c", script, cwd=tmp_path):
        ok("worktree", "clean", "-f", "w1", cwd=repo)


def test_the_asking_shell_is_known_from_a_pid_namespace_of_its_own(repo, tree):
    needs_mounts()
    command = f"{sys.executable} -m prodigy_git worktree clean -f w1"
    # /proc is still the outer one: there this process has another number.
    done = subprocess.run(
        ["sh", "-c", f"unshare --pid --fork {command}; :"], cwd=tree,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "w1: cleaned" in done.stdout, done


def test_all_is_seen_by_root_outside_of_containers(repo, tree):
    needs_mounts()
    needs_first_pids()
    sight = presence.scan()
    assert (sight.unseen, sight.why) == (0, [])
    shown = ok("worktree", "show", "w1", "--json", cwd=repo).json
    assert (shown["unseen_processes"], shown["unseen"]) == (0, [])
    assert "not seen" not in ok("worktree", "show", "w1", cwd=repo).out


def test_a_container_says_that_it_cannot_see_what_is_outside(repo, tree):
    needs_mounts()
    needs_first_pids()
    command = [sys.executable, "-m", "prodigy_git", "worktree", "show", "w1", "--json"]
    for more, said in (
        (["--mount-proc"], ["processes outside of this container (PID namespace)"]),
        ([], []),  # with the outer /proc all are seen
    ):
        done = subprocess.run(
            ["unshare", "--pid", "--fork", *more, *command], cwd=repo, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["unseen"] == said


def test_a_session_of_another_host_is_out_of_sight(repo, store, tree):
    path = store / "sessions" / "w1.json"
    fields = json.loads(path.read_text())
    fields["metadata"]["host"] = "elsewhere"
    path.write_text(json.dumps(fields))
    assert (
        "processes on elsewhere, where its session began"
        in ok("worktree", "show", "w1", cwd=repo).out
    )


def test_an_ordinary_user_is_told_how_many_are_out_of_sight(ordinary):
    ordinary.ok("new-worktree", "w1")
    with alive("sh", "-c", "echo; read line"):
        shown = json.loads(ordinary.ok("worktree", "show", "w1", "--json"))
    assert shown["unseen_processes"] > 0
    assert shown["unseen"][0].startswith(f"{shown['unseen_processes']} process")
    # Threads of the kernel are not among them.
    kernels = sum(presence._is_kernels(name) for name in filter(str.isdigit, os.listdir("/proc")))
    there = sum(map(str.isdigit, os.listdir("/proc")))
    assert shown["unseen_processes"] <= there - kernels
    assert " of other users\n" in ordinary.ok("worktree", "show", "w1")


def test_an_ordinary_user_sees_another_users_container_by_its_mounts(ordinary):
    needs_mounts()
    top = Path(ordinary.ok("new-worktree", "w1").strip())
    ordinary.ok("finish", "w1")
    script = f"mount --bind {top} /mnt; cd /mnt; echo; read line"
    with alive("unshare", "--mount", "sh", "-c", script) as child:
        done = ordinary.prodigy("worktree", "clean", "-f", "w1")
        assert f"(pid {child.pid}) has it mounted at /mnt" in done.stdout


@pytest.mark.parametrize("option", ["1", "2"])
def test_hidepid_is_said(ordinary, option):
    needs_mounts()
    ordinary.ok("new-worktree", "w1")
    mount = f"mount -t proc -o hidepid={option} proc /proc && "
    uid = os.stat(ordinary.repo).st_uid
    inner = f"setpriv --reuid={uid} --regid={uid} --clear-groups "
    command = f"{inner} {sys.executable} -m prodigy_git worktree show w1 --json"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount + command], cwd=ordinary.repo, env=ordinary.env,
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    shown = json.loads(done.stdout)
    hidden = "processes of other users that /proc hides (hidepid)"
    assert (hidden in shown["unseen"]) is (option == "2")
    assert (shown["unseen_processes"] > 0) is (option == "1")


def test_without_proc_psutil_is_asked(repo, tree, monkeypatch):
    monkeypatch.setattr(presence.mounts, "own", lambda: None)
    with alive(*PYTHON, WAIT, cwd=tree / "sub") as child:
        place = find(str(tree), {})
        (found,) = presence.inside(place, presence.scan())
        assert (found.pid, found.why) == (child.pid, "stands in it")


def test_without_proc_nothing_is_cleaned_and_that_is_said_in_words(repo, tree, tmp_path):
    """As in a chroot."""
    needs_mounts()
    (tmp_path / "empty").mkdir()
    script = 'mount --bind "$1" /proc && exec "$2" -m prodigy_git worktree clean -f w1'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path / "empty", sys.executable],
        cwd=repo, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("prodigy-git: error: nobody can tell here which processes")
    assert tree.is_dir()
