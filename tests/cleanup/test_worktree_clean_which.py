"""worktree clean: which of several go, by age, by job, by what is merged; and many at once."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support_cli import (
    call,
    new,
    ok,
    rewrite_session,
    session_file,
)
from support_removal import salvaged
from support_worktree_clean import results_of

from prodigy_git.cleanup import worktrees
from prodigy_git.cleanup.salvage import refs


def _own_commit(git, made, name="own"):
    tree = Path(made["worktree"])
    (tree / name).write_text("x")
    git("add", name, cwd=tree)
    git("commit", "-qm", name, cwd=tree)
    return tree


@pytest.fixture
def four(repo, git):
    """Finished sessions: unused, ahead, merged, and one that is merged and dirty."""
    made = {name: new(repo, name, "--job", f"job-{name}") for name in ("u", "a", "m", "d")}
    for name in ("a", "m", "d"):
        _own_commit(git, made[name], name)
    for name in ("m", "d"):
        git("merge", "-q", "--no-edit", f"prodigy-{name}", cwd=repo)
    (Path(made["d"]["worktree"]) / "untracked").write_text("x")
    for name in made:
        ok("finish", name, cwd=repo)
    return {name: Path(one["worktree"]) for name, one in made.items()}


def test_all_leaves_unused_ones_alone_while_they_are_young(repo, four, store, all_seen):
    assert results_of("--all", "--dry-run", cwd=repo) == {
        "u": "refused", "a": "would-clean", "m": "would-clean", "d": "refused",
    }  # fmt: skip
    assert results_of("--all", "-f", "--dry-run", cwd=repo)["u"] == "refused"
    assert results_of("--all", "--min-age", "0s", "--dry-run", cwd=repo)["u"] == "would-clean"
    assert results_of("u", "--dry-run", cwd=repo)["u"] == "would-clean"
    rewrite_session(store, "u", completed_at="2025-01-11T12:00:00Z")
    assert results_of("--all", "--dry-run", cwd=repo)["u"] == "would-clean"


def test_merged_only_takes_what_is_merged_and_no_unused_one(repo, git, four):
    expected = {"u": "refused", "a": "refused", "m": "cleaned", "d": "refused"}
    assert results_of("--all", "--merged-only", "--min-age", "0s", cwd=repo) == expected
    assert results_of("--all", "--merged-only", "-f", cwd=repo) == {
        "u": "refused", "a": "refused", "d": "cleaned",
    }  # fmt: skip
    assert results_of("a", "--merged-only", "-f", cwd=repo, code=1) == {"a": "refused"}
    branches = git("branch", "--format=%(refname:short)", cwd=repo).split()
    assert branches == ["main", "prodigy-a", "prodigy-u"]


def test_older_than_goes_by_the_sessions_end_never_by_a_files_time(repo, four, store, all_seen):
    for path in (four["a"], four["a"] / "README", store / "sessions" / "a.json"):
        os.utime(path, (1, 1))
    rewrite_session(store, "m", completed_at="2025-01-11T12:00:00Z")
    results = results_of("--all", "--older-than", "24h", cwd=repo)
    assert results == {"u": "refused", "a": "refused", "m": "cleaned", "d": "refused"}
    assert results_of("a", "--older-than", "1h", "-f", cwd=repo, code=1) == {"a": "refused"}


def test_job_narrows_all_down_and_a_name_of_another_job_is_refused(repo, four):
    assert results_of("--all", "--job", "job-m", cwd=repo) == {"m": "cleaned"}
    assert results_of("a", "--job", "job-m", cwd=repo, code=1) == {"a": "refused"}


def test_forced_all_takes_stuck_sessions_and_no_young_ones(repo, store):
    tree = Path(new(repo, "stuck")["worktree"])
    (tree / "README").write_text("changed")
    assert results_of("--all", "-f", cwd=repo) == {"stuck": "refused"}
    assert results_of("--all", "--min-age", "0s", cwd=repo) == {"stuck": "refused"}
    assert results_of("--all", "-f", "--min-age", "0s", cwd=repo) == {"stuck": "cleaned"}
    assert session_file(store, "stuck")["status"] == "Cancelled"


def test_delete_branch(repo, git, four):
    def branches():
        return git("branch", "--format=%(refname:short)", cwd=repo).split()

    results_of("a", cwd=repo)
    assert "prodigy-a" in branches()
    git("worktree", "add", "-q", repo.parent / "again", "prodigy-a", cwd=repo)
    other = new(repo, "o")
    _own_commit(git, other, "o")
    ok("finish", "o", cwd=repo)
    results_of("o", "--delete-branch", cwd=repo)
    assert "prodigy-o" in branches()
    last = new(repo, "l")
    tree = _own_commit(git, last, "l")
    head = git("rev-parse", "HEAD", cwd=tree)
    (one,) = ok("worktree", "clean", "l", "-f", "--delete-branch", "--json", cwd=repo).json
    assert one["branch_deleted"] == "prodigy-l"
    assert "prodigy-l" not in branches()
    sha, more = salvaged(repo, one["salvage_ref"])
    git("merge-base", "--is-ancestor", head, sha, cwd=repo, env=more)


def test_a_batch_goes_on_past_a_failure(repo, four, monkeypatch, store):
    from prodigy_git.cleanup.trash import removal

    really = removal.remove

    def failing(store, place, *more, **options):
        if place.top.endswith("/a"):
            raise OSError(28, "No space left on device")
        return really(store, place, *more, **options)

    monkeypatch.setattr(removal, "remove", failing)
    results = results_of("--all", cwd=repo, code=1)
    assert results == {"u": "refused", "a": "failed", "m": "cleaned", "d": "refused"}


@pytest.fixture
def many(repo, monkeypatch):
    """Finished worktrees, more than are moved together, in the order in which they are named."""
    monkeypatch.setattr(worktrees, "_TOGETHER", 4)
    trees = {name: Path(new(repo, name)["worktree"]) for name in ("b", "a", *"cdefghij")}
    for name in trees:
        ok("finish", name, cwd=repo)
    return trees


def test_many_go_at_once_and_are_told_in_their_order(repo, many, store, git):
    results = results_of(*many, cwd=repo)
    assert list(results.items()) == [(name, "cleaned") for name in many]
    assert not any(tree.exists() for tree in many.values())
    assert git("worktree", "list", cwd=repo).count("\n") == 0
    assert call("verify", cwd=repo).code == 0
    for name, tree in many.items():
        ok("worktree", "restore", name, cwd=repo)
        assert (tree / "README").exists()


def test_one_that_is_named_twice_is_moved_once(repo, many):
    done = ok("worktree", "clean", "a", many["a"], f"{many['a']}/", "b", "--json", cwd=repo).json
    assert [(one["name"], one["result"]) for one in done] == [("a", "cleaned"), ("b", "cleaned")]


def test_a_lock_that_is_not_to_be_had_fails_them_and_not_the_command(repo, many, store):
    (lock,) = (store / "locks").glob("repository-*")
    lock.unlink()
    lock.mkdir()
    done = call("worktree", "clean", "a", "b", "none-such", "--json", cwd=repo)
    assert [one["result"] for one in done.json] == ["failed"] * 3
    assert all("is a folder, not a file" in one["reasons"][0] for one in done.json[:2])
    assert all(many[name].exists() for name in "ab")


def test_branches_go_though_another_git_holds_the_packed_refs(repo, many, git, monkeypatch):
    git("pack-refs", "--all", cwd=repo)
    git("config", "core.packedRefsTimeout", "0", cwd=repo)
    lock = repo / ".git" / "packed-refs.lock"
    lock.touch()
    waiting = SimpleNamespace(
        sleep=lambda _: lock.unlink(missing_ok=True), monotonic=time.monotonic
    )
    monkeypatch.setattr(refs, "time", waiting)  # while we wait, the other one ends
    done = ok("worktree", "clean", "a", "b", "--json", cwd=repo).json
    assert [one["branch_deleted"] for one in done] == ["prodigy-a", "prodigy-b"]


def test_what_is_said_of_one_is_said_though_it_is_interrupted(repo, many, monkeypatch):
    from prodigy_git.cleanup.trash import removal

    def interrupted(store, place, *more, broken, **options):
        broken(f"not all is done of {place.top}")
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "remove", interrupted)
    done = call("worktree", "clean", "a", "b", cwd=repo)
    assert done.code == 130
    assert f"prodigy-git: not all is done of {many['a']}" in done.err.splitlines()


def test_what_changes_behind_the_account_of_many_is_noticed(repo, many, monkeypatch):
    from prodigy_git.cleanup.account import gathering

    really = gathering.gather

    def slow(wanted, *more, **options):
        found = really(wanted, *more, **options)
        (many["c"] / "new").write_text("made behind the account\n")
        return found

    monkeypatch.setattr(gathering, "gather", slow)
    monkeypatch.setattr(worktrees, "_FRESH", -1.0)  # each account is too old by then
    results = results_of(*many, cwd=repo, code=1)
    assert results == dict.fromkeys(many, "cleaned") | {"c": "refused"}
    assert (many["c"] / "new").exists()
