"""What Prodigy is told of our worktrees, ``worktrees/{repo}/.metadata``, is true at every step."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import support_prodigy as made_by

from prodigy_git.prodigy.runs import runs
from prodigy_git.prodigy.worktree_states import worktree_state

FIELDS = {
    "session_id", "worktree_name", "branch", "original_branch", "created_at", "updated_at", "status",
    "iterations", "stats", "merged", "merged_at", "error", "merge_prompt_shown",
    "merge_prompt_response", "interrupted_at", "interruption_type", "last_checkpoint", "resumable",
}  # fmt: skip
"""Those of Prodigy's WorktreeState."""


def state(store: Path, name: str = "fix") -> dict | None:
    path = store / "worktrees" / "repo" / ".metadata" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def tree(repo: Path, store: Path, prodigy: Callable) -> Path:
    """Return a worktree of ours, with an own branch of main."""
    prodigy("new-worktree", "fix", cwd=repo, check=True)
    return store / "worktrees" / "repo" / "fix"


def test_it_follows_the_worktree_from_beginning_to_end(
    tree: Path, repo: Path, store: Path, prodigy: Callable, git: Callable
) -> None:
    begun = state(store)
    assert begun is not None
    assert set(begun) == {*FIELDS, "written_by"}
    assert (begun["session_id"], begun["worktree_name"]) == ("fix", "fix")
    assert (begun["branch"], begun["original_branch"]) == ("prodigy-fix", "main")
    assert (begun["status"], begun["stats"]["commits"]) == ("in_progress", 0)

    (tree / "a").write_text("a")
    git("add", "a", cwd=tree)
    git("commit", "-q", "-m", "a", cwd=tree)
    (tree / "b").write_text("not committed")
    prodigy("finish", "--failed", "--error", "no luck", cwd=tree, check=True)
    ended = state(store)
    assert ended is not None
    assert (ended["status"], ended["error"]) == ("failed", "no luck")
    head = git("rev-parse", "HEAD", cwd=tree)
    assert ended["stats"] == {"files_changed": 0, "commits": 1, "last_commit_sha": head}
    assert ended["created_at"] == begun["created_at"]

    prodigy("worktree", "clean", "-f", "fix", cwd=repo, check=True)
    assert state(store) is None
    assert not (store / "worktrees" / "repo" / ".metadata").exists()
    prodigy("worktree", "restore", "fix", cwd=repo, check=True)
    assert (tree / "b").exists()
    back = state(store)
    assert back is not None
    assert {**back, "updated_at": ""} == {**ended, "updated_at": ""}

    # To ourselves it is no run of Prodigy's, and our reader finds nothing wrong with it.
    complaints: list[str] = []
    assert runs(str(store), broken=complaints.append) == []
    read = worktree_state(str(store), "repo", "fix", broken=complaints.append)
    assert read is not None
    assert read.status == "failed"
    assert complaints == []


def test_a_worktree_that_was_not_made_leaves_none(
    repo: Path, store: Path, prodigy: Callable, git: Callable
) -> None:
    git("branch", "prodigy-fix", cwd=repo)
    assert prodigy("new-worktree", "fix", cwd=repo).returncode != 0
    assert not (store / "worktrees" / "repo" / ".metadata").exists()


def test_of_an_adopted_worktree_it_says_what_is_known(
    repo: Path, store: Path, prodigy: Callable, git: Callable, tmp_path: Path
) -> None:
    inside, outside = store / "worktrees" / "repo" / "mine", tmp_path / "outside"
    for path in (inside, outside):
        git("worktree", "add", "-q", "-b", path.name, path, cwd=repo)
        prodigy("worktree", "adopt", path, cwd=repo, check=True)
    there = state(store, "mine")
    assert there is not None
    # Prodigy then takes main, or master.
    assert (there["branch"], there["original_branch"]) == ("mine", "")
    assert [path.name for path in (store / "worktrees").rglob(".metadata/*")] == ["mine.json"]


@pytest.mark.parametrize("how", ["written over", "written before", "a link"])
def test_what_is_not_ours_stays_as_it_is(
    how: str, repo: Path, store: Path, prodigy: Callable, tmp_path: Path
) -> None:
    folder = store / "worktrees" / "repo" / ".metadata"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.parent.mkdir(parents=True)
        folder.symlink_to(tmp_path / "elsewhere")
    if how == "written before":
        made_by.worktree_state(store, "repo", "fix", status="interrupted")
    prodigy("new-worktree", "fix", cwd=repo, check=True)
    if how == "written over":  # what Prodigy does when it has merged and is told not to clean up
        made_by.worktree_state(store, "repo", "fix", status="merged", merged=True)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert bool(before) is (how != "a link")
    prodigy("finish", "fix", cwd=repo, check=True)
    prodigy("worktree", "clean", "-f", "fix", cwd=repo, check=True)
    prodigy("worktree", "restore", "fix", cwd=repo, check=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_where_it_cannot_be_written_the_worktree_is_made_all_the_same(
    repo: Path, store: Path, prodigy: Callable
) -> None:
    folder = store / "worktrees" / "repo"
    folder.mkdir(parents=True)
    (folder / ".metadata").write_text("a file")
    done = prodigy("new-worktree", "fix", cwd=repo, check=True)
    assert ".metadata" not in done.stderr
    assert (folder / "fix" / "README").exists()


def test_of_the_sessions_that_a_path_has_had_it_says_what_the_one_there_now_says(
    tree: Path, repo: Path, store: Path, prodigy: Callable, git: Callable
) -> None:
    git("worktree", "remove", tree, cwd=repo)
    git("worktree", "add", "-q", "-b", "again", tree, cwd=repo)
    prodigy("worktree", "adopt", tree, cwd=repo)
    now = state(store)
    assert now is not None
    assert (now["branch"], now["status"]) == ("again", "in_progress")
    prodigy("finish", "fix", "--failed", cwd=repo, check=True)
    assert json.loads((store / "sessions" / "fix.json").read_text())["status"] == "Failed"
    assert state(store) == now


def test_a_worktree_that_is_refused_leaves_that_of_the_one_that_has_the_path(
    repo: Path, store: Path, prodigy: Callable, git: Callable
) -> None:
    inside = store / "worktrees" / "repo" / "mine"
    git("worktree", "add", "-q", "-b", "mine", inside, cwd=repo)
    prodigy("worktree", "adopt", inside, "--name", "other", cwd=repo, check=True)
    before = state(store, "mine")
    assert before is not None
    assert prodigy("new-worktree", "mine", cwd=repo).returncode == 1
    assert state(store, "mine") == before
