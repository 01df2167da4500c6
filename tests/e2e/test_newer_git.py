"""What git 2.48 and newer can do: worktrees that are linked by relative paths, refs in reftables.

The whole flow, with both, from the first command on: record, remove, restore, move, repair.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import new, ok, refused
from support_removal import files_in, git

from prodigy_git.record import enrolment, gitdir

VERSION = tuple(map(int, re.findall(r"\d+", os.popen("git version").read())[:2]))

pytestmark = pytest.mark.skipif(
    VERSION < (2, 48), reason="NOT TESTED: relative links of worktrees; they take git 2.48"
)


@pytest.fixture(params=["files", "reftable"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make a repository whose worktrees have relative links."""
    made = tmp_path / "repo"
    git("init", "-q", f"--ref-format={request.param}", made, cwd=tmp_path)
    git("config", "worktree.useRelativePaths", "true", cwd=made)
    (made / "README").write_text("a repository\n")
    git("add", "README", cwd=made)
    git("commit", "-qm", "Start", cwd=made, GIT_COMMITTER_DATE="2025-01-11T12:00:00+00:00")
    ok("install", cwd=made)
    return made


@pytest.fixture
def top(repo: Path) -> Path:
    """Make a worktree with a commit, one that was given up, and work in it."""
    made = Path(new(repo, "w1")["worktree"])
    commit(made, "kept")
    commit(made, "given up")
    git("reset", "-q", "--soft", "HEAD^", cwd=made)
    (made / "staged").write_text("staged\n")
    git("add", "staged", cwd=made)
    (made / "untracked").write_text("untracked\n")
    assert not os.path.isabs((made / ".git").read_text().removeprefix("gitdir: "))
    return made


def commit(where: Path, subject: str) -> None:
    """Commit through the hooks that are installed."""
    command = ["git", "commit", "-q", "--allow-empty", "-m", subject]
    done = subprocess.run(command, cwd=where, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def sound(repo: Path, top: Path, *, status: str = "A  staged\n?? untracked") -> None:
    """See that git, the log and the links between folder and git directory are whole."""
    assert git("status", "--porcelain", cwd=top) == status
    place = gitdir.find(str(top), {})
    assert place is not None
    there = enrolment.read(place.private)
    assert there is not None
    assert there.session == "w1"
    assert "prunable" not in git("worktree", "list", "--porcelain", cwd=repo)
    git("fsck", "--strict", cwd=repo)
    git("gc", "-q", cwd=repo)
    ok("verify", "--session", "w1")


def test_recorded_removed_and_restored(repo: Path, top: Path) -> None:
    before, reflog = files_in(top), git("reflog", cwd=top)
    assert [one["name"] for one in ok("worktree", "ls", "--json", cwd=repo).json] == ["repo", "w1"]
    sound(repo, top)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    git("gc", "-q", "--prune=now", cwd=repo)
    ok("worktree", "restore", "w1", cwd=repo)
    assert files_in(top) == before
    assert git("reflog", cwd=top) == reflog
    sound(repo, top)
    commit(top, "goes on")
    ok("verify", "--all")


@pytest.mark.parametrize("place", ["elsewhere", "repo/inside", "a/b/c"])
def test_restored_elsewhere_its_links_are_relative_to_that(
    place: str, repo: Path, top: Path, tmp_path: Path
) -> None:
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    ok("worktree", "restore", "w1", "--to", tmp_path / place, cwd=repo)
    assert not os.path.isabs((tmp_path / place / ".git").read_text().removeprefix("gitdir: "))
    sound(repo, tmp_path / place)
    assert not top.exists()


def test_moved_by_git(repo: Path, top: Path, tmp_path: Path) -> None:
    git("worktree", "move", top, tmp_path / "moved", cwd=repo)
    sound(repo, tmp_path / "moved")
    ok("worktree", "clean", "-f", tmp_path / "moved", cwd=repo)
    ok("worktree", "restore", "w1", cwd=repo)
    sound(repo, tmp_path / "moved")


def test_a_link_that_is_lost_is_made_again(repo: Path, top: Path) -> None:
    (top / ".git").unlink()
    ok("clean", "--yes", cwd=repo)
    sound(repo, top)


def test_moved_without_git_and_repaired(repo: Path, top: Path, tmp_path: Path) -> None:
    top.rename(tmp_path / "moved")
    git("worktree", "repair", tmp_path / "moved", cwd=repo)
    sound(repo, tmp_path / "moved")


def test_the_repository_and_its_worktrees_moved_together(
    repo: Path, top: Path, store: Path, tmp_path: Path
) -> None:
    """The links hold, which is what they are relative for; a removal there finds its way back."""
    beside = tmp_path / "beside"
    git("worktree", "move", top, beside, cwd=repo)
    (tmp_path / "new").mkdir()
    for path in (repo, beside):
        path.rename(tmp_path / "new" / path.name)
    commit(tmp_path / "new" / "beside", "in the new place")
    sound(tmp_path / "new" / "repo", tmp_path / "new" / "beside", status="?? untracked")


def test_from_the_salvage_ref(repo: Path, store: Path, top: Path) -> None:
    before = files_in(top)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    (moment,) = (store / "trash" / "repo" / "w1").iterdir()
    shutil.rmtree(moment / "worktree")
    shutil.rmtree(moment / "git")
    if (repo / ".git" / "reftable").is_dir():
        assert "keeps its refs in reftables" in refused("worktree", "restore", "w1", cwd=repo)
        return
    ok("worktree", "restore", "w1", cwd=repo)
    assert files_in(top) == before
    sound(repo, top)
