"""run: real commands in real worktrees, that fail, hang, fork, and are killed."""

import functools
import json
import os
import signal
import stat
import sys

import psutil
import pytest
from support_cli import call, ok, refused
from support_run import done, run, shown, started, until

from prodigy_git.jobs import claims


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


def test_a_command_that_does_well(job, store, events):
    cwd = job({"id": "a", "text": "x"})
    script = (
        "printf 'out\\0\\377'; printf err >&2; git commit -q --allow-empty -m c;"
        'cat "$PRODIGY_ITEM_FILE"; echo; echo "$PRODIGY_ITEM"; echo "$PRODIGY_JOB_ID'
        ' $PRODIGY_ITEM_ID $PRODIGY_ATTEMPT"; test "$PWD" = "$PRODIGY_WORKTREE"'
    )
    code, out, err = done(cwd, "--agent", "worker", "--", "sh", "-c", script)
    assert code == 0, err
    item = '{"id": "a", "text": "x"}'
    assert out == b"out\0\xff" + f"{item}\n{item}\nj a 1\n".encode()
    assert err.startswith("err")
    (completed,) = [one for one in events("j") if one["type"] == "AgentCompleted"]
    assert (completed["agent_id"], completed["item_id"], completed["attempt"]) == ("worker", "a", 1)
    assert len(completed["commits"]) == 1
    log = completed["json_log_location"]
    with open(log, "rb") as stream:
        assert sorted(stream.read()) == sorted(out + b"err")
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600
    kinds = [one["type"] for one in events("j")]
    assert kinds.count("AgentStarted") == kinds.count("WorkItemProcessed") == 1
    assert kinds.count("WorktreeCleaned") == 1  # nothing is lost: the branch has the commit
    assert shown(cwd)["completed"] == 1


@pytest.mark.parametrize(
    ("command", "options", "code", "reason", "error"),
    [
        ("exit 7", [], 7, "CommandFailed", "exited with status 7"),
        ("kill -9 $$", [], 137, "CommandFailed", "died by signal 9"),
        ("true", ["--commit-required"], 1, "CommitValidationFailed", "no commit"),
        ("sleep 60", ["--timeout", "1s"], 124, "Timeout", "after 1 seconds"),
    ],
)
def test_a_command_that_fails(job, events, command, options, code, reason, error):
    cwd = job("x", max_attempts=1)
    assert done(cwd, *options, "--", "sh", "-c", command)[0] == code
    (failed,) = [one for one in events("j") if one["type"] == "AgentFailed"]
    assert (failed["failure_reason"], failed["retry_eligible"]) == (reason, False)
    assert error in failed["error"]
    queued = ok("dlq", "list", "--job", "j", "--json", cwd=cwd).json
    assert [one["item_id"] for one in queued] == ["item-1"]
    assert os.path.isdir(queued[0]["worktree"])
    assert queued[0]["branch"] == "prodigy/j/item-1"


def test_tries_again_with_backoff_until_it_does_well(job, events, tmp_path):
    cwd = job("x")
    script = f'echo x >> {tmp_path}/tries; test "$PRODIGY_ATTEMPT" = 3'
    assert done(cwd, "--backoff", "0s", "--", "sh", "-c", script)[0] == 0
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    started = [one for one in events("j") if one["type"] == "AgentStarted"]
    assert [one["attempt"] for one in started] == [1, 2, 3]
    assert len({one["session_id"] for one in started}) == 3


def test_the_wait_before_the_next_try_is_in_the_log(job, events):
    cwd = job("x", max_attempts=2)
    assert done(cwd, "--backoff", "1s", "--", "false")[0] == 1
    (retrying,) = [one for one in events("j") if one["type"] == "AgentRetrying"]
    assert (retrying["attempt"], retrying["backoff_ms"]) == (2, 1000)


def test_attempts_of_ones_own(job, events):
    cwd = job("x", max_attempts=2)
    done(cwd, "--attempts", "4", "--backoff", "0s", "--", "false")
    assert sum(one["type"] == "AgentFailed" for one in events("j")) == 4
    assert shown(cwd)["dead"] == 1


