"""Terminals, locales and paths that are not UTF-8: the program goes on, and means the same files."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_forkserver import run_forked

Run = Callable[..., Any]

SUBJECT = "fix “quotes” für 🦀"
NARROW = {
    "latin-1 output": {"PYTHONIOENCODING": "latin-1:strict"},
    "ascii output": {"PYTHONIOENCODING": "ascii:strict"},
    "a C locale in earnest": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX"},
}
COMMANDS = [
    "events ls", "explain HEAD", "events search fix", "events stats", "worktree ls", "status",
    "sessions list", "job list", "verify", "hooks", "doctor", "statusline", "trash list",
    "events export --format csv", "worktree show .", "clean --dry-run", "sessions show nothing",
]  # fmt: skip


@pytest.fixture
def beyond(repo: Path, tmp_path: Path, git: Run, prodigy: Run, monkeypatch: Any) -> Path:
    """Make a repository, a store and a branch whose names have more than Latin-1 in them."""
    monkeypatch.setenv("PRODIGY_HOME", str(tmp_path / "störe “x”"))
    folder = tmp_path / "réß “y”"
    repo.rename(folder)
    prodigy("install", cwd=folder, check=True)
    git("checkout", "-q", "-b", "zweig-“ü”", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", SUBJECT, cwd=folder)
    return folder


def _raw(*command: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[Any]:
    import sys

    whole = {**os.environ, **env}
    if "LC_ALL" not in env:
        whole["LC_ALL"] = "C.UTF-8"
    # A fork where the encoding is the environment's to say, a start where it is the locale's.
    return run_forked(
        [sys.executable, "-m", "prodigy_git", *command],
        cwd=cwd, env=whole, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("kind", NARROW)
def test_no_output_ends_a_command(beyond, kind) -> None:
    for command in COMMANDS:
        done = _raw(*command.split(), cwd=beyond, env=NARROW[kind])
        assert b"internal error" not in done.stderr, (command, done.stderr)
        assert b"Error" not in done.stderr, (command, done.stderr)


def test_what_the_terminal_cannot_show_is_shown_as_an_escape(beyond) -> None:
    done = _raw("events", "ls", cwd=beyond, env=NARROW["latin-1 output"])
    assert "fix \\u201cquotes\\u201d für \\U0001f980".encode("latin-1") in done.stdout


def test_a_path_is_the_same_one_in_every_locale(beyond, tmp_path) -> None:
    made = _raw("new-worktree", cwd=beyond, env=NARROW["a C locale in earnest"])
    assert made.returncode == 0, made
    path = os.fsdecode(made.stdout.removesuffix(b"\n"))
    assert path.startswith(str(tmp_path / "störe “x”"))
    assert os.path.isdir(path)
    rows = json.loads(_raw("worktree", "ls", "--json", cwd=beyond, env={}).stdout)
    assert path in [row["worktree"] for row in rows]
    sessions = sorted(os.listdir(tmp_path / "störe “x”" / "sessions"))
    assert len(sessions) == 2


@pytest.mark.skipif(not shutil.which("localedef"), reason="no locale can be made here")
def test_a_latin_1_terminal(beyond, tmp_path) -> None:
    (tmp_path / "loc").mkdir()
    made = subprocess.run(
        ["localedef", "-c", "-i", "en_US", "-f", "ISO-8859-1", tmp_path / "loc" / "en_US"],
        capture_output=True, check=False,
    )  # fmt: skip
    if not (tmp_path / "loc" / "en_US").exists():
        pytest.skip(f"localedef: {made.stderr!r}")
    latin = {"LOCPATH": str(tmp_path / "loc"), "LC_ALL": "en_US"}
    for command in COMMANDS:
        done = _raw(*command.split(), cwd=beyond, env=latin)
        assert b"internal error" not in done.stderr, (command, done.stderr)
    done = _raw("events", "ls", cwd=beyond, env=latin)
    assert "fix \\u201cquotes\\u201d für".encode("latin-1") in done.stdout
    made_here = _raw("new-worktree", cwd=beyond, env=latin)
    assert os.path.isdir(os.fsdecode(made_here.stdout.removesuffix(b"\n")))


def test_a_store_whose_path_is_not_utf_8(repo, tmp_path, prodigy, git, monkeypatch) -> None:
    store = os.fsdecode(os.fsencode(tmp_path) + b"/st\xff")
    monkeypatch.setenv("PRODIGY_HOME", store)
    prodigy("install", cwd=repo, check=True)
    done = prodigy("new-worktree", "w", "--job", "j", cwd=repo, check=True)
    assert done.stderr == ""
    tree = done.stdout.removesuffix("\n")
    assert tree == f"{store}/worktrees/repo/w"
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=tree)
    for command in (*COMMANDS, "job show j", "status --json", "worktree show w --json"):
        done = prodigy(*command.split(), cwd=repo)
        assert "internal error" not in done.stderr, (command, done.stderr)
        assert "is damaged" not in done.stderr, (command, done.stderr)
    prodigy("finish", "w", cwd=repo, check=True)
    prodigy("worktree", "clean", "w", "--force", cwd=repo, check=True)
    prodigy("worktree", "restore", "w", cwd=repo, check=True)
    assert os.path.isdir(tree)
