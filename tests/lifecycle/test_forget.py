"""worktree forget: enrolled by accident, and nothing that is recorded is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import ok, refused, session_file

Run = Callable[..., Any]


@pytest.fixture
def by_accident(repo: Path, tmp_path: Path, prodigy: Run, git: Run) -> Path:
    """Install into a folder of hooks for all repositories, and commit in one of them."""
    (tmp_path / "all-hooks").mkdir()
    git("config", "--global", "core.hooksPath", tmp_path / "all-hooks", cwd=repo)
    prodigy("install", cwd=repo, check=True)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=repo)
    return repo


def _commits(events: Run, session: str) -> list[str]:
    return [e["commit"] for e in events(session) if e["type"] == "CommitCreated"]


def test_it_is_recorded_no_more_and_nothing_is_lost(by_accident, store, git, events) -> None:
    (file,) = (store / "sessions").glob("*.json")
    session = file.stem
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=by_accident,
        env={"PRODIGY_GIT_SILENCE": "1"})  # fmt: skip
    two = git("rev-parse", "HEAD", cwd=by_accident)
    done = ok("worktree", "forget", cwd=by_accident)
    assert done.out == f"{by_accident}: forgotten, its session was {session}\n"
    assert "prodigy.autoRegister" in done.err
    assert not (by_accident / ".git" / "prodigy").exists()
    assert not (by_accident / ".git" / "prodigy-cursor").exists()
    git("commit", "-q", "--allow-empty", "-m", "three", cwd=by_accident)
    git("worktree", "add", "-q", by_accident.parent / "linked", cwd=by_accident)
    assert [p.stem for p in (store / "sessions").glob("*.json")] == [session]
    assert session_file(store, session)["status"] == "Cancelled"
    commits = _commits(events, session)
    assert len(commits) == 2
    assert commits[1] == two
    assert [e["status"] for e in events(session) if e["type"] == "SessionFinished"] == ["Cancelled"]
    ok("verify", cwd=by_accident)
    assert "nothing to forget" in refused("worktree", "forget", cwd=by_accident)
    # And back again, by hand.
    ok("worktree", "adopt", cwd=by_accident)
    git("commit", "-q", "--allow-empty", "-m", "four", cwd=by_accident)
    ok("verify", cwd=by_accident)


def test_all_of_a_repository(by_accident, tmp_path, git, store) -> None:
    git("worktree", "add", "-q", tmp_path / "linked", cwd=by_accident)
    assert len(list((store / "sessions").glob("*.json"))) == 2
    done = ok("worktree", "forget", "--all", "--json", cwd=tmp_path / "linked")
    assert [one["worktree"] for one in done.json] == [str(by_accident), str(tmp_path / "linked")]
    assert ok("worktree", "forget", "--all", "--json", cwd=by_accident).json == []


def test_anew_begins_another_session_with_the_next_commit(by_accident, store, git) -> None:
    ok("worktree", "forget", "--anew", by_accident)
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=by_accident)
    found = [session_file(store, p.stem) for p in (store / "sessions").glob("*.json")]
    assert sorted(one["status"] for one in found) == ["Cancelled", "Running"]
    assert [one["metadata"]["commits"] for one in found] == [1, 1]
    ok("verify", cwd=by_accident)


def test_a_store_that_is_gone_is_not_made_anew(by_accident, store) -> None:
    shutil.rmtree(store)
    ok("worktree", "forget", "--anew", cwd=by_accident)
    assert not store.exists()
    assert not (by_accident / ".git" / "prodigy").exists()


def test_what_is_at_work_or_our_own_is_refused(by_accident, git, prodigy, tmp_path, store) -> None:
    made = ok("new-worktree", "w", cwd=by_accident).out.rstrip("\n")
    assert "was made by prodigy-git" in refused("worktree", "forget", cwd=made)
    git("worktree", "add", "-q", tmp_path / "other", cwd=by_accident,
        env={"PRODIGY_AGENT_ID": "agent-1"})  # fmt: skip
    assert "agent agent-1 is at work" in refused("worktree", "forget", cwd=tmp_path / "other")
    assert (by_accident / ".git" / "worktrees" / "other" / "prodigy").exists()
