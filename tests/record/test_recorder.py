"""What is recorded behind git's back: all of it, once, whatever happens to the worktree meanwhile."""

import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support_background import Background, background, wait_until
from support_record import (
    KINDS,
    PREAMBLE,
    SILENT,
    Templates,
    commit,
    commits,
    drain_now,
    events,
    git,
    place,
    run,
    session_of,
)
from test_operations import TABLE

from prodigy_git import layout
from prodigy_git.record import locks


@pytest.mark.parametrize("name", TABLE)
def test_operations_in_the_background(name: str, it: Background) -> None:
    if name == "signed" and not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    script, by_hooks, later = TABLE[name]
    it.world.sh(script)
    it.drained()
    rows = it.world.rows()
    assert Counter(rows) == Counter(by_hooks + later)
    assert drain_now(it.top) == 0


def test_git_returns_before_it_is_recorded_and_a_burst_wakes_one(it: Background) -> None:
    it.close_gate()
    before = commits(it.store)
    made = [commit(it.top, f"c{number}") for number in range(10)]
    assert commits(it.store) == before
    assert (it.woken(), len(it.pids())) == (1, 1)
    it.open_gate()
    assert commits(it.store) == before + made
    assert it.woken() == 1
    assert it.pids() == []


def test_a_hook_wakes_no_second_recorder_while_one_has_yet_to_read(it: Background) -> None:
    lock = locks.take(layout.session_lock(str(it.store), session_of(it.top)))
    it.close_gate()
    one = commit(it.top, "one")
    it.let_in()
    two = commit(it.top, "two")
    assert it.woken() == 1
    os.close(lock)
    it.through()
    assert commits(it.store)[-2:] == [one, two]


