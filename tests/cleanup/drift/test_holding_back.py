"""What a repair may move: halves of worktrees that are whole elsewhere are named and waited for."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import new, ok, rewrite_session, session_file, snapshot
from support_drift import (
    entries,
    find,
    gone,
    killed_before,
    make_old,
    private_of,
    repair,
    without_memory,
)  # fmt: skip
from support_restore import restored

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.drift import mending

# Each takes one half away and returns the path of the one that is left.


def no_registration(git, repo, store, made):
    private = private_of(git, made)
    private.rename(repo.parent / "private")
    return made


def no_folder(git, repo, store, made):
    private = private_of(git, made)
    made.rename(repo.parent / "folder")
    return private


def neither(git, repo, store, made):
    no_registration(git, repo, store, made)
    made.rename(repo.parent / "folder")
    make_old(store, "w1")
    return store / "sessions" / "w1.json"


HALVES = [no_registration, no_folder]


def back(git, repo, store, made):
    """Put what was taken away where it was."""
    for name, place in (("folder", made), ("private", repo / ".git/worktrees/w1")):
        if (repo.parent / name).exists():
            (repo.parent / name).rename(place)


def end(store, name="w1"):
    rewrite_session(store, name, status="Completed", completed_at="2025-01-11T12:00:00.000000Z")


@pytest.mark.parametrize("take", HALVES)
def test_of_a_session_that_has_not_ended_nothing_is_ever_taken(git, repo, store, made, time, take):
    left = take(git, repo, store, made)
    before = without_memory(snapshot(store, repo))
    for _ in range(4):
        time.pass_days(3)
        (one,) = find(store)
        assert "its session, w1, is Running" in one.remedy
        assert repair(store) == []
    assert without_memory(snapshot(store, repo)) == before
    assert left.exists()


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


@pytest.mark.parametrize("take", HALVES)
def test_seen_from_elsewhere_counts_anew(git, repo, store, made, time, take, monkeypatch):
    end(store)
    take(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    # As another boot, another mount namespace or another disk at that place would.
    real = mending.holding_back.cursor.boot_id
    monkeypatch.setattr(mending.holding_back.cursor, "boot_id", lambda: "another boot")
    assert repair(store) == []
    monkeypatch.setattr(mending.holding_back.cursor, "boot_id", real)
    assert repair(store) == []
    time.pass_days(2)
    assert [bool(one.done) for one in repair(store)] == [True]


def test_place_of_the_missing_half_is_another_folder(git, repo, store, made, time):
    """The disk below worktrees/{repo} is not mounted: what is there is what it is mounted on."""
    end(store)
    end(store, "other")
    root = made.parent
    root.rename(repo.parent / "disk")
    root.mkdir()
    (root / "made meanwhile").mkdir()
    before = without_memory(snapshot(store, repo))
    for _ in range(3):
        assert any("is not what it was" in one.remedy for one in find(store))
        assert repair(store) == []
        time.pass_days(2)
    assert without_memory(snapshot(store, repo)) == before


def test_repository_cloned_anew(git, repo, store, made, time):
    end(store)
    end(store, "other")
    git("clone", "-q", "--bare", repo, repo.parent / "origin.git", cwd=repo)
    shutil.rmtree(repo)
    git("clone", "-q", repo.parent / "origin.git", repo, cwd=repo.parent)
    before = without_memory(snapshot(store))
    for _ in range(3):
        ok("clean", "--yes", cwd=repo)
        assert {one.kind for one in find(store)} == {"folder"}
        assert all("is not what it was" in one.remedy for one in find(store)), find(store)
        time.pass_days(2)
    after = without_memory(snapshot(store))
    assert {k: v for k, v in after.items() if "/state/" not in k and "/locks" not in k} == {
        k: v for k, v in before.items() if "/state/" not in k and "/locks" not in k
    }


@pytest.mark.parametrize("take", HALVES)
def test_never_seen_whole(git, repo, store, made, time, take):
    (store / "state/repo/halves.json").unlink()
    end(store)
    take(git, repo, store, made)
    for _ in range(3):
        (one,) = find(store)
        assert "no clean has seen it whole" in one.remedy
        assert repair(store) == []
        time.pass_days(2)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"whole": 1, "missing": {}}', '{"whole": {"w1": 3}}']
)
def test_damaged_memory_is_no_memory(git, repo, store, made, time, text):
    end(store)
    no_folder(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    (store / "state/repo/halves.json").write_text(text)
    assert repair(store) == []
    assert "no clean has seen it whole" in find(store)[0].remedy


@pytest.mark.parametrize("take", HALVES)
def test_touched_lately(git, repo, store, made, time, take):
    end(store)
    left = take(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    # Two days later, by the clock of the test.
    later = (os.stat(left).st_mtime_ns + 2 * 86400 * 10**9,) * 2
    os.utime(left / "HEAD" if (left / "HEAD").exists() else left / "README", ns=later)
    (one,) = find(store)
    assert "changed within a day" in one.remedy
    assert repair(store) == []
    time.pass_days(2)
    assert [bool(one.done) for one in repair(store)] == [True]


def test_somebody_stands_in_it(git, repo, store, made, time):
    end(store)
    no_registration(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    with subprocess.Popen(["cat"], cwd=made, stdin=subprocess.PIPE) as cat:
        (one,) = find(store)
        assert f"cat (pid {cat.pid}) stands in it" in one.remedy
        assert repair(store) == []
        assert cat.stdin is not None
        cat.stdin.close()
    assert [one.kind for one in repair(store)] == ["folder"]


def test_copy_is_left(git, repo, store, made, time):
    shutil.copytree(made, made.parent / "copy")
    for _ in range(3):
        (one,) = find(store)
        assert "is a copy of the worktree" in one.wrong
        assert repair(store) == []
        time.pass_days(2)
    assert (made.parent / "copy" / "work").exists()


def test_what_is_not_ours_is_left(git, repo, store, made, time):
    """Other programs' files in every folder of the store, before every cleaning command."""
    end(store)
    ok("trash", "list", cwd=repo)
    for folder in ("sessions", "events/repo", "events/repo/j", "dlq/repo", "dlq/repo/j",
                   "state/repo", "state/repo/mappings", "state/repo/mapreduce/jobs",
                   "state/repo/mapreduce/jobs/j", "worktrees", "worktrees/repo", "trash",
                   "trash/repo", "trash/repo/w1", "locks", "logs", "state", "events", "."):  # fmt: skip
        (store / folder).mkdir(parents=True, exist_ok=True)
        for name in (".metadata", "notes", "metadata.json.d"):
            (store / folder / name).mkdir(exist_ok=True)
            (store / folder / name / "theirs.json").write_text('{"id": "w1"}')
        for name in (".hidden.json.new", "README.txt", "odd name.json", ".gitignore"):
            (store / folder / name).write_text("theirs")
            os.utime(store / folder / name, (1, 1))
    theirs = {
        path: about for path, about in snapshot(store).items()
        if any(word in path for word in ("metadata", "notes", "hidden", "README", "odd", "ignore"))
        and "/w1/" not in path.removeprefix(f"{store}/worktrees")
        and not path.endswith("/.metadata/w1.json")  # ours, and gone with its worktree
    }  # fmt: skip
    theirs |= {path: about for path, about in snapshot(store).items() if "/trash/" in path}
    assert len(theirs) > 100
    for _ in range(2):
        for command in (
            ("clean", "--all", "--all-repos", "--older-than", "0s", "--yes"), ("clean", "--yes"),
            ("clean", "--all", "--archive", "--yes"), ("sessions", "clean", "--older-than", "0s"),
            ("events", "clean", "--older-than", "0s"), ("trash", "empty", "--yes"),
        ):  # fmt: skip
            ok(*command, cwd=repo)
        time.pass_days(3)
        repair(store)
    now = snapshot(store)
    assert {path: now.get(path) for path in theirs} == theirs
    said = ok("clean", "--dry-run", "-v", cwd=repo).out
    assert f"{store}/worktrees/repo/.metadata" not in said  # Prodigy's, or ours for it
    for folder in ("worktrees/repo/notes", "events/repo/j/README.txt"):
        assert f"{store}/{folder} is nothing that prodigy-git knows" in said
    assert "nothing that prodigy-git knows" not in ok("clean", "--dry-run", cwd=repo).out


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


