"""run: what is outside of it, as its output's reader, neither hangs nor fools it."""

import functools
import os
import re
import signal
import stat
import subprocess
import sys

import pytest
from support_cli import environment, ok
from support_forkserver import Forked
from support_run import done, run, shown, started, until


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


@pytest.fixture
def unread():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    yield writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("both", [False, True])
def test_the_time_limit_holds_where_nobody_reads(job, unread, tmp_path, both):
    """The command writes without end, the pipe is full; its log has what it wrote."""
    cwd = job("x", max_attempts=1)
    with open(tmp_path / "err", "wb") as err:
        child = run(
            cwd, "--timeout", "2s", "--", "sh", "-c", "exec yes 123456789", stdout=unread,
            stderr=unread if both else err,
        )  # fmt: skip
        assert child.wait(timeout=60) == 124
    (queued,) = ok("dlq", "list", "--job", "j", "--json", cwd=cwd).json
    log = queued["failure_history"][0]["log"]
    assert os.path.getsize(log) > 1 << 16


def test_signals_are_heard_where_nobody_reads(job, unread, tmp_path):
    cwd = job("x")
    child = run(
        cwd, "--next", "--", "sh", "-c", f"echo > {tmp_path}/up; exec yes", stdout=unread,
        stderr=unread,
    )  # fmt: skip
    until((tmp_path / "up").exists)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 128 + signal.SIGTERM
    assert shown(cwd)["pending"] == 1


def test_a_slow_reader_gets_everything(job):
    cwd = job("x")
    child = run(cwd, "--", "sh", "-c", "head -c 3000000 /dev/zero; echo end")
    read = 0
    while data := child.stdout.read(65536):
        read += len(data)
        last = data
    child.communicate(timeout=60)
    assert (child.returncode, read, last[-4:]) == (0, 3_000_004, b"end\n")


def test_the_order_of_stdout_and_stderr_is_kept_where_they_are_one(job, tmp_path):
    cwd = job("x")
    script = "for n in 1 2 3 4 5 6 7 8 9; do echo out$n; echo err$n >&2; done; cat $PRODIGY_LOG"
    with open(tmp_path / "both", "wb") as both:
        assert run(cwd, "--", "sh", "-c", script, stdout=both, stderr=both).wait(60) == 0
    wanted = "".join(f"out{n}\nerr{n}\n" for n in range(1, 10))
    assert (tmp_path / "both").read_text().startswith(wanted)


def test_the_terminal_or_pipe_is_left_as_it_was(job):
    """O_NONBLOCK would be a setting of everybody's who has it."""
    cwd = job("x")
    reading, writing = os.pipe()
    assert run(cwd, "--", "true", stdout=writing, stderr=writing).wait(60) == 0
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(("options", "got"), [([], b""), (["--stdin"], b"line\n")])
def test_standard_input_is_empty_unless_it_is_passed_on(job, options, got):
    cwd = job("x")
    child = run(cwd, *options, "--", "cat", stdin=subprocess.PIPE)
    out, _ = child.communicate(b"line\n", timeout=60)
    assert (child.returncode, out) == (0, got)


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)])
def test_the_lock_is_no_descriptor_of_the_commands(job, tmp_path, closed):
    """With 0 closed it would be what the command reads, and what it gives away by closing it."""
    cwd = job("x")
    script = (
        f"exec 3>&- 4>&- 5>&-; readlink /proc/self/fd/0 > {tmp_path}/in; cat > {tmp_path}/read;"
        f"echo > {tmp_path}/up; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    )
    child = run(
        cwd, "--", "sh", "-c", script, preexec_fn=lambda: [os.close(one) for one in closed],
    )  # fmt: skip
    until((tmp_path / "up").exists)
    assert shown(cwd)["in_progress_items"][0]["alive"] is True
    assert (tmp_path / "in").read_text() == "/dev/null\n"
    assert (tmp_path / "read").read_text() == ""
    (tmp_path / "go").touch()
    assert child.wait(timeout=60) == 0
    assert shown(cwd)["completed"] == 1


def test_a_script_without_its_first_line_is_run_by_sh(job, repo, git):
    script = repo / "agent.sh"
    script.write_text('echo "agent $1"; exit 4\n')
    script.chmod(0o755)
    git("add", ".", cwd=repo)
    git("commit", "-qm", "agent", cwd=repo)
    cwd = job("x", max_attempts=1)
    assert done(cwd, "--", "./agent.sh", "one")[:2] == (4, b"agent one\n")


@pytest.mark.parametrize("length", ["25d", "999999999w"])
def test_any_length_of_time_will_do(job, length):
    cwd = job("x")
    assert done(cwd, "--timeout", length, "--backoff", length, "--", "true")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--base", "orgin/main", "--", "true"], 1, "orgin/main names no commit"),
        (["--", "no-such-command"], 127, "no command no-such-command"),
        (["--", "/etc/passwd"], 126, "cannot be executed"),
        (["--", "./agnet.sh"], 127, "cannot be started"),
        (["--", "./README"], 126, "cannot be started"),
    ],
)
def test_what_would_fail_with_every_item_costs_none_an_attempt(job, arguments, code, said):
    cwd = job("x", "y", max_attempts=1)
    got, _, err = done(cwd, "--next", *arguments)
    assert got == code, err
    assert err.count(said) == 1
    found = shown(cwd)
    assert (found["pending"], found["dead"], found["completed"]) == (2, 0, 0)
    assert done(cwd, "--next", "--", "true")[0] == 0
    assert shown(cwd)["completed"] == 2


def test_worktrees_that_cannot_be_made_cost_no_attempt(job, repo, git):
    hook = repo / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    cwd = job("x", "y", max_attempts=1)
    code, _, err = done(cwd, "--next", "--backoff", "0s", "--", "true")
    assert code == 1
    assert err.count("post-checkout hook failed") == 2  # not once for every item
    assert shown(cwd)["pending"] == 2
    hook.unlink()
    assert done(cwd, "--next", "--", "true")[0] == 0


def test_a_pool_says_how_much_nobody_read(job, unread):
    cwd = job("x")
    program = (
        "from prodigy_git.lifecycle import sinks, supervising;"
        "sinks.PATIENCE = supervising.PATIENCE = 0.3;"
        "import prodigy_git.__main__ as program; program.main()"
    )
    script = "head -c 9000000 /dev/zero | tr '\\0' x | fold -w 1000"
    child = Forked(
        [sys.executable, "-c", program, "run", "--job", "j", "--parallel", "1", "--",
         "sh", "-c", script],
        cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=unread,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert re.search(rb"\nprodigy-git: \d+ bytes of output were not passed on.* the logs have", err)
