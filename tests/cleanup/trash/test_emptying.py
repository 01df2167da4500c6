"""Emptying the trash: that it ends whatever happens, and nothing outside of an entry is touched."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT, call, ok, refused, snapshot, start
from support_trash import DAY, hostile, make, salvage, state, work

from prodigy_git import layout
from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import emptying, entry, entry_document, expiry
from prodigy_git.record import clock, locks


def expire(store, said=pytest.fail):
    return emptying.expire(expiry.plan(str(store), said), said)


@pytest.fixture
def started(monkeypatch):
    """Each background process that a call in this process starts: `finish` waits for them."""
    real, made = emptying.start, []

    def start(store):
        process = real(store)
        if process is not None:
            made.append(process)
        return process

    def finish():
        assert [process.wait(timeout=60) for process in made] == [0] * len(made)

    monkeypatch.setattr(emptying, "start", start)
    made_and_finish = type("Started", (), {"processes": made, "finish": staticmethod(finish)})
    yield made_and_finish
    finish()


@pytest.mark.parametrize(
    "other", [s for s in entry_document.STATES if s not in ("trashed", "emptying")]
)
def test_what_is_under_way_is_not_touched(store, repo, git, started, other):
    made = make(store, repo, git, age=900 * DAY, state=other)
    before = snapshot(store / "trash")
    assert expire(store) == []
    assert emptying.empty_now([made], pytest.fail) == []
    if other != "emptied":
        work(store)
    assert snapshot(store / "trash") == before


def test_what_another_process_empties_meanwhile_has_not_failed(store, repo, git, monkeypatch):
    """A clean-up's background process may be faster than the command behind it."""
    make(store, repo, git)
    real = emptying.empty_now

    def late(wanted, broken, progress=None):
        assert len(real(wanted, broken)) == 1
        return real(wanted, broken, progress)

    monkeypatch.setattr(emptying, "empty_now", late)
    assert ok("trash", "empty", "--yes", cwd=repo).out == ""


def test_a_removal_that_is_not_settled_is_not_touched(store, repo, git, started):
    made = make(store, repo, git, age=900 * DAY)
    made.settled = False
    entry.write(made)
    assert expire(store) == []
    assert state(made) == "trashed"


def test_the_salvage_ref_goes_where_it_holds_nothing_of_its_own(store, repo, git):
    needless = make(store, repo, git, "w1", state="emptying", alone=False)
    alone = make(store, repo, git, "w2", state="emptying")
    tagged = make(store, repo, git, "w3", state="emptying", alone=False)
    git("tag", "-a", "-m", "x", "t", cwd=repo)
    tagged.tag_refs = [f"{tagged.salvage_ref}-tag-1"]
    git("update-ref", tagged.tag_refs[0], "refs/tags/t", cwd=repo)
    git("tag", "-d", "t", cwd=repo)
    entry.write(tagged)
    work(store)
    kept = [alone.salvage_ref, tagged.salvage_ref, *tagged.tag_refs]
    assert salvage(git, repo) == sorted(kept)
    assert not os.path.exists(os.path.dirname(needless.path))
    assert [state(alone), state(tagged)] == ["emptied", "emptied"]
    # Once a branch has it, the next run lets go of it.
    git("branch", "saved", alone.salvage_ref, cwd=repo)
    work(store)
    assert alone.salvage_ref not in salvage(git, repo)
    assert os.listdir(store / "trash" / "repo") == ["w3"]


def test_entries_that_name_what_is_not_theirs_delete_nothing(store, repo, git, tmp_path, started):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    for number, change in enumerate(
        (
            {"folder": str(precious)},
            {"git": str(precious)},
            {"folder": f"{repo}/.git/../../precious"},
        )
    ):
        made = make(store, repo, git, f"w{number}", age=900 * DAY)
        vars(made).update(change)
        entry.write(made)
        said = []
        assert emptying.empty_now([made], said.append) == []
        assert "names a place outside of the entry" in said[0]
        made.state = "emptying"
        entry.write(made)
    branch = make(store, repo, git, "w9", state="emptying", alone=False)
    branch.salvage_ref = "refs/heads/main"
    entry.write(branch)
    work(store)
    assert (precious / "file").read_text() == "mine"
    assert git("rev-parse", "refs/heads/main", cwd=repo)
    assert (store / "logs" / "hook-errors.log").read_text().count("emptying the trash") == 4


