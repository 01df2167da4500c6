"""Worktrees whose repository was deleted: by name and by force, and back as the folder they were."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import call, new, ok, refused, rewrite_session, session_file
from support_restore import difference, files_of
from support_trash import work

from prodigy_git.cleanup.folders import moving
from prodigy_git.cleanup.trash import entry as entries
from prodigy_git.cleanup.trash import settling


@pytest.fixture
def tree(repo: Path) -> Path:
    """A worktree ``w`` of job ``j`` with an untracked file, whose repository is moved out of sight."""
    made = Path(new(repo, "w", "--job", "j")["worktree"])
    (made / "untracked").write_text("u\n")
    repo.rename(repo.parent / "deleted")
    return made


def entry_of(store: Path) -> entries.Entry:
    (entry,) = entries.entries(str(store), pytest.fail)
    return entry


def kinds(log: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in log if one["type"].startswith("Worktree")]


def test_goes_by_force_and_comes_back_as_it_was(tree, store, repo, events):
    before = files_of(tree)
    said = refused_outcome("worktree", "clean", "w")
    assert f"its repository {repo}/.git is gone" in said
    shown = ok("worktree", "show", "w", cwd="/").out
    assert "clean         refuses: " in shown
    assert "clean -f      removes it all the same" in shown
    (row,) = ok("worktree", "clean", "-f", "w", "--json", cwd="/").json
    assert row["result"] == "cleaned"
    assert row["salvage_ref"] is None
    assert not tree.exists()
    assert session_file(store, "w")["status"] == "Cancelled"
    assert ok("trash", "list", "--all-repos", "--json", cwd="/").json[0]["session_id"] == "w"
    done = ok("worktree", "restore", "w", cwd="/")
    assert done.out == f"{tree}\n"
    assert "plain folder" in done.err
    assert difference({"": before}, {"": files_of(tree)}) == []
    assert session_file(store, "w")["status"] == "Running"
    assert session_file(store, "w")["metadata"]["worktree_path"] == str(tree)
    assert kinds(events("j")) == ["WorktreeCreated", "WorktreeCleaned", "WorktreeRestored"]
    assert not list((store / "trash").glob("*/*"))


def refused_outcome(*arguments: str) -> str:
    done = call(*arguments, cwd="/")
    assert done.code == 1
    return done.out


def test_elsewhere(tree, store, tmp_path):
    ok("worktree", "clean", "-f", "w", cwd="/")
    assert (
        ok("worktree", "restore", "w", "--to", tmp_path / "to", cwd="/").out == f"{tmp_path}/to\n"
    )
    assert (tmp_path / "to" / "untracked").read_text() == "u\n"


def test_repository_that_is_back_is_linked_again(tree, store, repo, git, events):
    ok("worktree", "clean", "-f", "w", cwd="/")
    (repo.parent / "deleted").rename(repo)
    done = ok("worktree", "restore", "w", cwd="/")
    assert "is there again" in done.err
    assert git("status", "--porcelain", cwd=tree) == "?? untracked"
    assert ok("finish", "--json", cwd=tree).json["session_id"] == "w"
    ok("verify", "--all", cwd=repo)


def test_never_by_all(tree, store):
    ok("finish", "w", cwd="/")
    rewrite_session(store, "w", completed_at="2025-01-01T00:00:00Z")
    for command in (
        ["clean", "--all", "--all-repos", "--yes"],
        ["clean", "--worktrees", "--older-than", "0s", "--all-repos", "--yes"],
        ["sessions", "clean", "--older-than", "0s"],
    ):
        call(*command, cwd="/")
        assert (tree / "untracked").exists(), command
    ok("worktree", "clean", "-f", "w", cwd="/")


def test_purge_deletes_it_and_leaves_no_entry(tree, store):
    ok("worktree", "clean", "-f", "--purge", "--yes", "w", cwd="/")
    work(store)
    assert entries.entries(str(store), pytest.fail) == []
    assert not tree.exists()
    ok("sessions", "clean", "--older-than", "0s", cwd="/")
    assert not (store / "sessions" / "w.json").exists()


def test_only_what_is_plainly_the_sessions(tree, store, repo, tmp_path):
    kept = (tree / ".git").read_text()
    for text in ("", "gitdir: /somewhere/else/.git/worktrees/w\n", "what is this\n"):
        (tree / ".git").write_text(text)
        assert "cleaned" not in refused_outcome("worktree", "clean", "-f", "w")
    (tree / ".git").unlink()
    (tree / ".git").mkdir()
    assert "cleaned" not in refused_outcome("worktree", "clean", "-f", "w")
    (tree / ".git").rmdir()
    (tree / ".git").write_text(kept)
    real = tree.rename(tmp_path / "real")
    tree.symlink_to(real)
    assert "cleaned" not in refused_outcome("worktree", "clean", "-f", "w")
    assert (real / "untracked").exists()


def test_repository_that_was_only_moved_is_not_gone(tree, repo):
    said = call("worktree", "clean", "-f", "w", cwd=repo.parent / "deleted").out
    assert "worktree repair" in said
    assert (tree / "untracked").exists()


def test_not_while_a_process_stands_in_it(tree):
    with subprocess.Popen(["sleep", "60"], cwd=tree) as process:
        try:
            assert "stands in it" in refused_outcome("worktree", "clean", "-f", "w")
        finally:
            process.kill()
    ok("worktree", "clean", "-f", "w", cwd="/")


def test_not_with_a_mount_in_it(tree):
    (tree / "data").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", tree / "data"], check=False).returncode:
        pytest.skip("NOT TESTED: nothing can be mounted here")
    try:
        assert f"{tree}/data is mounted in it" in refused_outcome("worktree", "clean", "-f", "w")
    finally:
        subprocess.run(["umount", tree / "data"], check=True)


def _dies(where: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def dying(*arguments: Any, **named: Any) -> Any:
        if after:
            where(*arguments, **named)
        raise KeyboardInterrupt

    return dying


@pytest.mark.parametrize("after", [False, True])
def test_removal_that_was_killed(tree, store, monkeypatch, after, events):
    """Around the move, and while what was interrupted cannot be finished either."""
    from prodigy_git.cleanup.trash import removal

    before = files_of(tree)
    with monkeypatch.context() as patched:
        patched.setattr(moving, "move", _dies(moving.move, after=after))
        patched.setattr(removal, "resume", _dies(removal.resume, after=False))
        call("worktree", "clean", "-f", "w", cwd="/")
    assert entry_of(store).state == "moving"
    err = call("clean", "--all-repos", "--yes", cwd="/").err
    assert "its removal was interrupted" in err
    assert tree.exists() is not after
    if after:
        assert entry_of(store).state == "trashed"
        ok("worktree", "restore", "w", cwd="/")
        assert kinds(events("j")) == ["WorktreeCreated", "WorktreeCleaned", "WorktreeRestored"]
    else:
        assert entries.entries(str(store), pytest.fail) == []
    assert difference({"": before}, {"": files_of(tree)}) == []


def test_removal_that_was_killed_after_its_event(tree, store, monkeypatch, events):
    with monkeypatch.context() as patched:
        patched.setattr(settling, "_note_in_session", _dies(len, after=False))
        call("worktree", "clean", "-f", "w", cwd="/")
    call("clean", "--all-repos", "--yes", cwd="/")
    assert entry_of(store).settled
    assert kinds(events("j")) == ["WorktreeCreated", "WorktreeCleaned"]


@pytest.mark.parametrize("after", [False, True])
def test_restore_that_was_killed(tree, store, monkeypatch, after, events):
    before = files_of(tree)
    ok("worktree", "clean", "-f", "w", cwd="/")
    with monkeypatch.context() as patched:
        patched.setattr(moving, "move", _dies(moving.move, after=after))
        call("worktree", "restore", "w", cwd="/")
    call("worktree", "restore", "w", cwd="/")
    assert difference({"": before}, {"": files_of(tree)}) == []
    assert kinds(events("j")) == ["WorktreeCreated", "WorktreeCleaned", "WorktreeRestored"]


def test_finish_of_a_session_whose_repository_is_gone(tree, store):
    done = ok("finish", "w", "--json", cwd="/").json
    assert (done["status"], done["commits"]) == ("Completed", [])
    assert "already Completed" in refused("finish", "w", cwd="/")
    shutil.rmtree(tree)
    assert "it has no worktree" in refused_outcome("worktree", "clean", "-f", "w")
