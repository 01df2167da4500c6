"""`import` takes over what Prodigy left: whole, once, at any interruption, and without touching it."""

import errno
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from support_cli import call, ok, refused
from support_ordinary import UID
from support_ordinary import ordinary as ordinary
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    INTERRUPTED_SESSION,
    ITEMS,
    WORKFLOW,
    Whole,
    git,
    job_checkpoint,
    mapreduce,
    prodigy_store,
    resume_lock,
    session_file,
    worktree_state,
)

from prodigy_git.jobs import claims
from prodigy_git.jobs import index as indexes


@pytest.fixture
def whole(store, repo, monkeypatch) -> Whole:
    monkeypatch.chdir(repo)
    store.mkdir()
    return prodigy_store(store, repo)


@pytest.fixture
def items(whole) -> Path:
    path = whole.repo.parent / "input.json"
    path.write_text(json.dumps({"all": ITEMS}))
    return path


def tree(folder: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Return mode, time and contents of everything below a folder."""
    found: dict[str, tuple[int, int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        data = path.read_bytes() if path.is_file() else ""
        # A folder that others make something in changes its time; what was in it stays in it.
        found[str(path)] = (about.st_mode, 0 if path.is_dir() else about.st_mtime_ns, data)
    return found


def log_of(store: Path, job: str = "*") -> list[str]:
    """Return the lines of our logs of the jobs."""
    found = sorted((store / "events" / "repo").glob(f"{job}/*.jsonl"))
    return [line for path in found for line in path.read_text().splitlines()]


def states(store: Path, job: str) -> dict[str, str]:
    with claims.step(str(store), "repo", job, pytest.fail) as index:
        return {
            name: state
            for state in indexes.NUMBER
            for name, _ in index.in_state(state)
        }  # fmt: skip


def test_nothing_of_prodigy_s_is_changed_and_the_second_time_nothing_is_done(whole, items):
    before = tree(whole.store)
    dry = ok("import", "--dry-run", "--json").json
    assert {run["job_id"]: run["does"] for run in dry["runs"]} == {
        FAILED_JOB: True, INTERRUPTED_JOB: True, WORKFLOW: True,
    }  # fmt: skip
    assert tree(whole.store) == before
    refs = git("for-each-ref", cwd=whole.repo)
    ok("import", FAILED_SESSION, WORKFLOW)
    ok("import", INTERRUPTED_JOB, "--items", items, "--json-path", "$.all[*]")
    after = tree(whole.store)
    assert {path: after[path] for path in before} == before
    assert git("for-each-ref", cwd=whole.repo) == refs
    lines = log_of(whole.store)
    said = ok("import").out
    assert said.count("nothing to do") == 3
    assert log_of(whole.store) == lines
    assert {path: tree(whole.store).get(path) for path in before} == before


def test_what_was_done_is_done_and_the_queue_is_the_job_s(whole):
    ok("import")
    assert states(whole.store, FAILED_JOB) == {
        "item_0": "completed", "item_1": "completed", "item_3": "completed", "item_2": "dead",
    }  # fmt: skip
    told = ok("explain", "item_0", "--job", FAILED_JOB, "--json").json
    shas = [commit["commit"] for one in told["attempts"] for commit in one["commits"]]
    assert shas == whole.failed.commits["item_0"]
    (letter,) = ok("dlq", "list", "--job", FAILED_JOB, "--json").json
    assert letter["item_id"] == "item_2"
    shown = ok("dlq", "show", "item_2", "--job", FAILED_JOB, "--json").json
    assert shown["work_item"]["data"] == ITEMS[2]
    assert [one["error"] for one in shown["failure_history"]] == ["Agent failed"]
    assert shown["failure_history"][0]["at"] == "2026-03-01T10:05:00.987654Z"
    assert shown["reprocess_eligible"] is False
    job = ok("job", "show", FAILED_JOB, "--json").json
    assert job["started_at"] == "2026-03-01T10:00:00.123456Z"
    assert job["status"] == "running"


def test_the_job_goes_on_with_the_queue_and_with_what_never_ran(whole, items):
    job_checkpoint(
        whole.store, FAILED_SESSION, FAILED_JOB, items=[*ITEMS, {"id": "a5"}],
        completed={"item_0": [], "item_1": [], "item_3": []}, failed={"item_2": "Agent failed"},
    )  # fmt: skip
    (advised,) = re.findall(r"'prodigy-git (dlq retry .*)' tries again", ok("import").out)
    every = ok("dlq", "retry", "--job", FAILED_JOB, "--reprocess-all-eligible")
    assert (every.out, "1 more in the queue" in every.err) == ("", True)
    assert ok(*shlex.split(advised)).out == "item_2: pending again\n"
    ok(
        "run", "--job", FAILED_JOB, "--base", whole.failed.branch, "--next", "--",
        "sh", "-c", 'echo > "$PRODIGY_ITEM_ID"; git add -A; git commit -qm "$PRODIGY_ITEM_ID"',
    )  # fmt: skip
    assert set(states(whole.store, FAILED_JOB).values()) == {"completed"}
    made = git("log", "--all", "--format=%s", cwd=whole.repo).splitlines()
    assert {"item_2", "item_4"} <= set(made)
    assert ok("verify").code == 0
    assert ok("resume", FAILED_JOB).out.startswith(f"{FAILED_JOB}: 0 pending")


def test_items_without_data_are_handed_out_only_when_somebody_says_so(whole, items):
    said = ok("import").out
    assert "item_2, item_3" in said
    assert call("run", "--job", INTERRUPTED_JOB, "--next", "--", "false").code == 3
    assert states(whole.store, INTERRUPTED_JOB)["item_2"] == "pending"
    words = ("import", INTERRUPTED_JOB, "--items", items, "--json-path", "$.all[*]")
    told = ok(*words, "--dry-run", "--json").json
    assert told["runs"][0]["given_data"] == [f"item_{number}" for number in range(4)]
    ok(*words)
    assert ok("job", "show", INTERRUPTED_JOB, "--json").json["status"] == "running"
    told = ok("explain", "item_2", "--job", INTERRUPTED_JOB, "--json").json
    assert told["data"] == ITEMS[2]
    assert "nothing to do" in ok(*words).out


def test_worktrees_get_sessions_that_have_ended(whole):
    ok("import")
    rows = {Path(row["worktree"]): row for row in ok("worktree", "ls", "--json").json}
    own = rows[whole.interrupted.worktree]
    assert (own["job_id"], own["status"]) == (INTERRUPTED_JOB, "Failed")
    for item, path in whole.interrupted.agents.items():
        assert (rows[path]["item_id"], rows[path]["status"]) == (item, "Failed")
        assert (path / f"half-{item[-1]}.txt").read_text() == "not committed\n"
    assert rows[whole.failed.worktree]["status"] == "Completed"
    assert rows[whole.workflow]["job_id"] == WORKFLOW
    # Who takes one up again is not disturbed by the next import.
    name = own["session_id"]
    ok("resume", name)
    assert f"{INTERRUPTED_JOB}: nothing to do" in ok("import").out
    assert ok("sessions", "show", name, "--json").json["status"] == "Running"


def test_worktrees_that_hooks_have_registered_are_ended_in_their_job(store, repo, monkeypatch):
    monkeypatch.chdir(repo)
    ok("install")
    whole = prodigy_store(store, repo)
    ok("import")
    rows = {Path(row["worktree"]): row for row in ok("worktree", "ls", "--json").json}
    assert rows[whole.interrupted.worktree]["job_id"] == INTERRUPTED_JOB
    assert rows[whole.interrupted.agents["item_2"]]["status"] == "Failed"
    assert states(store, INTERRUPTED_JOB) == {
        "item_0": "completed", "item_1": "completed", "item_2": "pending", "item_3": "pending",
    }  # fmt: skip
    assert ok("verify").code == 0
    assert ok("import").out.count("nothing to do") == 3


def test_a_run_that_is_all_done_is_a_job_that_has_ended(whole):
    for path in (whole.store / "dlq" / FAILED_SESSION).rglob("*.json"):
        path.unlink()
    git("worktree", "remove", "--force", whole.failed.agents["item_2"], cwd=whole.repo)
    meta = whole.store / "worktrees" / FAILED_SESSION / ".metadata"
    for path in meta.iterdir():
        path.unlink()
    ok("import", FAILED_JOB)
    job = ok("job", "show", FAILED_JOB, "--json").json
    assert (job["status"], job["completed"]) == ("completed", 4)


@pytest.mark.parametrize("sign", ["stands", "lock", "fresh"])
def test_a_run_that_goes_on_is_left_and_named(whole, sign):
    session_file(whole.store, INTERRUPTED_SESSION, status="Running")
    worktree_state(whole.store, "repo", INTERRUPTED_SESSION)
    process = None
    if sign == "stands":
        process = subprocess.Popen(["sleep", "300"], cwd=whole.interrupted.agents["item_2"])
    elif sign == "lock":
        host = os.uname().nodename
        resume_lock(whole.store, INTERRUPTED_JOB, process=os.getppid(), host=host)
    try:
        words = ["import"] if sign == "fresh" else ["import", INTERRUPTED_JOB]
        told = ok(*words, "--json").json
    finally:
        if process is not None:
            process.kill()
            process.wait()
    (left,) = [run for run in told["runs"] if run["job_id"] == INTERRUPTED_JOB]
    expected = {"stands": "stands in", "lock": "resume_locks", "fresh": "were written"}
    assert expected[sign] in left["why_left"]
    assert log_of(whole.store, INTERRUPTED_JOB) == []
    if sign == "lock":
        resume_lock(whole.store, INTERRUPTED_JOB, process=2**22 + 1, host=os.uname().nodename)
    if sign == "fresh":
        long_ago = time.time() - 3600
        for path in [*whole.store.rglob("*")]:
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    ok("import", *([] if sign == "fresh" else [INTERRUPTED_JOB]))
    assert states(whole.store, INTERRUPTED_JOB)["item_2"] == "pending"


_STEPS = [
    ("jobs.items", "write"),
    ("jobs.dead_letters", "write"),
    ("record.log", "append"),
    ("jobs.snapshots", "write"),
    ("record.register", "reserve"),
    ("record.mapping", "put"),
    ("record.register", "enrol"),
    ("store.ended_by_others", "end_now"),
]


@pytest.mark.parametrize(("module", "name"), _STEPS, ids=[f"{m}.{n}" for m, n in _STEPS])
def test_what_is_killed_behind_any_step_is_finished_by_the_next(whole, module, name):
    before = tree(whole.store)
    child = os.fork()
    if child == 0:
        import importlib

        there = importlib.import_module(f"prodigy_git.{module}")
        real = getattr(there, name)

        def dying(*arguments, **named):
            real(*arguments, **named)
            os._exit(9)

        setattr(there, name, dying)
        call("import", FAILED_JOB)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    ok("import", FAILED_JOB)
    assert states(whole.store, FAILED_JOB) == {
        "item_0": "completed", "item_1": "completed", "item_3": "completed", "item_2": "dead",
    }  # fmt: skip
    kinds = [json.loads(line)["type"] for line in log_of(whole.store, FAILED_JOB)]
    assert kinds.count("JobStarted") == kinds.count("DLQItemAdded") == 1
    assert kinds.count("AgentCompleted") == 3
    rows = {Path(row["worktree"]): row for row in ok("worktree", "ls", "--json").json}
    assert rows[whole.failed.worktree]["status"] == "Completed"
    assert rows[whole.failed.agents["item_2"]]["status"] == "Failed"
    assert "nothing to do" in ok("import", FAILED_JOB).out
    assert {path: tree(whole.store).get(path) for path in before} == before


def test_a_full_disk_is_said_and_nothing_is_half_done(whole, monkeypatch):
    from prodigy_git.record import log

    def full(*_arguments, **_named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", full)
        done = call("import", FAILED_JOB)
    assert done.code == 1
    assert f"job {FAILED_JOB} cannot be made" in done.err
    assert "No space left" in done.err
    assert log_of(whole.store, FAILED_JOB) == []
    ok("import", FAILED_JOB)
    assert len(states(whole.store, FAILED_JOB)) == 4


def test_what_is_no_run_of_this_repository_is_refused(whole, tmp_path):
    assert "nothing is none" in refused("import", "nothing")
    other = tmp_path / "other"
    git("init", "-q", other, cwd=tmp_path)
    assert "is none of this repository's" in refused("import", FAILED_JOB, cwd=other)
    assert "has left no run" in ok("import", cwd=other).out


def test_another_input_is_refused(whole, items):
    items.write_text(json.dumps(ITEMS[::-1]))
    words = ("import", FAILED_JOB, "--items", items)
    assert "item_2 has other data" in refused(*words)
    assert "name the one that it belongs to" in refused("import", "--items", items)
    assert log_of(whole.store, FAILED_JOB) == []


def test_a_worktree_that_is_not_the_repository_s_is_left(whole, tmp_path):
    path = whole.interrupted.agents["item_3"]
    (path / ".git").write_text("gitdir: /nowhere\n")
    said = call("import", INTERRUPTED_JOB)
    assert said.code == 0
    assert "git does not know it" in said.out
    assert states(whole.store, INTERRUPTED_JOB)["item_3"] == "pending"


def test_a_run_that_git_says_nothing_of_is_named(whole):
    (whole.workflow / ".git").unlink()
    git("worktree", "prune", cwd=whole.repo)
    git("branch", "-q", "-D", f"prodigy-{WORKFLOW}", cwd=whole.repo)
    done = call("import", "--dry-run")
    assert f"{WORKFLOW}: git does not say which repository it is of" in done.err
    assert FAILED_JOB in done.out


@pytest.fixture
def theirs(ordinary, monkeypatch) -> Whole:
    """Make a store as Prodigy leaves it, of an ordinary user."""
    monkeypatch.setenv("PRODIGY_GIT_SILENCE", "1")  # root makes it, whose store is another
    made = prodigy_store(ordinary.store, ordinary.repo)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", ordinary.folder], check=True)
    return made


def test_of_a_queue_that_is_another_user_s_nothing_is_guessed(ordinary, theirs):
    queue = theirs.store / "dlq" / FAILED_SESSION
    subprocess.run(["chown", "-R", "0:0", queue], check=True)
    queue.chmod(0o700)
    done = ordinary.prodigy("import")
    assert done.returncode == 0, done
    assert f"{FAILED_JOB}: left, as {queue}" in " ".join(done.stdout.split())
    assert f"{INTERRUPTED_JOB}: taken over" in done.stdout
    assert not (theirs.store / "events" / "repo" / FAILED_JOB).exists()


def test_a_store_of_another_user_is_refused(ordinary, theirs):
    subprocess.run(["chown", "-R", "0:0", theirs.store], check=True)
    subprocess.run(["chmod", "-R", "a+rX", theirs.store], check=True)
    before = tree(theirs.store)
    done = ordinary.prodigy("import")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert tree(theirs.store) == before


def test_branches_that_were_not_merged_are_named_a_few_of_them(whole):
    tip = git("rev-parse", "main", cwd=whole.repo)
    for number in range(10, 17):
        name = f"agent-{FAILED_JOB}_agent_{number}-item_{number}"
        git("branch", name, tip, cwd=whole.repo)
    said = " ".join(ok("import", "--dry-run", FAILED_JOB).out.split())
    assert f"item_10: its commits are on agent-{FAILED_JOB}_agent_10-item_10" in said
    assert said.count("which was not merged") == 5
    assert "and so are those of 2 more" in said


def test_two_runs_of_one_second_are_not_told_apart(whole):
    twin = "session-33333333-3333-4333-8333-333333333333"
    mapreduce(whole.store, whole.repo, twin, FAILED_JOB)
    said = " ".join(ok("import").out.split())
    assert said.count(f"{FAILED_JOB}: left, as two runs are called") == 2
    assert f"{INTERRUPTED_JOB}: taken over" in said
    assert log_of(whole.store, FAILED_JOB) == []