@pytest.mark.skipif(os.getuid() != 0, reason="NOT TESTED: immutable files; that takes root")
def test_an_immutable_file_stays_and_is_reported(store, repo, git):
    made = make(store, repo, git, state="emptying")
    stuck = Path(made.folder) / "sub" / "stuck"
    stuck.write_text("x")
    if subprocess.run(["chattr", "+i", stuck], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: immutable files; this filesystem has none")
    try:
        work(store)
        assert state(made) == "emptying"
        assert stuck.read_text() == "x"
        assert os.listdir(made.folder) == ["sub"]
        assert str(stuck) in (store / "logs" / "hook-errors.log").read_text()
    finally:
        subprocess.run(["chattr", "-i", stuck], check=True)
    work(store)
    assert state(made) == "emptied"


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.cleanup.trash import emptying
left = int(sys.argv[3])
def counted(call):
    def made(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return call(*arguments, **named)
    return made
for name in ("unlink", "rmdir", "rename", "fchmod", "close", "write"):
    setattr(os, name, counted(getattr(os, name)))
emptying.work(sys.argv[2], os.open(os.devnull, os.O_RDONLY))
"""


def test_killed_anywhere_the_next_process_goes_on(store, repo, git, tmp_path):
    """SIGKILL before each call that changes something; what is not being emptied stays whole."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    (store / "locks").mkdir(parents=True)
    other = make(store, repo, git, "other")
    calls = 0
    while True:
        made = make(store, repo, git, "w1", state="emptying", alone=calls % 2 == 0)
        hostile(Path(made.folder), tmp_path / "outside")
        whole = snapshot(
            store / "trash" / "repo" / "other",
            tmp_path / "outside",
            repo / ".git" / "refs" / "heads",
        )
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, PACKAGE_PARENT, store, str(calls)], check=False
        )
        if os.path.lexists(made.path):
            # Or its document has just gone, and its folder not yet.
            assert os.listdir(made.path) == [] or state(made) in ("emptying", "emptied")
        work(store)
        interrupted.take_up(str(store), "repo", pytest.fail)
        if calls % 2 == 0:
            assert state(made) == "emptied"
            assert os.listdir(made.path) == ["entry.json"]
            assert made.salvage_ref in salvage(git, repo)
            shutil.rmtree(made.path)
            git("update-ref", "-d", made.salvage_ref, cwd=repo)
        else:
            assert not os.path.lexists(made.path)
            assert salvage(git, repo) == [other.salvage_ref]
        assert (
            snapshot(
                store / "trash" / "repo" / "other",
                tmp_path / "outside",
                repo / ".git" / "refs" / "heads",
            )
            == whole
        )
        if killed.returncode == 0:
            break
        assert killed.returncode == -9
        calls += 3  # odd and even in turn
    assert calls > 20


