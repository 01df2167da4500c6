"""What a repair leaves: halves of worktrees that are whole elsewhere are named and waited for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import new, ok, snapshot
from support_drift import (
    find,
    gone,
    repair,
    without_memory,
)  # fmt: skip
from support_halves import HALVES, back, end, no_folder, no_registration

from prodigy_git.cleanup.drift import mending

# Each takes one half away and returns the path of the one that is left.


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


# The way back.


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


def test_what_the_layout_has_a_place_for_is_known(store):
    """Each file of a repository's state, and of a job's, is one that clean knows."""
    from prodigy_git import layout
    from prodigy_git.cleanup.drift import leftovers

    root = str(store)
    of_repository = (
        layout.repository, layout.halves, layout.known_merges, layout.trusted, layout.pushed,
        layout.session_to_job, layout.job_to_session,
    )  # fmt: skip
    paths = [where(root, "r") for where in of_repository]
    paths += [layout.merges(root, "r", "main-12345678"), layout.conflict(root, "r", "j", "i")]
    paths += [
        where(root, "r", "j") for where in (layout.items, layout.index, layout.cleaned_events)
    ]
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert [one.path for one in leftovers.unknown(root, "r")] == []
