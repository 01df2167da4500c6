"""Orphans and drift: each kind made, found, mended, found no more; and what is only reported."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import new, ok, rewrite_session, session_file, snapshot
from support_removal import existing

from prodigy_git.cleanup import drift, entry, removal, restore

LONG_AGO = "2025-01-11T12:00:00.000000Z"


def find(store, cwd=None):
    return drift.find(str(store), None if cwd is None else str(cwd), pytest.fail)


def repair(store):
    return [one for one in drift.repair(str(store), find(store), pytest.fail) if one.repairable]


def entries(store):
    return entry.entries(str(store), pytest.fail)


def gone(process=None):
    """Return the id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def make_old(store, name):
    rewrite_session(store, name, started_at=LONG_AGO, updated_at=LONG_AGO, metadata={"pid": gone()})
    fields = session_file(store, name)
    fields["metadata"].pop("pid_started", None)
    (store / "sessions" / f"{name}.json").write_text(json.dumps(fields))


@pytest.fixture
def made(repo, store, git):
    """A worktree with a commit, and everything in order."""
    path = Path(new(repo, "w1", "--job", "j")["worktree"])
    git("commit", "-q", "--allow-empty", "-m", "own", cwd=path)
    ok("sessions", "show", "w1", cwd=repo)
    assert find(store) == []
    return path


def private_of(git, path):
    return Path(git("rev-parse", "--absolute-git-dir", cwd=path))


# Each makes one kind of drift, and returns what must be true once it is mended.


def _unknown_folder(git, repo, store, made):
    folder = store / "worktrees" / "repo" / "stray"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "work").write_text("precious")
    return (
        "folder",
        lambda: (
            not folder.exists()
            and (Path(entries(store)[0].folder) / "sub" / "work").read_text() == "precious"
        ),
    )


def _folder_whose_registration_is_gone(git, repo, store, made):
    (made / "work").write_text("precious")
    shutil.rmtree(private_of(git, made))
    return (
        "folder",
        lambda: (
            not made.exists()
            and (Path(entries(store)[0].folder) / "work").read_text() == "precious"
            and (Path(entries(store)[0].folder) / ".git.in-trash").is_file()
        ),
    )


def _copy(git, repo, store, made):
    shutil.copytree(made, made.parent / "copy")
    return (
        "folder",
        lambda: (
            git("status", "--porcelain", cwd=made) == "" and not (made.parent / "copy").exists()
        ),
    )


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


def _no_folder(git, repo, store, made):
    head = git("rev-parse", "HEAD", cwd=made)
    git("checkout", "-q", "--detach", cwd=made)
    git("commit", "-q", "--allow-empty", "-m", "mine alone", cwd=made)
    alone = git("rev-parse", "HEAD", cwd=made)
    (made / "staged").write_text("x")
    git("add", "staged", cwd=made)
    blob = git("rev-parse", ":staged", cwd=made)
    shutil.rmtree(made)

    def mended():
        git("reflog", "expire", "--expire=now", "--all", cwd=repo)
        git("gc", "-q", "--prune=now", cwd=repo)
        (one,) = entries(store)
        return (
            head
            and str(made) not in git("worktree", "list", cwd=repo)
            and existing(repo, {alone, blob}, one.salvage_ref) == {alone, blob}
            and (Path(one.git) / "HEAD").read_text().strip() == alone
            and session_file(store, "w1")["status"] == "Cancelled"
        )

    return "registration", mended


def _running_without_worktree(git, repo, store, made):
    git("worktree", "remove", "--force", made, cwd=repo)
    make_old(store, "w1")
    return "session", lambda: session_file(store, "w1")["status"] == "Cancelled"


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
        store / "worktrees" / "repo" / "x",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    return "empty", lambda: not any(folder.exists() for folder in folders)


def _temporary_files(git, repo, store, made):
    paths = [
        store / "sessions" / ".w1.json.new",
        store / "state" / "repo" / "mappings" / ".session-to-job.json.new",
    ]
    young = store / "sessions" / ".w2.json.new"
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
    _unknown_folder, _folder_whose_registration_is_gone, _copy, _no_dot_git, _renamed_folder,
    _moved_into_the_store, _moved_by_git, _no_folder, _running_without_worktree, _never_begun,
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
    before = snapshot(store, repo, repo.parent / "unplugged")
    found = find(store)
    assert any(words in one.wrong + one.remedy for one in found), found
    assert repair(store) == []
    assert snapshot(store, repo, repo.parent / "unplugged") == before


def test_somebody_stands_in_a_folder_that_git_does_not_know(repo, store, made, git):
    shutil.rmtree(private_of(git, made))
    with subprocess.Popen(["cat"], cwd=made, stdin=subprocess.PIPE) as cat:
        found = [one for one in find(store) if one.kind == "folder"]
        assert f"cat (pid {cat.pid}) stands in it" in found[0].wrong
        assert repair(store) == []
        cat.stdin.close()
    assert [one.kind for one in repair(store)] == ["folder"]