def waits_for_a_lock(pid):
    """As proc(5), locks, says: ``1: -> FLOCK ADVISORY WRITE pid ...``."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any(line.split()[1:3] == ["->", "FLOCK"] and str(pid) in line.split() for line in lines)


def test_the_process_has_a_session_of_its_own_and_there_is_one_at_a_time(store, repo, git, started):
    (store / "locks").mkdir(parents=True)
    turn = os.open(store / "locks" / "emptying.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(turn, fcntl.LOCK_EX)  # somebody is at it
    first, second = make(store, repo, git, "w1"), make(store, repo, git, "w2")
    for one in (first, second):
        emptying.expire(expiry.Plan([one]), pytest.fail)
    assert interrupted.take_up(str(store), first.repo, pytest.fail) == []
    (process,) = started.processes  # the others would do nothing that this one will not do
    assert os.getsid(process.pid) == process.pid
    while not waits_for_a_lock(process.pid):
        assert process.poll() is None, "it did not wait"
    assert state(second) == "emptying"
    assert os.path.isdir(first.folder)
    os.close(turn)
    started.finish()
    assert [state(first), state(second)] == ["emptied", "emptied"]


def test_a_store_that_is_gone_by_then_is_not_made_anew(store, repo, git, monkeypatch):
    """A disk is unmounted while the process starts: its mount point stays as it is."""
    one = make(store, repo, git, "w1")
    real, away = subprocess.Popen, store.parent / "away"

    def popen(*arguments, **options):
        store.rename(away)
        return real(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    process = emptying.start(str(store))
    assert process.wait(timeout=60) != 0
    assert not store.exists()
    away.rename(store)
    assert state(one) == "trashed"


def test_two_at_one_entry_take_turns_and_an_interruption_leaves_the_rest(store, repo, git):
    first, second = make(store, repo, git, "w1"), make(store, repo, git, "w2")
    turn = os.open(first.path, os.O_RDONLY)
    fcntl.flock(turn, fcntl.LOCK_EX)  # somebody is deleting it
    done = start("trash", "empty", "--yes", cwd=repo)
    while not waits_for_a_lock(done.pid):
        assert done.poll() is None, "it did not wait"
    assert [state(first), state(second)] == ["emptying", "emptying"]
    assert os.listdir(first.folder) == os.listdir(second.folder) == ["sub"]
    done.send_signal(signal.SIGINT)
    _, said = done.communicate()
    assert (done.returncode, said) == (130, "prodigy-git: error: interrupted\n")
    os.close(turn)
    # The next command goes on, also one that wants something else.
    assert call("worktree", "restore", "w1", cwd=repo).code == 1
    for lock in (layout.emptying_next_lock, layout.emptying_lock):
        os.close(locks.take(lock(str(store)), patience=60))
    assert [state(first), state(second)] == ["emptied", "emptied"]


def test_progress_in_bytes(store, repo, git, monkeypatch):
    monkeypatch.setattr(emptying, "_PAUSE", 0)
    made = [make(store, repo, git, name) for name in ("w1", "w2")]
    told = []
    done = emptying.empty_now(made, pytest.fail, lambda *some: told.append(some))
    (total,) = {total for _, total in told}
    assert [count for count, _ in told] == sorted(count for count, _ in told)
    assert told[-1][0] == total == sum(one.bytes for one in done)


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOSPC])
def test_where_no_process_can_be_started_it_is_deleted_at_once(
    store, repo, git, monkeypatch, error
):
    made = make(store, repo, git, age=8 * DAY)

    def refuse(*_, **__):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(emptying, "start", refuse)
        assert [one.path for one in expire(store)] == [made.path]
    assert state(made) == "emptied"
    assert os.listdir(made.path) == ["entry.json"]


def test_list_and_empty_on_the_command_line(store, repo, git, started):
    assert ok("trash", "list", cwd=repo).out == ""
    assert ok("trash", "list", "--json", cwd=repo).json == []
    assert ok("trash", "empty", "--yes", cwd=repo).code == 0
    made = make(store, repo, git, "w1", age=2 * DAY)
    make(store, repo, git, "w2", age=1000)
    (one, two) = ok("trash", "list", "--json", cwd=repo).json
    assert (one["session_id"], two["session_id"]) == ("w1", "w2")
    assert one["age_seconds"] // 3600 == 48
    assert clock.parse(one["expires_at"]) == clock.parse(made.created_at) + 7 * DAY
    assert one["bytes"] is None
    (one, _) = ok("trash", "list", "--json", "--sizes", cwd=repo).json
    assert one["bytes"] > 5000
    assert ok("trash", "list", cwd=repo).out.startswith("w1\t")

    elsewhere = repo.parent / "second"
    git("clone", "-q", repo, elsewhere, cwd=repo.parent)
    assert ok("trash", "list", "--json", cwd=elsewhere).json == []
    assert len(ok("trash", "list", "--json", "--all-repos", cwd=elsewhere).json) == 2
    assert "--all-repos" in refused("trash", "list", cwd=repo.parent)
    assert "--yes" in refused("trash", "empty", cwd=repo, code=2)
    assert state(made) == "trashed"

    done = ok("trash", "empty", "--older-than", "1d", "--yes", "--json", cwd=repo)
    assert [row["session_id"] for row in done.json] == ["w1"]
    done = call("trash", "empty", "nobody", "w2", "--yes", cwd=repo.parent)
    assert done.code == 1
    assert "nobody has nothing in the trash" in done.err
    assert "w2: deleted for good" in done.out
    started.finish()
    assert {r["state"] for r in ok("trash", "list", "--json", cwd=repo).json} == {"emptied"}
    assert len(salvage(git, repo)) == 2


def test_dry_run_changes_nothing(store, repo, git, started):
    make(store, repo, git, age=900 * DAY)
    before = snapshot(store, repo)
    done = ok("trash", "empty", "--dry-run", cwd=repo)
    assert "w1: would be deleted" in done.out
    ok("trash", "list", "--sizes", cwd=repo)
    assert expiry.plan(str(store), pytest.fail).entries
    assert snapshot(store, repo) == before
    assert started.processes == []
