"""run: what ended stays ended, and an interruption is no failure."""

import functools
import json
import signal
import subprocess
import sys

import pytest
from support_cli import call, ok
from support_run import done, run, shown, started, until


@pytest.fixture
def job(repo, tmp_path):
    return functools.partial(started, repo, tmp_path)


def kinds(events, *wanted):
    return [one["type"] for one in events("j") if one["type"] in wanted]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interruption_gives_the_item_back(job, events, store, tmp_path, number):
    """As often as it likes: with attempts for one only."""
    cwd = job("x", max_attempts=1)
    for _ in range(2):
        child = run(cwd, "--next", "--", "sh", "-c", "git status > left; echo; exec sleep 300")
        assert child.stdout.readline() == b"\n"
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 128 + number, err
        assert b"interrupted, given back" in err
        found = shown(cwd)
        assert (found["pending"], found["dead"]) == (1, 0)
    assert kinds(events, "AgentFailed", "ClaimReleased") == ["ClaimReleased"] * 2
    released = next(one for one in events("j") if one["type"] == "ClaimReleased")
    assert released["reason"] == f"interrupted by signal {int(number)}"
    file = json.loads((store / "sessions" / f"{released['session_id']}.json").read_text())
    assert file["status"] == "Cancelled"
    assert ok("worktree", "path", released["session_id"], cwd=cwd).code == 0  # it has a file
    assert done(cwd, "--next", "--", "true")[0] == 0


def test_a_signal_while_the_worktree_is_made_gives_the_item_back(job, repo, events, tmp_path):
    hook = repo / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\necho > {tmp_path}/up; exec sleep 300\n")
    hook.chmod(0o755)
    cwd = job("x", max_attempts=1)
    child = run(cwd, "--next", "--", "true")
    until((tmp_path / "up").exists)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    assert kinds(events, "AgentFailed", "ClaimReleased") == ["ClaimReleased"]
    assert shown(cwd)["pending"] == 1


def test_a_command_that_did_well_when_it_was_told_to_end_has_done_well(job):
    cwd = job("x", "y")
    script = "trap 'exit 0' TERM; echo; while :; do sleep 0.05; done"
    child = run(cwd, "--next", "--", "sh", "-c", script)
    assert child.stdout.readline() == b"\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode == 143
    found = shown(cwd)
    assert (found["completed"], found["pending"]) == (1, 1)


def test_a_signal_after_the_end_changes_nothing_and_is_heard(job, tmp_path):
    """The command has done well, and what it left is being ended: that takes its time."""
    cwd = job("x", "y")
    trap = f"trap 'echo > {tmp_path}/told' TERM"
    left = f"({trap}; echo > {tmp_path}/left; while :; do sleep 0.05; done) &"
    script = f"{left} until [ -e {tmp_path}/left ]; do sleep 0.05; done"
    child = run(cwd, "--next", "--", "sh", "-c", script)
    until((tmp_path / "told").exists)  # so the command's exit status is known
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    found = shown(cwd)
    assert (found["completed"], found["pending"], found["in_progress"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("prodigy-git finish >&2", "completed"),
        ("prodigy-git finish >&2; exit 3", "completed"),
        ("prodigy-git finish --failed --error no >&2", "dead"),
        ("prodigy-git job done j $PRODIGY_ITEM_ID >&2", "completed"),
        ("prodigy-git job done j $PRODIGY_ITEM_ID --failed --error no >&2", "dead"),
    ],
)
def test_what_the_command_says_of_its_end_stands_and_the_worker_goes_on(job, script, state):
    cwd = job("x", "y", max_attempts=1)
    code, _, err = done(cwd, "--next", "--", "sh", "-c", script)
    assert code == (0 if state == "completed" else 1), err
    found = shown(cwd)
    assert (found[state], found["pending"], found["in_progress"]) == (2, 0, 0)
    assert set(found["sessions"]) <= {"Completed", "Failed"}


def test_an_item_that_was_given_to_somebody_else_ends_late(job, events):
    cwd = job("x", "y")
    script = (
        'test "$PRODIGY_ITEM_ID" = item-2 || {'
        " prodigy-git job done j item-1 --failed --error taken --agent $PRODIGY_AGENT_ID &&"
        " prodigy-git job next j --item item-1 --agent other; } >&2"
    )
    code, _, err = done(cwd, "--next", "--", "sh", "-c", script)
    assert code == 0, err
    found = shown(cwd)
    assert (found["completed"], found["in_progress"]) == (1, 1)
    assert [one["late"] for one in events("j") if one.get("late")] == [True]


def test_a_paused_job_stops_the_worker_with_a_word(job, tmp_path):
    cwd = job("x", "y", "z")
    code, _, err = done(cwd, "--next", "--", "sh", "-c", "prodigy-git job pause j >&2")
    assert code == 3
    assert "job j is paused, with 2 items left" in err
    assert call("run", "--job", "j", "--next", "true", cwd=cwd).code == 3
    ok("job", "resume", "j", cwd=cwd)
    code, _, err = done(cwd, "--next", "--", "sh", "-c", "prodigy-git job cancel j >&2")
    assert (code, "is cancelled" in err) == (3, True), err


def test_json_tells_the_commands_status_from_no_item(job):
    cwd = job("x", max_attempts=1)
    code, out, err = done(cwd, "--json", "--", "sh", "-c", "echo output; echo no >&2; exit 3")
    (line,) = map(json.loads, out.splitlines())
    assert (code, line["exit_status"], line["state"], line["item_id"]) == (3, 3, "dead", "item-1")
    assert line["error"] == "exit status 3: no"
    assert "output" in err
    assert {"job_id", "agent_id", "session_id", "attempt", "log"} <= set(line)
    assert done(cwd, "--json", "--", "true")[:2] == (3, b"")


def test_an_end_that_cannot_be_written_is_kept_and_tried_again(job, store, tmp_path):
    """The log's folder is a file for a while: whatever is in the way."""
    cwd = job("x")
    folder = store / "events/repo/j"
    script = f"mv {folder} {tmp_path}/away && echo > {folder}"
    child = run(cwd, "--", "sh", "-c", script)
    lines = []
    while not lines or "cannot be written" not in lines[-1]:
        lines.append(child.stderr.readline().decode())
        assert lines[-1], lines
    folder.unlink()
    (tmp_path / "away").rename(folder)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert shown(cwd)["completed"] == 1


def test_an_end_that_could_not_be_written_is_said_how_to_record_by_hand(
    job, events, store, tmp_path
):
    """And what is said works as it stands, whatever the error has in it."""
    cwd = job("x", max_attempts=1)
    folder = store / "events/repo/j"
    script = f'mv {folder} {tmp_path}/away && echo > {folder}; echo "can\'t; \\$HOME" >&2; exit 3'
    child = run(cwd, "--", "sh", "-c", script)
    while "cannot be written" not in child.stderr.readline().decode():
        pass
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    folder.unlink()
    (tmp_path / "away").rename(folder)
    program, _, advice = err.decode().partition("run: ")[2].strip().partition(" ")
    assert program == "prodigy-git"
    told = f"{sys.executable} -m prodigy_git {advice}"
    subprocess.run(["sh", "-c", told], cwd=cwd, check=True, capture_output=True)
    assert shown(cwd)["dead"] == 1
    (failed,) = [one for one in events("j") if one["type"] == "AgentFailed"]
    assert failed["error"] == "exit status 3: can't; $HOME"
