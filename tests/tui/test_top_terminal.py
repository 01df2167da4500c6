"""top on a real pseudo-terminal: it draws, is resized, quits, and ends when the terminal does."""

import os
import signal
import termios

import pytest
import support_team
from support_cli import ok, refused, start
from support_terminal import Terminal

from prodigy_git.record import log


@pytest.fixture
def screen(repo, store):
    ok("job", "start", "other", cwd=repo)
    support_team.write(store, "repo")
    terminal = Terminal("top", cwd=repo)
    terminal.until("2 dead, 3 failed")
    yield terminal
    terminal.close()


def test_it_draws_follows_is_resized_and_quits(screen, store):
    at = len(screen.written)
    said = {"id": "1", "type": "ClaudeMessage", "agent_id": "x", "content": "it \x1b[31mworks"}
    log.append(str(store), "repo", support_team.JOB, [said])
    screen.until("it \\x1b[31mworks", since=at)
    at = len(screen.written)
    screen.resize(60, 16)
    os.kill(screen.child.pid, signal.SIGWINCH)
    screen.until("2 dead", since=at)
    at = screen.press("?")
    screen.until("Up Down PgUp PgDn", since=at)
    at = screen.press("q")
    screen.until("2 dead", since=at)
    at = screen.press("q")
    assert screen.end() == 0
    assert b"\x1b[?1049l" in screen.written[at:]
    assert b"\x1b[?25h" in screen.written[at:]
    assert termios.tcgetattr(screen.slave) == screen.before
    assert "Traceback" not in screen.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_the_terminal_is_put_back(screen, number):
    at = len(screen.written)
    screen.child.send_signal(number)
    assert screen.end() == 130
    assert b"\x1b[?1049l" in screen.written[at:]
    assert termios.tcgetattr(screen.slave) == screen.before
    assert "Traceback" not in screen.text()


def test_it_ends_when_its_window_is_closed(screen):
    screen.hang_up()
    assert screen.child.wait(60) == 130


def test_without_a_terminal_it_says_so_in_one_line(repo, store, monkeypatch):
    assert "needs a terminal" in refused("top", cwd=repo)
    done = start("top", cwd=repo)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out, err.count("\n")) == (1, "", 1)
