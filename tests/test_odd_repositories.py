"""Repositories away from their worktree, not trusted by git, or with hooks that lead nowhere."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import git_version

Run = Callable[..., Any]
HOOKS = ("post-commit", "post-checkout", "post-merge", "post-rewrite", "post-applypatch")


@pytest.fixture
def dotfiles(sealed: Path, git: Run) -> Path:
    """Make a repository as yadm has one: elsewhere, with HOME as its worktree."""
    folder = sealed / "yadm.git"
    git("init", "-q", "--bare", folder, cwd=sealed)
    git("config", "core.bare", "false", cwd=folder)
    git("config", "core.worktree", sealed, cwd=folder)
    return folder


def _yadm(git: Run, dotfiles: Path, home: Path, *arguments: str) -> str:
    return str(git(f"--git-dir={dotfiles}", *arguments, cwd=home))


def test_dotfiles_are_installed_recorded_and_listed(dotfiles, sealed, prodigy, git, store) -> None:
    done = prodigy("install", cwd=dotfiles, check=True)
    assert done.stdout.count("\tinstalled") == len(HOOKS)
    assert (dotfiles / "hooks" / "post-commit").exists()
    _yadm(git, dotfiles, sealed, "commit", "-q", "--allow-empty", "-m", "one")
    (session,) = (store / "sessions").glob("*.json")
    import json

    (row,) = json.loads(prodigy("worktree", "ls", "--json", cwd=dotfiles, check=True).stdout)
    assert (row["session_id"], row["worktree"]) == (session.stem, str(sealed))
    # What no hook saw is found, though nothing in HOME leads to the repository.
    silent = {"PRODIGY_GIT_SILENCE": "1"}
    git(f"--git-dir={dotfiles}", "commit", "-q", "--allow-empty", "-m", "2", cwd=sealed, env=silent)
    assert prodigy("verify", cwd=dotfiles).returncode == 1
    prodigy("verify", "--fix", cwd=dotfiles, check=True)
    prodigy("verify", cwd=dotfiles, check=True)
    prodigy("doctor", cwd=dotfiles, check=True)
    prodigy("uninstall", cwd=dotfiles, check=True)
    assert not (dotfiles / "hooks" / "post-commit").exists()


def test_git_dir_is_heeded_where_one_stands_in_no_repository(
    dotfiles, sealed, repo, prodigy
) -> None:
    named = {"GIT_DIR": str(dotfiles)}
    prodigy("install", cwd=sealed, env=named, check=True)
    assert (dotfiles / "hooks" / "post-commit").exists()
    # In one, an inherited GIT_DIR is not what is meant.
    prodigy("install", cwd=repo, env=named, check=True)
    assert (repo / ".git" / "hooks" / "post-commit").exists()


def test_a_submodule_is_not_its_superproject(repo, tmp_path, prodigy, git) -> None:
    import json

    git("clone", "-q", repo, tmp_path / "lib", cwd=tmp_path)
    git("submodule", "--quiet", "add", tmp_path / "lib", "lib", cwd=repo)
    git("commit", "-q", "-m", "sub", cwd=repo)
    within = repo / "lib"
    for folder in (repo, within):
        prodigy("install", cwd=folder, check=True)
        git("commit", "-q", "--allow-empty", "-m", "x", cwd=folder)
    for folder in (repo, within, repo / ".git" / "modules" / "lib"):
        rows = json.loads(prodigy("worktree", "ls", "--json", cwd=folder, check=True).stdout)
        top = repo if folder == repo else within
        assert [row["worktree"] for row in rows] == [str(top)]
        shown = prodigy("sessions", "show", rows[0]["session_id"], cwd=folder, check=True).stdout
        assert str(top) + "\n" in shown
        assert rows[0]["session_id"] in prodigy("hooks", cwd=folder, check=True).stdout


@pytest.mark.skipif(git_version() < (2, 38), reason="git has no such setting yet")
def test_git_may_be_told_to_take_no_bare_repository_it_comes_upon(
    repo, tmp_path, prodigy, git
) -> None:
    prodigy("install", cwd=repo, check=True)
    git("config", "--global", "safe.bareRepository", "explicit", cwd=repo)
    made = prodigy("new-worktree", "w", cwd=repo, check=True).stdout.rstrip("\n")
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=made)
    for command in ("worktree ls", "doctor", "verify", "status", "worktree show w", "finish w",
                    "worktree clean w --force", "trash list", "worktree restore w"):  # fmt: skip
        done = prodigy(*command.split(), cwd=repo)
        assert (done.returncode, "bare" in done.stderr) == (0, False), (command, done)
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", repo, bare, cwd=tmp_path)
    # Where one stands in a bare one, it is still refused: that is what the setting is for.
    done = prodigy("worktree", "ls", cwd=bare)
    assert done.returncode == 1
    assert "change into one of its worktrees" in done.stderr
    git("--git-dir", bare, "worktree", "add", "-q", tmp_path / "tree", cwd=tmp_path)
    prodigy("worktree", "ls", cwd=tmp_path / "tree", check=True)


@pytest.mark.parametrize("nowhere", ["/dev/null", ""])
def test_hooks_path_that_leads_nowhere(repo, prodigy, git, nowhere) -> None:
    prodigy("install", cwd=repo, check=True)
    git("config", "core.hooksPath", nowhere, cwd=repo)
    before = sorted(os.listdir(repo))
    done = prodigy("install", cwd=repo)
    assert done.returncode == 1
    assert "hooks are switched off here: unset it" in done.stderr
    assert sorted(os.listdir(repo)) == before
    done = prodigy("doctor", cwd=repo)
    assert done.returncode == 1
    assert "error  hooks: core.hooksPath is" in done.stdout
    assert "worktrees: " in done.stdout
    # What was installed before can be taken out all the same.
    prodigy("uninstall", cwd=repo, check=True)
    assert not (repo / ".git" / "hooks" / "post-commit").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a repository to another user")
def test_what_git_does_not_trust_is_said_whole(repo, sealed, prodigy, git) -> None:
    prodigy("install", cwd=repo, check=True)
    git("config", "--global", "--unset", "safe.directory", cwd=repo)
    subprocess.run(["chown", "-R", "4242:4242", repo], check=True)
    for command in ("explain HEAD", "worktree ls", "install", "new-worktree"):
        done = prodigy(*command.split(), cwd=repo)
        assert done.returncode == 1, command
        assert f"'git config --global --add safe.directory {repo}' allows it" in done.stderr, (
            command
        )


@pytest.mark.parametrize("what", ["file", "read-only"])
def test_a_store_that_cannot_be_made(repo, tmp_path, prodigy, git, what) -> None:
    if what == "file":
        (tmp_path / "file").touch()
        store = tmp_path / "file" / "store"
    else:
        (tmp_path / "sealed").mkdir()
        flagged = subprocess.run(
            ["chattr", "+i", tmp_path / "sealed"], capture_output=True, check=False
        )
        if flagged.returncode != 0:
            pytest.skip("no folder can be sealed here")
        store = tmp_path / "sealed" / "store"
    try:
        named = {"PRODIGY_HOME": str(store)}
        done = prodigy("install", cwd=repo, env=named, check=True)
        assert done.stderr.count("\n") == 1
        assert f"{store} cannot be" in done.stderr
        done = prodigy("doctor", cwd=repo, env=named)
        assert done.returncode == 1
        assert f"error  store: {store} cannot be" in done.stdout
        done = prodigy("new-worktree", cwd=repo, env=named)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert git("branch", cwd=repo) == "* main"
        git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo, env=named)
        prodigy("uninstall", cwd=repo, env=named, check=True)
        assert not (repo / ".git" / "hooks" / "post-commit").exists()
    finally:
        if what == "read-only":
            subprocess.run(["chattr", "-i", tmp_path / "sealed"], check=True)


def test_a_folder_that_the_system_does_not_let_be_made(repo, prodigy, git) -> None:
    # proc(5) says of a new folder that it is not there, whatever is above it.
    prodigy("install", cwd=repo, check=True)
    done = prodigy("new-worktree", cwd=repo, env={"PRODIGY_HOME": "/proc/store"})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "internal error" not in done.stderr