def test_a_pool_of_workers(job, events):
    cwd = job(*range(12), max_attempts=2)
    script = 'test "$PRODIGY_ITEM" -lt 9 && git commit -q --allow-empty -m "$PRODIGY_ITEM"'
    pool = [run(cwd, "--next", "--backoff", "0s", "--", "sh", "-c", script) for _ in range(3)]
    codes = []
    for one in pool:
        _, err = one.communicate(timeout=120)
        assert b"Traceback" not in err
        codes.append(one.returncode)
    assert set(codes) <= {0, 1}
    assert 1 in codes
    state = shown(cwd)
    assert (state["completed"], state["dead"], state["attempts"]) == (9, 3, 15)
    made = [one for one in events("j") if one["type"] == "CommitCreated"]
    assert sorted(int(one["subject"]) for one in made) == list(range(9))
    assert done(cwd, "--next", "--", "true")[0] == 0
    assert call("run", "--job", "j", "true", cwd=cwd).code == 3


def test_workers_wait_for_what_their_items_are_to_be_after(job, events):
    """Two of them, and one item at the start: both are there for the two that come after it."""
    cwd = job({"id": "a"}, *({"id": name, "after": ["a"]} for name in "bc"),
              {"id": "d", "after": ["b", "c"]}, max_attempts=1)  # fmt: skip
    # Neither of b and c ends before both have begun.
    script = 'cd "$PRODIGY_HOME"; touch $PRODIGY_ITEM_ID; case $PRODIGY_ITEM_ID in b|c) until ' \
             'test -e b && test -e c; do sleep 0.1; done;; esac'  # fmt: skip
    pool = [run(cwd, "--next", "--", "sh", "-c", script) for _ in range(2)]
    assert [one.wait(120) for one in pool] == [0, 0]
    ended = [one["item_id"] for one in events("j") if one["type"] == "AgentCompleted"]
    assert (ended[0], sorted(ended[1:3]), ended[3:]) == ("a", ["b", "c"], ["d"])


def test_a_worker_ends_where_all_that_is_left_waits_for_what_was_given_up(job):
    cwd = job({"id": "a"}, {"id": "b", "after": ["a"]}, max_attempts=1)
    code, _, err = done(cwd, "--next", "--", "false")
    assert (code, "1 wait for other items, some of them for a" in err) == (1, True)
    code, _, err = done(cwd, "--next", "--", "false")
    assert (code, "'prodigy-git dlq retry'" in err) == (3, True)


def test_a_large_item_is_in_the_file_only(job):
    cwd = job({"text": "x" * 200_000})
    script = 'test -z "$PRODIGY_ITEM" && wc -c < "$PRODIGY_ITEM_FILE"'
    code, out, _ = done(cwd, "--", "sh", "-c", script)
    assert (code, int(out)) == (0, len(json.dumps({"text": "x" * 200_000})))


def test_what_the_command_leaves_behind_is_ended_and_does_not_hang(job, tmp_path):
    cwd = job("x")
    script = f"(sleep 300 & echo $! > {tmp_path}/left); exit 0"
    code, _, err = done(cwd, "--", "sh", "-c", script)
    assert code == 0
    assert "1 process that the command left was ended" in err
    assert not psutil.pid_exists(int((tmp_path / "left").read_text()))


@pytest.mark.parametrize("ended_by", ["its end", "timeout", "signal"])
def test_a_group_that_the_command_made_is_ended_too(job, tmp_path, ended_by):
    """As timeout(1) makes one, and a shell with job control."""
    cwd = job("x", max_attempts=1)
    left = tmp_path / "left"
    grouped = tmp_path / "grouped.py"
    grouped.write_text(
        "import os, time\n"
        "os.setpgid(0, 0)\n"
        f"open('{left}.new', 'w').write(str(os.getpid()))\n"
        f"os.rename('{left}.new', '{left}')\n"
        "time.sleep(300)\n"
    )
    ends = f"until [ -e {left} ]; do sleep 0.05; done" if ended_by == "its end" else "wait"
    limit = ["--timeout", "5s"] if ended_by == "timeout" else []
    child = run(cwd, *limit, "--", "sh", "-c", f"{sys.executable} {grouped} & {ends}")
    until(left.exists)
    if ended_by == "signal":
        child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == {"its end": 0, "timeout": 124, "signal": 143}[ended_by]
    assert not psutil.pid_exists(int(left.read_text()))


