"""What a killed removal or restore has left half-way is said wherever worktrees are looked at.

The process is killed before each rename in turn: at every point at which something is neither here nor
there. Whatever it leaves, a command names it with what ends it, and that gives the worktree back.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT, call, environment, new, ok
from support_removal import commit, files_in

from prodigy_git import layout
from prodigy_git.cleanup.trash import entry, unfinished
from prodigy_git.record import locks

KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git import cli
at, count = sys.argv[2], 0
def rename(*arguments, made=os.rename, **named):
    global count
    count += 1
    if at in (str(count), arguments[0]):
        os.kill(os.getpid(), 9)
    return made(*arguments, **named)
os.rename = rename
sys.exit(cli.run(sys.argv[3:]))
"""


def killed(repo: Path, at: int | Path, *arguments: str) -> bool:
    """Run a command that is killed before a rename, by number or path; return whether it was."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, PACKAGE_PARENT, str(at), *arguments],
        cwd=repo, env=environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -9), done
    return done.returncode == -9


@pytest.fixture
def top(repo: Path) -> Path:
    made = Path(new(repo, "w1", "--job", "j")["worktree"])
    commit(made, "mine", "committed\n")
    (made / "untracked").write_text("work\n")
    return made


def said(repo: Path, store: Path) -> int:
    """Look at what is half-way with each command; return how many things are."""
    halves = unfinished.find(str(store), pytest.fail)
    if not halves:
        return 0
    (half,) = halves
    assert half.session == "w1"
    assert half.command == "prodigy-git worktree restore w1"
    (row,) = [one for one in ok("worktree", "ls", "--json", cwd=repo).json if one["half_way"]]
    assert (row["session_id"], row["half_way"]) == ("w1", half.as_json())
    assert row["exists"] == os.path.isdir(row["worktree"])
    assert ok("worktree", "show", "w1", "--json", cwd=repo).json["half_way"] == half.as_json()
    (found,) = ok("status", "--json", cwd=repo).json["repositories"]
    assert found["half_way"] == [half.as_json()]
    assert {"what": half.words, "commands": [half.command]} in found["advice"]
    done = ok("verify", "--json", cwd=repo)
    assert done.json["half_way"] == [half.as_json()]
    assert done.json["sessions"][0]["evidence"] in ("reflog", "trash")
    for words in ("worktree ls", "worktree show w1", "status", "verify"):
        done = ok(*words.split(), cwd=repo)
        assert half.words in done.out + done.err, words
        assert half.command in done.out + done.err, words
    return 1


def test_a_removal_killed_anywhere_is_said(repo: Path, store: Path, top: Path) -> None:
    before = files_in(top)
    count, seen = 1, 0
    while killed(repo, count, "worktree", "clean", "-f", "w1"):
        seen += said(repo, store)
        done = call("worktree", "restore", "w1", cwd=repo)
        # Killed before it had begun, there is nothing to restore.
        assert done.code == 0 or "is not in the trash" in done.err, done
        assert files_in(top) == before
        assert unfinished.find(str(store), pytest.fail) == []
        count += 1
    assert seen >= 5


def test_a_restore_killed_anywhere_is_said(repo: Path, store: Path, top: Path) -> None:
    before = files_in(top)
    count, seen = 1, 0
    while True:
        ok("worktree", "clean", "-f", "w1", cwd=repo)
        if not killed(repo, count, "worktree", "restore", "w1"):
            break
        seen += said(repo, store)
        ok("worktree", "restore", "w1", cwd=repo)
        assert files_in(top) == before
        count += 1
    assert seen > 3


def half_removed(repo: Path, top: Path) -> None:
    """Kill a removal where the folder is there and its git directory is in the trash."""
    assert killed(repo, top, "worktree", "clean", "-f", "w1")
    assert top.is_dir()
    assert not (repo / ".git/worktrees/w1").exists()


def test_doctor_names_it_and_clean_takes_it_back(repo: Path, top: Path) -> None:
    half_removed(repo, top)
    found = call("doctor", "--json", cwd=repo).json  # no hooks are installed, which it says, too
    (finding,) = [one for one in found if one["what"] == "removal"]
    assert f"{top} is there, its git directory is in the trash" in finding["words"]
    assert (
        finding["remedy"]
        == "'prodigy-git worktree restore w1' or 'prodigy-git clean' brings it back"
    )
    done = call("worktree", "clean", "--dry-run", "w1", cwd=repo)
    assert "was interrupted" in done.out
    ok("clean", "--yes", cwd=repo)
    ok("verify", cwd=top)


def test_what_another_process_is_at_has_no_remedy(repo: Path, store: Path, top: Path) -> None:
    half_removed(repo, top)
    lock = locks.take(layout.repository_lock(str(store), "repo"))
    try:
        (half,) = unfinished.find(str(store), pytest.fail)
        assert half.text() == "the removal of w1 is under way in another process"
        assert ok("worktree", "ls", "--all-repos", "--json").json[-1]["half_way"]["command"] == ""
        assert not ok("status", "--json", cwd=repo).json["repositories"][0]["half_way"]
    finally:
        os.close(lock)


def test_what_lies_in_the_trash_whole_is_not_half_way(repo: Path, store: Path, top: Path) -> None:
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert [one.state for one in entry.entries(str(store), pytest.fail)] == ["trashed"]
    assert unfinished.find(str(store), pytest.fail) == []
    assert [one["half_way"] for one in ok("worktree", "ls", "--json", cwd=repo).json] == [None]
