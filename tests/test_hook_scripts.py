"""The shell scripts themselves, under each shell, with real git."""

import importlib
import os
import re
import shutil
import signal
import stat
from pathlib import Path

import pytest
from hooks_support import World

from prodigy_git.hookfiles import HOOKS, look, package_folder, source_path

SHELLS = {
    "dash": ["dash"],
    "bash": ["bash"],
    "bash-posix": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "world", monkeypatch)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, world: World) -> World:
    """A world whose hooks are installed and run by one shell."""
    command = SHELLS[request.param]
    found = shutil.which(command[0])
    if found is None:
        pytest.skip(f"NOT TESTED: {command[0]} is not installed")
    world.install()
    # As far as the script can tell nothing differs: the same text, read by another shell.
    wrapper = world.root / "shell"
    wrapper.write_text("#!/bin/sh\nexec " + " ".join([found, *command[1:]]) + ' "$@"\n')
    wrapper.chmod(0o755)
    for hook in HOOKS:
        path = world.hooks / hook
        path.write_bytes(path.read_bytes().replace(b"#!/bin/sh", b"#!" + bytes(wrapper), 1))
    return world


def test_every_hook_hands_over_its_arguments(shell: World) -> None:
    shell.commit()
    assert shell.calls() == ["post-commit"]
    shell.git("commit", "-q", "--amend", "--allow-empty", "-m", "y")
    assert shell.calls() == ["post-commit", "post-rewrite|amend"]
    (shell.repo / ".git" / "prodigy").touch()
    shell.git("checkout", "-q", "-b", "side")
    head = shell.git("rev-parse", "HEAD").stdout.strip()
    assert shell.calls() == [f"post-checkout|{head}|{head}|1"]
    shell.commit()
    shell.git("checkout", "-q", "main")
    shell.calls()
    shell.git("merge", "-q", "side")
    assert shell.calls() == ["post-merge|0"]
    (shell.repo / "f").write_text("1")
    shell.git("add", "f")
    shell.git("commit", "-q", "-m", "f")
    patch = shell.git("format-patch", "-1", "--stdout").stdout
    (shell.root / "p").write_text(patch)
    shell.git("reset", "-q", "--hard", "HEAD^")
    shell.calls()
    shell.git("am", "-q", str(shell.root / "p"))
    assert shell.calls() == ["post-applypatch"]


@pytest.mark.parametrize(("backend", "at_end"), [("--merge", True), ("--apply", True)])
def test_a_rebase_is_reported_once_at_its_end(shell: World, backend: str, at_end: bool) -> None:
    (shell.repo / ".git" / "prodigy").touch()
    shell.git("checkout", "-q", "-b", "side")
    for name in "ab":
        (shell.repo / name).write_text(name)
        shell.git("add", name)
        shell.git("commit", "-q", "-m", name)
    shell.git("checkout", "-q", "main")
    shell.commit()
    shell.git("checkout", "-q", "side")
    shell.calls()
    shell.git("rebase", "-q", backend, "main")
    calls = shell.calls()
    # The apply backend checks out before it makes its folder.
    assert calls[-1] == "post-rewrite|rebase"
    assert [c for c in calls if not c.startswith("post-checkout")] == ["post-rewrite|rebase"]


def test_a_new_worktree_is_reported_another_checkout_is_not(shell: World) -> None:
    shell.git("checkout", "-q", "-b", "side")
    assert shell.calls() == []
    shell.git("worktree", "add", "-q", "--detach", str(shell.root / "new tree"))
    head = shell.git("rev-parse", "HEAD").stdout.strip()
    assert shell.calls() == [f"post-checkout|{'0' * 40}|{head}|1"]


def test_leaving_an_unborn_branch_makes_no_worktree(shell: World) -> None:
    shell.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    shell.git("checkout", "-q", "main")
    assert shell.calls() == []


def test_an_interrupt_leaves_nothing_on_the_terminal(shell: World) -> None:
    done = shell.commit(STUB_INTERRUPT="1")
    assert (done.stderr, shell.calls()) == ("", ["post-commit"])


