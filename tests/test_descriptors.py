"""Descriptors 0, 1 and 2 that are closed at the start, and an answer that cannot be printed."""

import json
import subprocess
import sys

import pytest
from support_cli import environment, ok

PROGRAM = f"exec {sys.executable} -m prodigy_git"


def run(cwd, script, *arguments, **settings):
    """Run the program from a shell that closes what ``script`` says."""
    done = subprocess.run(
        ["sh", "-c", f'{PROGRAM} "$@" {script}', "sh", *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=120,
        **settings,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    return done


@pytest.fixture
def job(repo, tmp_path):
    (tmp_path / "items").write_text("1\n2\n")
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    return repo


def in_progress(cwd):
    return ok("job", "show", "j", "--json", cwd=cwd).json["in_progress"]


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list", "--json"),
        ("new-worktree", "w"), ("new-worktree", "--json"), ("job", "list"),
        ("worktree", "ls", "--json"), ("status",), ("events", "ls", "--json"), ("--help",),
    ],
)  # fmt: skip
def test_a_result_that_nobody_gets_is_said(job, command):
    done = run(job, ">&-", *command)
    assert done.returncode == 1
    assert done.stderr.count("standard output is closed") == 1


def test_what_was_done_stands(job):
    run(job, "<&- >&- 2>&-", "new-worktree", "w")
    assert ok("worktree", "path", "w", cwd=job).out.endswith("/w\n")


def test_nothing_is_claimed_where_nobody_would_hear_of_it(job):
    done = run(job, ">&-", "job", "next", "j")
    assert (done.returncode, in_progress(job)) == (1, 0)
    assert "nothing is claimed" in done.stderr


def test_a_claim_whose_answer_cannot_be_printed_is_given_back(job, events):
    done = run(job, ">/dev/full", "job", "next", "j")
    assert done.returncode == 1
    assert "item-1 was given back" in done.stderr
    assert in_progress(job) == 0
    assert events("j")[-1]["type"] == "ClaimReleased"
    again = json.loads(run(job, "", "job", "next", "j").stdout)
    assert (again["item_id"], again["attempt"], again["max_attempts"]) == ("item-1", 2, 4)


def test_without_anything_open_it_works_as_usual(job):
    """No file of the store is opened under the numbers that a child takes for its own."""
    done = run(job, "<&- 2>&-", "new-worktree", "w")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("/w\n")
