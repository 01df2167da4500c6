"""Two stores for one repository: one rule which of them a command works with."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import snapshot

Run = Callable[..., Any]

READING = [
    "status --json", "sessions list --json", "worktree ls --json", "worktree ls --all-repos --json",
    "job list --json", "job list --all-repos --json", "events ls --json",
    "events ls --all-repos --json",
    "events search one", "events stats --json", "explain HEAD --json", "verify --json",
    "verify --all --json", "hooks --json", "trash list --json", "trash list --all-repos --json",
    "worktree show . --json", "clean --dry-run --json", "clean --dry-run --all-repos --json",
    "statusline --json", "dlq list --json", "job show j --json", "worktree path w", "doctor --json",
    "otel push --dry-run", "report --output -",
]  # fmt: skip


@pytest.fixture
def other(tmp_path: Path) -> dict[str, str]:
    return {"PRODIGY_HOME": str(tmp_path / "other-store")}


@pytest.fixture
def tree(repo: Path, prodigy: Run, git: Run) -> Path:
    """Make a worktree that is enrolled in the one store."""
    prodigy("install", cwd=repo, check=True)
    made = Path(
        prodigy("new-worktree", "w", "--job", "j", cwd=repo, check=True).stdout.rstrip("\n")
    )
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=made)
    return made


def _without_time(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if not any(
                word in k for word in ("age", "seconds", "last_", "words", "now", "took", "generated")
            )}  # fmt: skip
        return [strip(one) for one in value] if isinstance(value, list) else value

    return json.dumps([strip(json.loads(line)) for line in text.splitlines()])


def test_in_an_enrolled_worktree_all_commands_read_its_store(
    tree, other, prodigy, tmp_path
) -> None:
    for command in READING:
        plain = prodigy(*command.split(), cwd=tree)
        done = prodigy(*command.split(), cwd=tree, env=other)
        assert "internal error" not in done.stderr, command
        if not command.startswith(("doctor", "report")):  # that says there are two, this the time
            assert done.returncode == plain.returncode, (command, done, plain)
            assert _without_time(done.stdout) == _without_time(plain.stdout), command
        assert not os.path.lexists(tmp_path / "other-store"), command
    found = json.loads(prodigy("doctor", "--json", cwd=tree, env=other).stdout)
    assert any("is read here, not in" in one["words"] for one in found)


def test_and_write_to_it(tree, other, prodigy, store, tmp_path, git) -> None:
    for command in (
        "job start k --items items.jsonl", "event add ClaudeMessage --field content=x",
        "run --job k --next -- true", "new-worktree v", "finish w", "events clean --older-than 0s",
        "sessions clean --older-than 0s", "clean --yes --all", "worktree clean v --force",
        "worktree restore v", "install", "verify --fix",
    ):  # fmt: skip
        (tree / "items.jsonl").write_text('{"id":"a"}\n')
        done = prodigy(*command.split(), cwd=tree, env=other)
        assert "internal error" not in done.stderr, command
        assert not os.path.lexists(tmp_path / "other-store"), (command, done)
    assert (store / "sessions" / "v.json").exists()


def test_elsewhere_the_environment_says_which(repo, tree, other, prodigy, store, git) -> None:
    before = snapshot(store / "sessions", store / "events", store / "state")
    assert json.loads(prodigy("sessions", "list", "--json", cwd=repo, env=other).stdout) == []
    made = prodigy("new-worktree", "v", cwd=repo, env=other, check=True).stdout.rstrip("\n")
    assert made.startswith(other["PRODIGY_HOME"])
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=made, env={"PRODIGY_HOME": str(store)})
    assert snapshot(store / "sessions", store / "events", store / "state") == before
    # Each worktree is shown with its own session, whichever store is read.
    rows = json.loads(prodigy("worktree", "ls", "--json", cwd=repo).stdout)
    assert {(row["session_id"], row["job_id"]) for row in rows[1:]} == {("w", "j"), ("v", "v")}


def test_a_worktree_whose_store_is_gone_is_read_by_the_environment(
    tree, other, prodigy, store, repo, git, tmp_path
) -> None:
    prodigy("worktree", "forget", "--anew", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo)
    store.rename(tmp_path / "elsewhere")
    moved = {"PRODIGY_HOME": str(tmp_path / "elsewhere")}
    rows = json.loads(prodigy("sessions", "list", "--json", cwd=repo, env=moved).stdout)
    assert "w" in [row["session_id"] for row in rows]