def test_sha256_repository(world: World) -> None:
    other = world.root / "sha256"
    world.git("init", "-q", "--object-format=sha256", str(other), cwd=world.root)
    world.commit(other)
    world.install(other)
    world.git("worktree", "add", "-q", "--detach", str(world.root / "w"), cwd=other)
    assert world.calls()[0].startswith(f"post-checkout|{'0' * 64}|")


def test_auto_register_off(shell: World) -> None:
    shell.git("config", "prodigy.autoRegister", "no")
    shell.commit()
    assert shell.calls() == []
    (shell.repo / ".git" / "prodigy").touch()
    shell.commit()
    assert shell.calls() == ["post-commit"]


def test_silence_stops_ours_but_not_the_chained_hook(world: World) -> None:
    world.own()
    world.install()
    world.commit(PRODIGY_GIT_SILENCE="1")
    assert (world.calls(), world.others()) == ([], ["own"])


def test_missing_package_says_so_once_per_worktree(shell: World) -> None:
    (shell.package / "prodigy_git" / "record" / "hook.py").unlink()
    first = shell.commit()
    assert first.stderr.count("\n") == 1
    assert "is gone; run 'prodigy-git install' again" in first.stderr
    assert shell.commit().stderr == ""


def test_a_half_replaced_package_is_one_line_and_then_recorded_again(shell: World) -> None:
    hook = shell.package / "prodigy_git" / "record" / "hook.py"
    whole = hook.read_text()
    hook.write_text("import prodigy_git.record.not_there_yet\n" + whole)
    first = shell.commit()
    assert first.returncode == 0
    assert first.stderr.count("\n") == 1
    assert "cannot run" in first.stderr
    assert shell.commit().stderr == ""
    hook.write_text(whole)
    assert shell.commit().stderr == ""
    assert shell.calls() == ["post-commit"]
    # Said once for each time that it happens.
    hook.write_text("def main(:")
    assert shell.commit().stderr.count("\n") == 1


def test_an_interpreter_that_starts_and_fails_is_one_line(shell: World) -> None:
    python = shell.root / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\n' Fatal Python error init_fs_encoding >&2\nexit 1\n")
    python.chmod(0o755)
    path = shell.hooks / "post-commit"
    text = path.read_text()
    baked = text.split("\nprodigy_python=")[1].split("\n")[0]
    path.write_text(text.replace(f"prodigy_python={baked}", f"prodigy_python='{python}'"))
    first = shell.commit()
    assert first.returncode == 0
    assert first.stderr.count("\n") == 1
    assert f"{python} cannot run" in first.stderr
    assert shell.commit().stderr == ""


def test_what_our_own_code_says_is_seen(shell: World) -> None:
    hook = shell.package / "prodigy_git" / "record" / "hook.py"
    hook.write_text(
        "import os, sys\ndef main(*_):\n    sys.stderr.write('a word\\n')\n"
        "    sys.stderr.flush()\n    os._exit(0)\n"
    )
    assert shell.commit().stderr == "a word\n"


def test_missing_interpreter_and_new_install(world: World) -> None:
    world.install()
    path = world.hooks / "post-commit"
    found = look(str(path))
    assert found is not None
    assert found.runtime is not None
    path.write_text(path.read_text().replace(found.runtime.python, "/nowhere/python"))
    assert "/nowhere/python is gone" in world.commit().stderr
    assert (world.repo / ".git" / "prodigy-hook-warned").exists()
    world.install(force=True)
    assert not (world.repo / ".git" / "prodigy-hook-warned").exists()
    assert world.commit().stderr == ""
    assert world.calls() == ["post-commit"]


@pytest.mark.parametrize("status", [1, 7, 255])
def test_the_chained_status_is_the_status(world: World, status: int) -> None:
    world.own("post-checkout", f'echo "$*" >&2; exit {status}')
    before = world.git("worktree", "add", "-q", "--detach", str(world.root / "a"), check=False)
    world.install()
    after = world.git("worktree", "add", "-q", "--detach", str(world.root / "b"), check=False)
    assert before.returncode == after.returncode == status
    assert before.stderr == after.stderr
    assert len(world.calls()) == 1


