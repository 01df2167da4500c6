"""run --pty: a command at a terminal of its own, between it and ours."""

import functools
import signal
import subprocess
import termios

import pytest
from support_cli import ok
from support_run import done, shown, started, until
from support_terminal import Terminal


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


@pytest.fixture
def terminal(job):
    """Begin `run --pty` with a script at a terminal."""
    begun = []

    def begin(script, *more):
        cwd = job({"id": "a"}, max_attempts=1)
        made = Terminal(
            "run", "--job", "j", "--pty", *more, "--", "sh", "-c", script, cwd=cwd, columns=90
        )
        begun.append(made)
        return made, cwd

    yield begin
    for one in begun:
        one.close()


def modes(one):
    return termios.tcgetattr(one.slave)


def test_the_command_has_a_terminal_and_the_log_its_output(job, events):
    cwd = job({"id": "a"})
    script = (
        "test -t 0 && test -t 1 && test -t 2 && tty >/dev/null && stty size && echo ok >/dev/tty"
    )
    code, out, err = done(cwd, "--pty", "--", "sh", "-c", script)
    assert (code, out) == (0, b"24 80\r\nok\r\n"), err
    (completed,) = [one for one in events("j") if one["type"] == "AgentCompleted"]
    with open(completed["json_log_location"], "rb") as stream:
        assert stream.read() == out


def test_without_a_terminal_of_ours_it_reads_an_end_or_standard_input(job):
    cwd = job({"id": "a"}, {"id": "b"}, {"id": "c"})
    assert done(cwd, "--pty", "--", "cat")[0] == 0
    read = ["--pty", "--stdin", "--", "sh", "-c", "stty -echo; echo ready; cat"]
    for source in ("pipe", "file"):
        place = cwd.parent / "typed"
        place.write_text("one\ntwo\n" * 2000)
        with place.open() as stream:
            piped = subprocess.Popen(["cat"], stdin=stream, stdout=subprocess.PIPE)
            with place.open() as file:
                code, out, _ = done(cwd, *read, stdin=piped.stdout if source == "pipe" else file)
            piped.stdout.close()
            piped.wait()
        assert code == 0
        assert out.endswith(b"two\r\n")


def test_an_end_is_one_for_each_who_reads_and_after_half_a_line(job):
    cwd = job({"id": "a"}, {"id": "b"}, max_attempts=1)
    limit = ["--timeout", "60s", "--pty"]
    assert done(cwd, *limit, "--", "sh", "-c", "read a; read b; cat; echo so")[:2] == (0, b"so\r\n")
    with subprocess.Popen(["printf", "abc"], stdout=subprocess.PIPE) as piped:
        script = "stty -echo; echo ready; cat"
        code, out, err = done(cwd, *limit, "--stdin", "--", "sh", "-c", script, stdin=piped.stdout)
    assert (code, out[-3:]) == (0, b"abc"), err


def test_keys_and_sizes_go_through_and_the_terminal_is_as_before(terminal, tmp_path):
    one, cwd = terminal(
        "echo at $(stty size); read word; echo got $word; trap 'echo now $(stty size); exit' WINCH;"
        f" touch {tmp_path}/up; while :; do sleep 0.1; done"
    )
    one.until("at 24 90")
    assert modes(one) != one.before  # raw
    one.press("hello\r")
    one.until("got hello")
    until((tmp_path / "up").exists)
    one.resize(70, 30)
    one.child.send_signal(signal.SIGWINCH)
    one.until("now 30 70")
    assert one.end() == 0
    assert modes(one) == one.before
    assert shown(cwd)["completed"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_terminal_is_put_back_where_run_is_killed(terminal, number):
    one, cwd = terminal("echo up; exec sleep 300")
    one.until("up")
    one.child.send_signal(number)
    one.end()
    until(lambda: modes(one) == one.before)
    ok("job", "show", "j", cwd=cwd)


def test_a_command_that_dies_of_ctrl_c_was_interrupted(terminal, events):
    one, cwd = terminal("echo up; exec sleep 300", "--next")
    one.until("up")
    one.press("\x03")
    assert one.end() == 130
    assert [e["type"] for e in events("j") if e["type"] in ("AgentFailed", "ClaimReleased")] == [
        "ClaimReleased"
    ]
    assert shown(cwd)["pending"] == 1