def test_what_is_right_again_by_then_is_left_alone(repo, store, made):
    stray = store / "worktrees" / "repo" / "stray"
    stray.mkdir()
    (stray / "file").write_text("x")
    found = find(store)
    shutil.rmtree(stray)
    done = drift.repair(str(store), found, pytest.fail)
    assert [(one.kind, one.done, one.error) for one in done] == [("folder", "", "")]
    assert not (store / "trash").exists()


def test_one_that_cannot_be_mended_does_not_stop_the_others(repo, store, made, monkeypatch):
    for name in ("a", "b"):
        (store / "worktrees" / "repo" / name).mkdir()
        (store / "worktrees" / "repo" / name / "file").write_text(name)
    real = drift.moving.move

    def move(source, *targets):
        if source.endswith("/a"):
            raise OSError(13, "Permission denied", source)
        return real(source, *targets)

    monkeypatch.setattr(drift.moving, "move", move)
    first, second = drift.repair(str(store), find(store), pytest.fail)
    assert "Permission denied" in first.error
    assert (second.error, bool(second.done)) == ("", True)
    assert (store / "worktrees" / "repo" / "a" / "file").exists()


def test_a_session_ends_once_with_an_event(repo, store, made, git, events):
    _running_without_worktree(git, repo, store, made)
    fields = session_file(store, "w1")
    repair(store)
    (store / "sessions" / "w1.json").write_text(json.dumps(fields))  # killed before it was written
    repair(store)
    ended = [e for e in events("j") if e["type"] == "SessionFinished"]
    assert [e["status"] for e in ended] == ["Cancelled"]
    assert "gone" in session_file(store, "w1")["error"]


def test_only_the_repository_asked_for(repo, store, made, git):
    git("clone", "-q", repo, repo.parent / "second", cwd=repo.parent)
    other = Path(new(repo.parent / "second", "o1")["worktree"])
    shutil.rmtree(private_of(git, other))
    assert find(store, repo) == []
    assert [one.kind for one in find(store)] == ["folder"]
    assert [one.kind for one in find(store, repo.parent / "second")] == ["folder"]


CHANGING = ("rename", "unlink", "rmdir", "mkdir", "link", "write", "fsync")


def killed_before(call, do):
    """Run ``do`` in a process that kills itself before its n-th call that changes something.

    Return whether it came to its end.
    """
    child = os.fork()
    if child == 0:
        left = call

        def counted(real):
            def made(*arguments, **named):
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return made

        try:
            for name in CHANGING:
                setattr(os, name, counted(getattr(os, name)))
            do()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


KILLED = [
    _unknown_folder, _no_folder, _renamed_folder, _running_without_worktree, _never_begun,
    _killed_before_the_enrolment, _no_session_file, _session_file_in_the_trash, _empty_folders,
]  # fmt: skip


@pytest.mark.parametrize("make", KILLED, ids=lambda make: make.__name__.lstrip("_"))
def test_killed_anywhere_the_next_run_mends_it(git, repo, store, made, make, events, tmp_path):
    _, mended = make(git, repo, store, made)
    for folder in (store, repo):
        subprocess.run(["cp", "-a", folder, tmp_path / f"{folder.name}.before"], check=True)
    call = 0
    while not killed_before(call, lambda: repair(store)):
        removal.take_up(str(store), "repo", print)
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


def test_a_registration_that_was_mended_can_be_restored(git, repo, store, made, events):
    """What git holds is back: the folder itself was gone before."""
    git("checkout", "-q", "--detach", cwd=made)
    git("commit", "-q", "--allow-empty", "-m", "mine alone", cwd=made)
    head = git("rev-parse", "HEAD", cwd=made)
    shutil.rmtree(made)
    repair(store)
    types = [e["type"] for e in events("j")]
    assert types.count("WorktreeCleaned") == 1
    back = restore.restore(str(store), "w1", to=None, broken=print)
    assert git("rev-parse", "HEAD", cwd=back.worktree) == head
    assert session_file(store, "w1")["status"] == "Running"
    assert [one for one in find(store) if one.repairable] == []


def test_a_folder_that_was_put_away_can_be_restored(git, repo, store, made):
    (made / "work").write_text("precious")
    shutil.rmtree(private_of(git, made))
    repair(store)
    back = restore.restore(str(store), "w1", to=None, broken=print)
    assert (Path(back.worktree) / "work").read_text() == "precious"
    assert git("status", "--porcelain", cwd=back.worktree) == "?? work"
    assert git("symbolic-ref", "--short", "HEAD", cwd=back.worktree) == "prodigy-w1"
