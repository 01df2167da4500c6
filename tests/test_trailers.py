"""Opt-in trailers: who gets them, who does not, and that no message is changed otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Git = Callable[..., str]
Run = Callable[..., Any]


@pytest.fixture
def worktree(repo: Path, prodigy: Run, git: Git) -> Path:
    git("config", "prodigy.trailers", "true", cwd=repo)
    prodigy("install", cwd=repo, check=True)
    made = prodigy("new-worktree", "one", "--job", "job", cwd=repo, check=True)
    return Path(made.stdout.rstrip("\n"))


def _message(git: Git, folder: Path) -> str:
    return git("log", "-1", "--format=%B", cwd=folder).rstrip("\n")


def test_a_commit_names_session_and_job(worktree, git) -> None:
    git("commit", "-q", "--allow-empty", "-m", "a", cwd=worktree)
    wanted = "a\n\nProdigy-Session: one\nProdigy-Job: job"
    assert _message(git, worktree) == wanted
    git("commit", "-q", "--allow-empty", "--amend", "--no-edit", cwd=worktree)
    assert _message(git, worktree) == wanted
    git("commit", "-q", "--allow-empty", "-m", "b\n\nSigned-off-by: A <a@b>", cwd=worktree)
    assert _message(git, worktree) == (
        "b\n\nSigned-off-by: A <a@b>\nProdigy-Session: one\nProdigy-Job: job"
    )


def test_the_event_has_the_commit_that_git_made(worktree, git, events) -> None:
    git("commit", "-q", "--allow-empty", "-m", "a", cwd=worktree)
    made = [event for event in events("job") if event["type"] == "CommitCreated"]
    assert [(e["commit"], e["subject"]) for e in made] == [
        (git("rev-parse", "HEAD", cwd=worktree), "a")
    ]


def test_a_message_left_empty_in_the_editor_stays_empty(worktree, git) -> None:
    before = git("rev-parse", "HEAD", cwd=worktree)
    git("commit", "-q", "--allow-empty", cwd=worktree, env={"GIT_EDITOR": "true"}, check=False)
    assert git("rev-parse", "HEAD", cwd=worktree) == before


def test_not_enrolled_or_not_asked_for(repo, worktree, git) -> None:
    git("commit", "-q", "--allow-empty", "-m", "a", cwd=repo)  # main is not enrolled before this
    assert _message(git, repo) == "a"
    git("config", "prodigy.trailers", "false", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "b", cwd=worktree)
    assert _message(git, worktree) == "b"


def test_a_hook_that_was_there_still_decides(repo, worktree, prodigy, git) -> None:
    hooks = repo / ".git" / "hooks"
    prodigy("uninstall", cwd=repo, check=True)
    hook = hooks / "prepare-commit-msg"
    hook.write_text('#!/bin/sh\necho from the hook >>"$1"\ntest "$(head -n 1 "$1")" != no\n')
    hook.chmod(0o755)
    before = hook.read_bytes()
    prodigy("install", cwd=repo, check=True)
    git("commit", "-q", "--allow-empty", "-m", "yes", cwd=worktree)
    assert "from the hook" in _message(git, worktree)
    assert "Prodigy-Session: one" in _message(git, worktree)
    head = git("rev-parse", "HEAD", cwd=worktree)
    git("commit", "-q", "--allow-empty", "-m", "no", cwd=worktree, check=False)
    assert git("rev-parse", "HEAD", cwd=worktree) == head
    prodigy("uninstall", cwd=repo, check=True)
    assert hook.read_bytes() == before


def test_status_says_that_the_hook_is_wanted(repo, prodigy, git) -> None:
    prodigy("install", cwd=repo, check=True)
    git("config", "prodigy.trailers", "true", cwd=repo)
    done = prodigy("hooks", cwd=repo)
    assert done.returncode == 1
    assert "prepare-commit-msg" in done.stdout
