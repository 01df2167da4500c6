"""Orphans and drift: each kind made, found, mended, found no more; and what is only reported."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import new, ok, rewrite_session, session_file, snapshot
from support_drift import (
    LONG_AGO,
    entries,
    find,
    gone,
    killed_before,
    make_old,
    private_of,
    repair,
    without_memory,
)

from prodigy_git.cleanup import interrupted


@pytest.fixture
def made(repo, store, git):
    """A worktree with a commit, and everything in order."""
    path = Path(new(repo, "w1", "--job", "j")["worktree"])
    git("commit", "-q", "--allow-empty", "-m", "own", cwd=path)
    ok("sessions", "show", "w1", cwd=repo)
    assert find(store) == []
    return path


# Each makes one kind of drift, and returns what must be true once it is mended.


def _no_dot_git(git, repo, store, made):
    private = private_of(git, made)
    (made / ".git").unlink()
    return "link", lambda: private_of(git, made) == private


def _renamed_folder(git, repo, store, made):
    moved = made.parent / "w1-moved"
    made.rename(moved)
    return (
        "link",
        lambda: (
            git("worktree", "list", "--porcelain", cwd=repo).count(f"worktree {moved}\n") == 1
            and session_file(store, "w1")["metadata"]["worktree_path"] == str(moved)
        ),
    )


def _moved_into_the_store(git, repo, store, made):
    outside = repo.parent / "elsewhere" / "wt"
    git("worktree", "add", "-q", outside, cwd=repo)
    moved = made.parent / "wt"
    outside.rename(moved)
    ok("finish", "w1", cwd=repo)
    return "link", lambda: git("status", "--porcelain", cwd=moved) == ""


def _moved_by_git(git, repo, store, made):
    git("worktree", "move", made, repo.parent / "away", cwd=repo)
    return (
        "path",
        lambda: session_file(store, "w1")["metadata"]["worktree_path"] == str(repo.parent / "away"),
    )


def _never_begun(git, repo, store, made):
    fields = {**session_file(store, "w1"), "id": "w2", "status": "Initializing"}
    fields["metadata"] = {**fields["metadata"], "worktree_path": str(made.parent / "w2")}
    (store / "sessions" / "w2.json").write_text(json.dumps(fields))
    make_old(store, "w2")
    return (
        "leftover",
        lambda: (
            not (store / "sessions" / "w2.json").exists()
            and (store / "trash" / "repo" / "w2" / "session.json").is_file()
        ),
    )


def _killed_before_the_enrolment(git, repo, store, made):
    path = Path(new(repo, "w2")["worktree"])
    for name in ("prodigy", "prodigy-cursor"):
        (private_of(git, path) / name).unlink()
    shutil.rmtree(store / "events" / "repo" / "w2")
    rewrite_session(store, "w2", status="Initializing")
    make_old(store, "w2")
    return (
        "unenrolled",
        lambda: (
            session_file(store, "w2")["status"] == "Running"
            and ok("worktree", "ls", "--json", cwd=repo).json[-1]["session_id"] == "w2"
        ),
    )


def _no_session_file(git, repo, store, made):
    (store / "sessions" / "w1.json").unlink()
    return (
        "enrolment",
        lambda: (
            session_file(store, "w1")["status"] == "Running"
            and session_file(store, "w1")["metadata"]["commits"] == 1
            and session_file(store, "w1")["mapreduce_data"]["job_id"] == "j"
            and ok("finish", "w1", "--json", cwd=repo).json["status"] == "Completed"
        ),
    )


def _session_file_in_the_trash(git, repo, store, made):
    before = session_file(store, "w1")
    target = store / "trash" / "repo" / "w1" / "session.json"
    target.parent.mkdir(parents=True)
    (store / "sessions" / "w1.json").rename(target)
    return "enrolment", lambda: session_file(store, "w1") == before and not target.exists()


def _empty_folders(git, repo, store, made):
    folders = [
        store / "events" / "repo" / "x",
        store / "dlq" / "repo" / "x",
        store / "state" / "repo" / "mapreduce" / "jobs" / "x",
        store / "trash" / "repo" / "x",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        os.utime(folder, (1, 1))
    (store / "dlq" / "repo" / "young").mkdir()
    (store / "worktrees" / "repo" / "unknown").mkdir()
    return (
        "empty",
        lambda: (
            not any(folder.exists() for folder in folders)
            and (store / "dlq" / "repo" / "young").exists()
            and (store / "worktrees" / "repo" / "unknown").exists()
        ),
    )


def _temporary_files(git, repo, store, made):
    paths = [
        store / "sessions" / ".w1.json.new",
        store / "setup" / ".w1.json.underway.new",
        store / "state" / "repo" / ".trusted.json.new",
        store / "state" / "repo" / ".pushed.json.new",
        store / "state" / "repo" / ".known-merges.json.new",
        store / "state" / "repo" / "mappings" / ".session-to-job.json.new",
    ]
    young = store / "sessions" / ".w2.json.new"
    (store / "setup").mkdir()
    for path in (*paths, young):
        path.write_text("{")
    for path in paths:
        os.utime(path, (1, 1))
    (made / ".work.new").write_text("mine")
    os.utime(made / ".work.new", (1, 1))
    return (
        "temporary",
        lambda: (
            not any(path.exists() for path in paths)
            and young.exists()
            and (made / ".work.new").exists()
        ),
    )


KINDS = [
    _no_dot_git, _renamed_folder, _moved_into_the_store, _moved_by_git, _never_begun,
    _killed_before_the_enrolment, _no_session_file, _session_file_in_the_trash, _empty_folders,
    _temporary_files,
]  # fmt: skip


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__.lstrip("_"))
def test_found_mended_and_found_no_more(git, repo, store, made, make, events):
    kind, mended = make(git, repo, store, made)
    before = snapshot(store, repo)
    found = [one for one in find(store) if one.repairable]
    assert {one.kind for one in found} == {kind}
    if kind != "temporary":
        assert [one for one in find(store, repo) if one.repairable] == found
    assert snapshot(store, repo) == before  # looking changes nothing
    assert all(json.dumps(one.as_json()) for one in found)
    done = repair(store)
    assert [one.error for one in done] == [""] * len(found)
    assert all(one.done for one in done)
    assert mended()
    assert [one for one in find(store) if one.repairable] == []
    git("fsck", "--connectivity-only", cwd=repo)
    types = [e["type"] for e in events("j")]
    assert types.count("CommitCreated") in (1, 2)  # a commit that was not yet recorded is, once
    assert len({e["id"] for e in events("j")}) == len(events("j"))


# Each makes something that looks like drift and is left alone, and returns the words it is said in.


def _unmounted(git, repo, store, made):
    disk = repo.parent / "disk"
    git("worktree", "add", "-q", disk / "wt", cwd=repo)
    disk.rename(repo.parent / "unplugged")
    return "mounted"


def _unmounted_with_its_mount_point(git, repo, store, made):
    _unmounted(git, repo, store, made)
    (repo.parent / "disk").mkdir()
    return "mounted"


def _locked(git, repo, store, made):
    git("worktree", "lock", "--reason", "on a stick", made, cwd=repo)
    made.rename(repo.parent / "unplugged")
    return "on a stick"


def _repository_away(git, repo, store, made):
    repo.rename(repo.parent / "unplugged")
    return "mounted"


def _store_of_worktrees_away(git, repo, store, made):
    (store / "worktrees" / "repo").rename(repo.parent / "unplugged")
    return "mounted"


def _a_repository_in_the_store(git, repo, store, made):
    git("clone", "-q", repo, store / "worktrees" / "repo" / "clone", cwd=repo)
    return "another repository"


def _worktrees_within(git, repo, store, made):
    git("worktree", "add", "-q", store / "worktrees" / "repo" / "team" / "wt", cwd=repo)
    return "there are worktrees in it"


def _young_session(git, repo, store, made):
    git("worktree", "remove", "--force", made, cwd=repo)
    rewrite_session(store, "w1", metadata={"pid": gone()})
    return "has no worktree"


def _live_process(git, repo, store, made):
    git("worktree", "remove", "--force", made, cwd=repo)
    make_old(store, "w1")
    rewrite_session(store, "w1", updated_at=LONG_AGO, metadata={"pid": os.getppid()})
    return "has no worktree"


def _new_worktree_at_work(git, repo, store, made):
    rewrite_session(store, "w1", status="Initializing")
    (private_of(git, made) / "prodigy").unlink()
    return "never begun"


def _no_session(git, repo, store, made):
    git("worktree", "add", "-q", store / "worktrees" / "repo" / "foreign", cwd=repo)
    return "worktree adopt"


ALONE = [
    _unmounted, _unmounted_with_its_mount_point, _locked, _repository_away,
    _store_of_worktrees_away, _a_repository_in_the_store, _worktrees_within, _young_session,
    _live_process, _new_worktree_at_work, _no_session,
]  # fmt: skip


@pytest.mark.parametrize("make", ALONE, ids=lambda make: make.__name__.lstrip("_"))
def test_reported_and_left_alone(git, repo, store, made, make):
    words = make(git, repo, store, made)
    before = without_memory(snapshot(store, repo, repo.parent / "unplugged"))
    found = find(store)
    assert any(words in one.wrong + one.remedy for one in found), found
    assert repair(store) == []
    assert without_memory(snapshot(store, repo, repo.parent / "unplugged")) == before


def test_only_the_repository_asked_for(repo, store, made, git):
    git("clone", "-q", repo, repo.parent / "second", cwd=repo.parent)
    other = Path(new(repo.parent / "second", "o1")["worktree"])
    other.rename(other.parent / "away")
    assert find(store, repo) == []
    assert [one.kind for one in find(store)] == ["link"]
    assert [one.kind for one in find(store, repo.parent / "second")] == ["link"]


KILLED = [
    _renamed_folder, _never_begun,
    _killed_before_the_enrolment, _no_session_file, _session_file_in_the_trash, _empty_folders,
]  # fmt: skip


@pytest.mark.parametrize("make", KILLED, ids=lambda make: make.__name__.lstrip("_"))
def test_killed_anywhere_the_next_run_mends_it(git, repo, store, made, make, events, tmp_path):
    _, mended = make(git, repo, store, made)
    for folder in (store, repo):
        subprocess.run(["cp", "-a", folder, tmp_path / f"{folder.name}.before"], check=True)
    call = 0
    while not killed_before(call, lambda: repair(store)):
        interrupted.take_up(str(store), "repo", print)
        assert [one.error for one in repair(store) if one.error] == []
        assert mended(), (call, entries(store), git("worktree", "list", cwd=repo))
        assert [one for one in find(store) if one.repairable] == []
        assert len({e["id"] for e in events("j")}) == len(events("j"))
        git("fsck", "--connectivity-only", cwd=repo)
        for folder in (store, repo):
            shutil.rmtree(folder)
            subprocess.run(["cp", "-a", tmp_path / f"{folder.name}.before", folder], check=True)
        call += 1
    assert call >= 2
    assert mended()
