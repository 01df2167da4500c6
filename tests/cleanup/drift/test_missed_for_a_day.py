"""What a repair takes: halves of worktrees that have been missed for a day, and a killed repair."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import ok, rewrite_session, session_file
from support_drift import (
    entries,
    find,
    killed_before,
    repair,
)  # fmt: skip
from support_halves import HALVES, end, neither, no_registration
from support_restore import restored

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.drift import mending


@pytest.mark.parametrize("take", HALVES)
def test_taken_when_missed_for_a_day(git, repo, store, made, time, take):
    end(store)
    left = take(git, repo, store, made)
    for wait, words in ((0, "missed for the first time"), (0.5, "missing since")):
        time.pass_days(wait)
        (one,) = find(store)
        assert words in one.remedy
        assert repair(store) == []
        assert left.exists()
    time.pass_days(1)
    (one,) = repair(store)
    assert (one.error, bool(one.done)) == ("", True)
    assert not left.exists()
    (entry,) = entries(store)
    assert git("rev-parse", "--verify", entry.salvage_ref, cwd=repo)
    assert find(store) == []
    git("fsck", "--connectivity-only", cwd=repo)


def test_what_a_salvage_ref_holds_of_a_folder(git, repo, store, made, time):
    end(store)
    no_registration(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    repair(store)
    (entry,) = entries(store)
    shutil.rmtree(entry.folder)
    git("gc", "-q", "--prune=now", cwd=repo)
    done = restored(store, "w1", broken=print)
    assert (Path(done.worktree) / "work").read_text() == "precious"
    assert not (Path(done.worktree) / "x.env").exists()  # ignored: git holds it not


def test_session_without_any_worktree_is_ended_when_missed_for_a_day(
    git, repo, store, made, time, events
):
    neither(git, repo, store, made)
    before = session_file(store, "w1")
    assert repair(store) == []
    assert session_file(store, "w1") == before
    time.pass_days(2)
    assert [one.kind for one in repair(store)] == ["session"]
    assert session_file(store, "w1")["status"] == "Cancelled"
    fields = {**before}
    (store / "sessions" / "w1.json").write_text(json.dumps(fields))  # killed before it was written
    repair(store)
    time.pass_days(2)
    repair(store)
    ended = [e for e in events("j") if e["type"] == "SessionFinished"]
    assert [e["status"] for e in ended] == ["Cancelled"]
    assert "gone" in session_file(store, "w1")["error"]


def test_session_of_another_host_is_not_ended(git, repo, store, made, time):
    neither(git, repo, store, made)
    rewrite_session(store, "w1", metadata={"host": "elsewhere"}, updated_at="2025-01-11T12:00:00Z")
    for _ in range(3):
        assert repair(store) == []
        time.pass_days(2)
    assert session_file(store, "w1")["status"] == "Running"


def test_session_file_stays_while_a_half_is_there(git, repo, store, made, time):
    end(store)
    no_registration(git, repo, store, made)
    ok("sessions", "clean", "--older-than", "0s", cwd=repo)
    assert (store / "sessions" / "w1.json").exists()


@pytest.mark.parametrize("take", [*HALVES, neither])
def test_killed_anywhere_the_next_run_mends_it(
    git, repo, store, made, time, take, events, tmp_path
):
    if take is not neither:
        end(store)
    take(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    for folder in (store, repo):
        subprocess.run(["cp", "-a", folder, tmp_path / f"{folder.name}.before"], check=True)

    def mended():
        if take is neither:
            return session_file(store, "w1")["status"] == "Cancelled"
        (entry,) = entries(store)
        half = entry.folder if take is no_registration else entry.git
        return os.listdir(half) and git("rev-parse", "--verify", entry.salvage_ref, cwd=repo)

    def again():
        for folder in (store, repo):
            shutil.rmtree(folder)
            subprocess.run(["cp", "-a", tmp_path / f"{folder.name}.before", folder], check=True)
        # What was copied is another folder: said to be the one that was seen.
        fields = json.loads((store / "state/repo/halves.json").read_text())
        there = mending.holding_back.identity
        fields["whole"]["w1"] = [there(str(made.parent)), there(str(repo / ".git"))]
        (store / "state/repo/halves.json").write_text(json.dumps(fields))
        repair(store)
        time.pass_days(2)

    again()
    call = 0
    while not killed_before(call, lambda: repair(store)):
        interrupted.take_up(str(store), "repo", print)
        repair(store)
        time.pass_days(2)
        assert [one.error for one in repair(store) if one.error] == []
        assert mended(), (call, entries(store), git("worktree", "list", cwd=repo))
        assert [one for one in find(store) if one.repairable] == []
        assert len({e["id"] for e in events("j")}) == len(events("j"))
        git("fsck", "--connectivity-only", cwd=repo)
        again()
        call += 1
    assert call >= 2
    assert mended()


def test_one_that_cannot_be_mended_does_not_stop_the_others(
    git, repo, store, made, time, monkeypatch
):
    for name in ("w1", "other"):
        end(store, name)
        shutil.rmtree(repo / ".git/worktrees" / name)
    repair(store)
    time.pass_days(2)
    real = mending.moving.move

    def move(source, *targets):
        if source.endswith("/other"):
            raise OSError(13, "Permission denied", source)
        return real(source, *targets)

    monkeypatch.setattr(mending.moving, "move", move)
    first, second = mending.repair(str(store), find(store), pytest.fail)
    assert "Permission denied" in first.error
    assert (second.error, bool(second.done)) == ("", True)
    assert (made.parent / "other" / "README").exists()