@pytest.mark.parametrize("kind", KINDS)
def test_in_every_kind_of_worktree(
    kind: str, sealed: Path, tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = background(kind, sealed, tmp_path, templates, monkeypatch)
    it.close_gate()
    one = commit(it.top, "one")
    assert len(it.pids()) == 1
    it.open_gate()
    assert commits(it.store)[-1] == one
    assert it.world.rows() == ["commit one<Start@work"]


SEED = "cd ../seed"
BEHIND = {
    "git worktree remove": f"t=$PWD; {SEED}; git worktree remove --force $t",
    "remove and branch -D": f"t=$PWD; {SEED}; git worktree remove --force $t; git branch -qD work",
    "rm -rf": f"t=$PWD; {SEED}; rm -rf $t",
    "rm -rf and prune": f"t=$PWD; {SEED}; rm -rf $t; git worktree prune --expire=now",
    "rm -rf of both halves": f"t=$PWD; {SEED}; rm -rf $t .git/worktrees/*",
    "git worktree move": f"t=$PWD; {SEED}; git worktree move $t $t-moved",
    "reflog expire, gc": "git reflog expire --expire=now --all; git gc -q --prune=now",
    "remove, branch -D, expire, gc": (
        f"t=$PWD; {SEED}; git worktree remove --force $t; git branch -qD work;"
        "git reflog expire --expire=now --all; git gc -q --prune=now"
    ),
    "the repository moved": "cd ..; mv seed seed-moved",
    "the repository removed": "cd ..; rm -rf seed repo",
    "a new worktree of the name": (
        f"t=$PWD; {SEED}; git worktree remove --force $t; git worktree add -q $t other"
    ),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_is_done_right_behind_a_commit(name: str, linked: Background) -> None:
    """The recorder has not even begun when it happens."""
    session = session_of(linked.top)
    before = commits(linked.store)
    note = "git rev-parse HEAD >>../made"
    script = f"c one; {note}; c uno --amend; {note}; {BEHIND[name]}"
    run("sh", "-e", "-c", PREAMBLE + script, cwd=linked.top)
    made = (linked.world.root / "made").read_text().split()
    assert commits(linked.store) == before
    assert linked.pids()
    linked.open_gate()
    assert Counter(commits(linked.store, session)) == Counter(before + made)
    rows = [event for event in events(linked.store) if event["session_id"] == session][-3:]
    assert [(row["type"], row.get("action"), row.get("subject")) for row in rows] == [
        ("CommitCreated", "commit", "one"),
        ("CommitCreated", "amend", "uno"),
        ("CommitsRewritten", None, None),
    ]
    assert [row.get("branch") for row in rows[:2]] == ["work", "work"]
    assert linked.pids() == []


@pytest.mark.parametrize("name", ["git worktree remove", "the repository removed"])
def test_nothing_comes_back_and_nothing_is_made_there(name: str, linked: Background) -> None:
    common = Path(place(linked.top).common)
    run("sh", "-e", "-c", PREAMBLE + f"c one; {BEHIND[name]}", cwd=linked.top)
    linked.open_gate()
    assert not linked.top.exists()
    assert not list(common.glob("worktrees/*"))


def test_a_store_that_is_deleted_does_not_come_back(it: Background) -> None:
    """As a test suite's HOME is, when its last commit is made."""
    it.close_gate()
    commit(it.top, "one")
    (pid,) = it.pids()
    shutil.rmtree(it.store)
    it.let_in()
    wait_until(lambda: _is_dead(pid), "the recorder's end")
    assert not it.store.exists()


def test_a_recorder_makes_no_file_in_the_repository(it: Background) -> None:
    it.close_gate()
    commit(it.top, "one")
    private = place(it.top).private
    before = sorted(os.listdir(private))
    it.open_gate()
    assert sorted(os.listdir(private)) == before
    assert commits(it.store)[-1] == git("rev-parse", "HEAD", cwd=it.top)


def test_another_branch_or_another_journal_wakes_another_recorder(it: Background) -> None:
    """The one that is awake has the old ones open, and could not tell if the worktree went now."""
    it.close_gate()
    one = commit(it.top, "one")
    git("switch", "-q", "-c", "side", cwd=it.top)
    two = commit(it.top, "two")
    woken = len(it.pids())
    assert woken > 1
    git("reflog", "expire", "--expire=now", "--all", cwd=it.top)
    three = commit(it.top, "three")
    assert len(it.pids()) > woken
    it.open_gate()
    it.drained()
    assert Counter(commits(it.store)[-3:]) == Counter([one, two, three])
    branches = {event.get("commit"): event.get("branch") for event in events(it.store)}
    assert (branches[one], branches[two], branches[three]) == ("work", "side", "side")


@pytest.mark.parametrize("number", [1, 2, 3, 5, 9])
def test_whoever_waits_for_gits_output_does_not_wait_for_us(number: int, it: Background) -> None:
    it.close_gate()
    reading, writing = os.pipe()
    script = f"exec {number}>&{writing} {writing}>&-; git commit -q --allow-empty -m one"
    with subprocess.Popen(["bash", "-c", script], cwd=it.top, pass_fds=(writing,)) as child:
        os.close(writing)
        assert child.wait() == 0
    assert os.read(reading, 1) == b""  # the end, though the recorder is before the gate
    os.close(reading)
    assert len(it.pids()) == 1
    it.open_gate()
    assert commits(it.store)[-1] == git("rev-parse", "HEAD", cwd=it.top)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_process_group_misses_it(number: int, it: Background) -> None:
    it.close_gate()
    script = "git commit -q --allow-empty -m one; read _"
    with subprocess.Popen(
        ["sh", "-c", script], cwd=it.top, start_new_session=True, stdin=subprocess.PIPE
    ) as shell:
        wait_until(it.pids, "the recorder's mark")
        (pid,) = it.pids()
        wait_until(lambda: os.getsid(pid) == pid, "its session")
        os.killpg(shell.pid, number)
    it.open_gate()
    assert commits(it.store)[-1] == git("rev-parse", "HEAD", cwd=it.top)


def test_a_killed_recorder_is_made_up_for_by_the_next_hook_which_waits(it: Background) -> None:
    it.close_gate()
    one = commit(it.top, "one")
    (pid,) = it.pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _is_dead(pid), "its end")
    two = commit(it.top, "two")
    assert commits(it.store)[-2:] == [one, two]
    assert it.pids() == []
    three = commit(it.top, "three")
    assert commits(it.store)[-1] == two
    it.open_gate()
    assert commits(it.store)[-1] == three


def _is_dead(pid: int) -> bool:
    """Whether a process is no more, or only waits to be told of by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_reused_process_id_silences_no_hook(it: Background) -> None:
    """A mark whose process is another by now was left by one that is dead."""
    it.close_gate()
    name = session_of(it.top)
    Path(layout.recorders(str(it.store)), f"{name}+{os.getpid()}").touch()
    one = commit(it.top, "one")
    assert (commits(it.store)[-1], it.pids()) == (one, [])
    commit(it.top, "two")
    assert len(it.pids()) == 1
    it.open_gate()


def test_a_stopped_recorder_goes_on_where_it_was(it: Background) -> None:
    lock = locks.take(layout.session_lock(str(it.store), session_of(it.top)))
    one = commit(it.top, "one")
    (pid,) = it.pids()
    os.kill(pid, signal.SIGSTOP)
    two = commit(it.top, "two")
    os.close(lock)
    assert drain_now(it.top) == 2  # as every command does
    three = commit(it.top, "three")
    os.kill(pid, signal.SIGCONT)
    it.through()
    assert commits(it.store)[-3:] == [one, two, three]


def test_without_a_place_for_marks_all_is_recorded(it: Background) -> None:
    folder = Path(layout.recorders(str(it.store)))
    shutil.rmtree(folder)
    folder.write_text("")
    made = [commit(it.top, f"c{number}") for number in range(3)]
    wait_until(lambda: commits(it.store)[-3:] == made, "the last commit in the log")


def test_sixteen_worktrees_at_once(it: Background) -> None:
    tops = []
    for number in range(16):
        top = it.world.root / f"w{number}"
        git("worktree", "add", "-q", top, cwd=it.top, **SILENT)
        commit(top, "first", PRODIGY_RECORD="wait", PRODIGY_HOME=str(it.store))
        it.leave(top)
        tops.append(top)
    script = (
        'i=0; while [ $i -lt 50 ]; do git commit -q --allow-empty -m "$PWD $i"; i=$((i+1)); done'
    )
    children = [subprocess.Popen(["sh", "-c", script], cwd=top) for top in tops]
    assert [child.wait() for child in children] == [0] * 16
    it.through()
    for top in tops:
        made = git(
            "rev-list", "--reverse", "HEAD", f"^{git('rev-parse', 'HEAD', cwd=it.top)}", cwd=top
        )
        assert commits(it.store, session_of(top)) == made.split()
    stamps = [
        [event["timestamp"] for event in events(it.store, folder.name)]
        for folder in it.store.glob("events/*/*")
    ]
    assert all(one == sorted(one) for one in stamps)