def test_a_chained_hook_killed_by_a_signal(world: World) -> None:
    world.own("post-checkout", "kill -TERM $$")
    world.install()
    done = world.run(str(world.hooks / "post-checkout"), "a", "b", "1", check=False)
    assert done.returncode == 128 + signal.SIGTERM


def test_our_own_status_never_counts(shell: World) -> None:
    (shell.repo / ".git" / "prodigy").touch()
    done = shell.git("checkout", "-q", "-b", "side", STUB_EXIT="3")
    assert (done.returncode, done.stderr.count("\n"), len(shell.calls())) == (0, 1, 1)


@pytest.mark.parametrize("second", [False, True])
def test_post_rewrite_input_reaches_each_chained_hook(world: World, second: bool) -> None:
    world.own("post-rewrite", f"cat >> '{world.ran}'")
    world.install()
    if second:  # as after a manager has moved ours away
        ours = world.hooks / "post-rewrite"
        ours.unlink()
        world.own("post-rewrite", f"cat >> '{world.ran}'", name="later")
        world.install()
    old = world.git("rev-parse", "HEAD").stdout.strip()
    world.git("commit", "-q", "--amend", "--allow-empty", "-m", "new text")
    new = world.git("rev-parse", "HEAD").stdout.strip()
    expected = ["own", f"{old} {new}"] + (["later", f"{old} {new}"] if second else [])
    assert world.others() == expected


def test_a_loop_through_a_chained_hook_ends(world: World) -> None:
    world.own("post-commit", '"${0%.prodigy-chained}"')
    world.install()
    world.commit()
    assert (world.calls(), world.others()) == (["post-commit"], ["own"])


def test_a_commit_made_by_a_chained_hook_is_a_call_of_its_own(world: World) -> None:
    if not os.access("/proc/self/comm", os.R_OK):
        pytest.skip("NOT TESTED: without /proc the inner commit is recorded late")
    world.own("post-commit", "[ -e done ] || { : > done; git commit -q --allow-empty -m inner; }")
    world.install()
    world.commit()
    assert world.calls() == ["post-commit", "post-commit"]


def test_an_ordinary_commit_starts_a_shell_and_a_python_and_nothing_else(world: World) -> None:
    world.install()
    (world.repo / ".git" / "prodigy").touch()
    empty = world.root / "empty"
    empty.mkdir()
    # With nothing on PATH, a `git`, `cat` or `dirname` would complain.
    done = world.run(str(world.hooks / "post-commit"), PATH=str(empty))
    assert (done.stdout, done.stderr, world.calls()) == ("", "", ["post-commit"])
    text = (world.hooks / "post-commit").read_text()
    assert "LEFTHOOK" not in text


def test_bare_repository(world: World) -> None:
    bare = world.root / "bare.git"
    world.git("clone", "-q", "--bare", str(world.repo), str(bare), cwd=world.root)
    world.install(bare)
    world.git("worktree", "add", "-q", "--detach", str(world.root / "w"), cwd=bare)
    assert [call.split("|")[0] for call in world.calls()] == ["post-checkout"]
    world.commit(world.root / "w")
    assert world.calls() == ["post-commit"]


def test_hooks_are_executable_under_the_umask(world: World) -> None:
    old = os.umask(0o027)
    try:
        world.install()
    finally:
        os.umask(old)
    assert stat.S_IMODE((world.hooks / "post-commit").stat().st_mode) == 0o750


def test_what_installed_scripts_call_keeps_its_place() -> None:
    """Copies lie in repositories, and a shell may read one while pip replaces the package."""
    called = {}
    for name in ("guard", "wake", "agent-hook"):
        text = Path(source_path(name)).read_text()
        called |= dict(re.findall(r"from (prodigy_git[.\w]*) import ([\w,]+)", text))
        for path in re.findall(r"prodigy_git/[\w/]+\.py", text):
            assert (Path(package_folder()) / path).is_file()
    assert called == {
        "prodigy_git.record.hook": "main,os",
        "prodigy_git.record.recorder": "main",
        "prodigy_git.record.agent_hook": "main",
    }
    for module, names in called.items():
        assert set(names.split(",")) <= set(vars(importlib.import_module(module)))
