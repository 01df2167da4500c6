"""The second way in: a configuration that names this repository, and nothing else done.

With the real pre-commit and the real prek, which build their own environments from a clone.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("post-commit", "post-checkout", "post-merge", "post-rewrite")

Git = Callable[..., str]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a run share: the clone and the environments built from it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pre-commit-repo"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def clone(shared: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A repository with this project as it is in the working tree, and its commit."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(shared / "pre-commit-home"))
    monkeypatch.setenv("PREK_HOME", str(shared / "prek-home"))
    folder = shared / "project"
    with filelock.FileLock(shared / "lock"):
        if not (shared / "done").exists():
            listed = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if listed.returncode != 0:
                pytest.skip("not a git checkout: there is nothing to clone")
            for name in filter(None, listed.stdout.split("\0")):
                if (ROOT / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, folder / name)
            git("init", "-q", folder, cwd=shared)
            git("add", "--all", cwd=folder)
            git("commit", "-q", "-m", "Snapshot", cwd=folder)
            (shared / "done").touch()
    return folder, git("rev-parse", "HEAD", cwd=folder)


@pytest.fixture(params=["pre-commit", "prek"])
def manager(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _configure(folder: Path, clone: tuple[Path, str], *hooks: str) -> None:
    lines = ["repos:", f"- repo: {clone[0]}", f"  rev: {clone[1]}", "  hooks:"]
    lines += [f"  - id: prodigy-git-{hook}" for hook in hooks]
    (folder / ".pre-commit-config.yaml").write_text("\n".join(lines) + "\n")


def _events(store: Path) -> list[dict[str, Any]]:
    found = [
        json.loads(line)
        for file in sorted(store.glob("events/*/*/*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return sorted(found, key=lambda event: event["timestamp"])


def _install(manager: str, folder: Path, shared: Path, *stages: str) -> None:
    # Two workers must not build the same environment at once in one cache.
    with filelock.FileLock(shared / f"{manager}.lock"):
        types = [word for stage in stages for word in ("-t", stage)]
        subprocess.run([manager, "install", "--install-hooks", *types], cwd=folder, check=True)


def test_hooks_of_each_stage_record_with_nothing_else_done(
    manager: str, clone: tuple[Path, str], shared: Path, repo: Path, git: Git, store: Path
) -> None:
    _configure(repo, clone, *STAGES)
    git("add", ".pre-commit-config.yaml", cwd=repo)
    _install(manager, repo, shared, *STAGES)
    git("commit", "-q", "-m", "first", cwd=repo)
    first = git("rev-parse", "HEAD", cwd=repo)
    git("commit", "-q", "--amend", "-m", "amended", cwd=repo)
    second = git("rev-parse", "HEAD", cwd=repo)
    git("worktree", "add", "-q", "-b", "side", repo.parent / "side", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "on the side", cwd=repo.parent / "side")
    third = git("rev-parse", "HEAD", cwd=repo.parent / "side")
    git("commit", "-q", "--allow-empty", "-m", "on main", cwd=repo)
    fourth = git("rev-parse", "HEAD", cwd=repo)
    git("merge", "-q", "--no-edit", "side", cwd=repo)
    fifth = git("rev-parse", "HEAD", cwd=repo)
    git("checkout", "-q", "-b", "topic", fourth, cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "to be rebased", cwd=repo)
    sixth = git("rev-parse", "HEAD", cwd=repo)
    git("rebase", "-q", "--keep-empty", "main", cwd=repo)
    seventh = git("rev-parse", "HEAD", cwd=repo)

    events = _events(store)
    made = [(e["commit"], e["action"]) for e in events if e["type"] == "CommitCreated"]
    assert made == [
        (first, "commit"),
        (second, "amend"),
        (third, "commit"),
        (fourth, "commit"),
        (fifth, "merge"),
        (sixth, "commit"),
        (seventh, "rebase"),
    ]
    rewritten = [(e["command"], e["rewrites"]) for e in events if e["type"] == "CommitsRewritten"]
    assert rewritten == [
        ("amend", [{"old": first, "new": second}]),
        ("rebase", [{"old": sixth, "new": seventh}]),
    ]
    by_session = {e["commit"]: e["session_id"] for e in events if e["type"] == "CommitCreated"}
    assert by_session[third] != by_session[fourth]
    created = [e for e in events if e["type"] == "WorktreeCreated"]
    assert [e["worktree_name"] for e in created] == ["side"]


def test_ensure_installs_the_native_hooks(
    manager: str, clone: tuple[Path, str], shared: Path, repo: Path, git: Git, store: Path
) -> None:
    _configure(repo, clone, "ensure")
    git("add", ".pre-commit-config.yaml", cwd=repo)
    _install(manager, repo, shared, "pre-commit")
    git("commit", "-q", "-m", "first", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repo)
    subjects = [e["subject"] for e in _events(store) if e["type"] == "CommitCreated"]
    assert subjects == ["first", "second"]
    hooks = repo / ".git" / "hooks"
    assert "prodigy" in (hooks / "post-commit").read_text()
    assert "prodigy" not in (hooks / "pre-commit").read_text().replace(str(clone[0]), "")
    before = {path: path.read_bytes() for path in hooks.iterdir()}
    git("commit", "-q", "--allow-empty", "-m", "third", cwd=repo)
    assert {path: path.read_bytes() for path in hooks.iterdir()} == before