def test_what_leaves_the_commands_group_by_itself_is_neither_waited_for_nor_told_of(job, tmp_path):
    """As a hook's recorder does, which is in the group until it has a session of its own."""
    cwd = job("x")
    late = tmp_path / "late.py"
    late.write_text(
        "import os, signal\n"
        "def leave(*_):\n"
        "    os.setsid()\n"
        f"    open({str(tmp_path / 'left')!r}, 'w').write(str(os.getpid()))\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print(flush=True)\n"
        "for _ in range(2): signal.pause()\n"
    )
    # The command ends when the other is ready for the signal.
    script = f"{sys.executable} {late} > {tmp_path}/pipe & read line < {tmp_path}/pipe"
    os.mkfifo(tmp_path / "pipe")
    code, _, err = done(cwd, "--", "bash", "-c", script)
    assert code == 0
    assert "that the command left" not in err
    pid = int((tmp_path / "left").read_text())
    assert psutil.pid_exists(pid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on(job, tmp_path, number):
    cwd = job("x")
    name = signal.Signals(number).name[3:]
    script = f"trap 'echo got > {tmp_path}/got; exit 9' {name}; echo; while :; do sleep 0.05; done"
    child = run(cwd, "--next", "--", "sh", "-c", script)
    assert child.stdout.readline() == b"\n"
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert (tmp_path / "got").read_text() == "got\n"
    state = shown(cwd)
    assert (state["pending"], state["in_progress"]) == (1, 0)


def test_the_second_signal_ends_it(job):
    cwd = job("x")
    script = "trap 'echo got' TERM; echo; while :; do sleep 0.05; done"
    child = run(cwd, "--next", "--", "sh", "-c", script)
    assert child.stdout.readline() == b"\n"
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == b"got\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert shown(cwd)["pending"] == 1


def test_run_is_killed_and_its_command_lives_on(job, store, events, tmp_path):
    """The item is owned for as long as any of the command's processes lives."""
    cwd = job("x")
    pids = tmp_path / "pids"
    script = f"sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; echo; wait"
    child = run(cwd, "--", "sh", "-c", script)
    assert child.stdout.readline() == b"\n"
    child.kill()
    child.wait()
    grandchild, command = map(int, pids.read_text().split())
    assert shown(cwd)["in_progress_items"][0]["alive"] is True
    assert call("job", "next", "j", cwd=cwd).code == 3
    os.kill(command, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(command))
    assert call("job", "next", "j", cwd=cwd).code == 3  # its child has the lock still
    os.kill(grandchild, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(grandchild))
    again = call("job", "next", "j", cwd=cwd)
    assert (again.code, again.json["attempt"]) == (0, 2)
    (failed,) = [one for one in events("j") if one["type"] == "AgentFailed"]
    assert (failed["failure_reason"], failed["retry_eligible"]) == ("Unknown", True)


def test_only_the_lock_is_inherited(job):
    cwd = job("x")
    code, out, _ = done(
        cwd, "--", "sh", "-c", "ls -l /proc/self/fd | grep -c owner-; ls /proc/self/fd"
    )
    assert code == 0
    first, *rest = out.split()
    assert first == b"1"
    assert len(rest) <= 6  # stdin, stdout, stderr, the lock, and what ls opens


def test_a_session_that_ended_is_no_claim_any_more(job, store):
    cwd = job("x")
    done(cwd, "--keep", "--", "true")
    with claims.step(str(store), "repo", "j", pytest.fail) as opened:
        assert opened.count("completed") == 1
    (row,) = [one for one in ok("worktree", "ls", "--json", cwd=cwd).json if one["job_id"]]
    assert row["status"] == "Completed"


def test_what_is_refused(job, tmp_path):
    cwd = job("x")
    refused("run", "--job", "j", "--item", "a", "--next", "true", cwd=cwd, code=2)
    refused("run", "--job", "j", cwd=cwd, code=2)
    assert "no job k" in refused("run", "--job", "k", "true", cwd=cwd)
    assert "no item zzz" in refused("run", "--job", "j", "--item", "zzz", "true", cwd=cwd)
