"""resume: after crashes of all kinds."""

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
from support_cli import call, new, ok, refused

from prodigy_git import layout
from prodigy_git.jobs import claims


@pytest.fixture
def job(repo, tmp_path):
    (tmp_path / "items").write_text("1\n2\n")
    ok("install", cwd=repo)
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    return repo


def made(job, item="item-1", agent="a1"):
    made = new(job, "w-" + item, "--job", "j", "--agent", agent, "--item", item)
    return Path(made["worktree"])


@pytest.mark.parametrize("pruned", [False, True], ids=["git-data-there", "pruned"])
@pytest.mark.parametrize("name", ["j", "w-item-1"])
def test_a_missing_worktree_is_made_again(job, git, pruned, name, events):
    path = made(job)
    (path / "kept").write_text("committed\n")
    git("add", ".", cwd=path)
    git("commit", "-q", "-m", "one", cwd=path)
    (path / "kept").write_text("staged\n")
    git("add", ".", cwd=path)
    shutil.rmtree(path)
    if pruned:
        git("worktree", "prune", cwd=job)
    done = ok("resume", name, "--json", cwd=job).json
    assert done["worktrees"] == [str(path)]
    assert done["problems"] == []
    assert (path / "kept").read_text() == ("committed\n" if pruned else "staged\n")
    assert git("status", "--porcelain", cwd=path).strip() == ("" if pruned else "M  kept")
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=path)
    subjects = [one["subject"] for one in events("j") if one["type"] == "CommitCreated"]
    assert subjects == ["one", "two"]  # each once, as before
    assert [one["type"] for one in events("j")].count("WorktreeRestored") == 1
    assert ok("resume", name, "--json", cwd=job).json["worktrees"] == []
    ok("verify", cwd=job)


def test_what_dead_agents_had_is_pending_again_and_a_paused_job_goes_on(job, store):
    claims.claim(
        str(store), "repo", "j", agent="gone", item="item-1", lease=-1, broken=lambda _: None
    )
    done = ok("resume", "j", cwd=job).out
    assert "item-1: agent gone is gone, pending again" in done
    assert "2 pending, 0 in progress" in done
    ok("job", "pause", "j", cwd=job)
    assert "was paused, hands out items again" in ok("resume", "j", cwd=job).out
    assert call("job", "next", "j", cwd=job).code == 0


def test_one_resume_at_a_time(job, store):
    path = layout.resume_lock(str(store), "repo", "j")
    ok("resume", "j", cwd=job)
    holder = json.loads(Path(path).read_text())
    assert holder["pid"] == os.getpid()
    ok("resume", "j", cwd=job)  # a dead holder's is taken over
    with open(path, "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = refused("resume", "j", cwd=job)
        assert f"by process {os.getpid()} on " in said
        assert holder["since"][:10] in said


def test_what_cannot_be_resumed(job, git):
    assert "no session and no job x" in refused("resume", "x", cwd=job)
    path = made(job)
    ok("finish", cwd=path)
    assert "is Completed" in refused("resume", path.name, cwd=job)
    other = made(job, "item-2", "a2")
    shutil.rmtree(other)
    git("worktree", "prune", cwd=job)
    git("branch", "-D", "prodigy/j/item-2", cwd=job)
    done = call("resume", "j", cwd=job)
    assert done.code == 1
    assert "its branch" in done.err
    ok("job", "cancel", "j", cwd=job)
    assert "is cancelled" in refused("resume", "j", cwd=job)


def test_a_worktree_in_the_trash_is_not_made_again(job):
    path = made(job)
    ok("worktree", "clean", "-f", path.name, cwd=job)
    assert ok("resume", "j", "--json", cwd=job).json["worktrees"] == []
    assert not path.exists()
    assert "is Cancelled" in refused("resume", path.name, cwd=job)