# The way back.


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


def test_what_is_right_again_by_then_is_left_alone(git, repo, store, made, time):
    end(store)
    no_registration(git, repo, store, made)
    repair(store)
    time.pass_days(2)
    found = find(store)
    back(git, repo, store, made)
    done = mending.repair(str(store), found, pytest.fail)
    assert [(one.kind, one.done, one.error) for one in done] == [("folder", "", "")]
    assert not (store / "trash").exists()


def test_link_in_the_path_to_the_worktrees(git, repo, store, made):
    """worktrees/ lies on another disk, behind a link: git names its folders by the other path."""
    elsewhere = repo.parent / "disk"
    (store / "worktrees").rename(elsewhere)
    (store / "worktrees").symlink_to(elsewhere)
    git("worktree", "repair", elsewhere / "repo" / "w1", elsewhere / "repo" / "other", cwd=repo)
    before = without_memory(snapshot(elsewhere, repo / ".git" / "worktrees"))
    assert find(store) == []
    ok("clean", "--yes", cwd=repo)
    assert without_memory(snapshot(elsewhere, repo / ".git" / "worktrees")) == before
    another = Path(new(repo, "w3")["worktree"])
    assert find(store) == []
    ok("finish", "w3", cwd=repo)
    ok("worktree", "clean", "w3", cwd=repo)
    assert not another.exists()
    ok("worktree", "restore", "w3", cwd=repo)
    assert another.exists()


def test_gone_is_a_process(store):
    assert not Path(f"/proc/{gone()}").exists()
