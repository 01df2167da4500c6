"""Many worktrees of one job at once, with the installed hooks: nothing lost, doubled or mixed up.

The processes are held together by pipes and by their ends: all commits begin when one pipe is closed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support_cli import environment, session_file

Git = Callable[..., str]
Run = Callable[..., Any]
Events = Callable[[str], list[dict[str, Any]]]

JOB = "crowd"

# Waits until its standard input ends, then commits; git's own complaints are the only output.
COMMITS = """\
read -r _
number=0
while [ $number -lt "$1" ]; do
	git commit -q --allow-empty -m "$2 $number" </dev/null || exit 1
	number=$((number + 1))
done
"""

# Runs commands over and over until its standard input ends, and at least once.
QUERIES = """\
import select, subprocess, sys
program = [sys.executable, "-m", "prodigy_git"]
rounds, ended = 0, False
while not ended:
    for command in sys.argv[1:]:
        done = subprocess.run(
            [*program, *command.split()], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        # 1 from verify: it looked between a commit and its event, and says that they differ.
        allowed = (0, 1) if command.startswith("verify") else (0,)
        if done.returncode not in allowed or "Traceback" in done.stderr:
            sys.exit(f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}")
    rounds += 1
    ended = bool(select.select([sys.stdin], [], [], 0)[0])
print(rounds)
"""

# Follows the files of a log as `tail -f` does: whatever is there, split at newlines, the rest kept
# until its newline comes. When its standard input ends it reads once more and prints what it saw.
FOLLOW = """\
import json, os, select, sys
folder = sys.argv[1]
rests, lines, ended = {}, [], False
while not ended:
    ended = bool(select.select([sys.stdin], [], [], 0)[0])
    for name in sorted(os.listdir(folder)):
        if name not in rests:
            rests[name] = (open(os.path.join(folder, name), "rb", buffering=0), b"")
        stream, rest = rests[name]
        *whole, rest = (rest + (stream.read() or b"")).split(b"\\n")
        rests[name] = (stream, rest)
        for line in whole:
            try:
                event = json.loads(line)
            except ValueError:
                sys.exit(f"{name}: not an event: {line!r}")
            lines.append(event["id"])
if any(rest for _, rest in rests.values()):
    sys.exit(f"half a line at the end: {rests}")
print("\\n".join(lines))
"""


@pytest.fixture
def crowd(repo: Path, prodigy: Run) -> Callable[[int], list[Path]]:
    """``crowd(number)``: that many worktrees of one job, in a repository with the hooks installed."""

    def make(number: int) -> list[Path]:
        prodigy("install", cwd=repo, check=True)
        return [
            Path(prodigy("new-worktree", "--job", JOB, cwd=repo, check=True).stdout.rstrip("\n"))
            for _ in range(number)
        ]

    return make


def _committers(
    worktrees: Sequence[Path], commits: int, gate: int, alike: bool
) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            ["sh", "-c", COMMITS, "sh", str(commits), "commit" if alike else path.name],
            cwd=path,
            stdin=gate,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in worktrees
    ]


def _companion(script: str, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start a script that goes on until its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _commit_beside(
    companion: subprocess.Popen[str], worktrees: Sequence[Path], commits: int, *, alike: bool
) -> str:
    """Commit in all worktrees at once beside a companion; return what it printed.

    Commits that are ``alike`` have one message in all worktrees, so that those of one parent and one
    second are one and the same object, which each of the worktrees has made.
    """
    waiting, gate = os.pipe()
    children = _committers(worktrees, commits, waiting, alike)
    os.close(waiting)
    os.close(gate)
    said = [child.communicate()[1] for child in children]
    out, err = companion.communicate()  # closes its standard input
    assert [child.returncode for child in children] == [0] * len(children), said
    # A hook that could not record says so here.
    assert said == [""] * len(children)
    assert companion.returncode == 0, err
    return out


def _check(
    git: Git, prodigy: Run, repo: Path, store: Path, events: Events,
    worktrees: Sequence[Path], commits: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Check that the log holds each commit once, in its session, in time order; return the log."""
    # Before anything that could mend: what the hooks recorded is all that there is to be.
    log = events(JOB)
    created = [event for event in log if event["type"] == "CommitCreated"]
    assert len(created) == commits * len(worktrees)
    assert len({event["id"] for event in log}) == len(log)
    stamps = [event["timestamp"] for event in log]
    assert stamps == sorted(stamps)
    for path in worktrees:
        made = git("rev-list", "--reverse", "main..HEAD", cwd=path).split()
        own = [event for event in created if event["session_id"] == path.name]
        assert [event["commit"] for event in own] == made
        assert {event["worktree"] for event in own} == {path.name}
        assert {event["branch"] for event in own} == {f"prodigy-{path.name}"}

    done = prodigy("verify", "--job", JOB, "--json", cwd=repo)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["broken_lines"] == []
    assert {one["session_id"]: one["recorded"] for one in report["sessions"]} == {
        path.name: commits for path in worktrees
    }
    # A checkpoint may come late in a burst, but not later than a command that reads it.
    prodigy("sessions", "list", "--job", JOB, cwd=repo, check=True)
    for path in worktrees:
        metadata = session_file(store, path.name)["metadata"]
        assert metadata["commits"] == commits
        assert metadata["last_commit"] == git("rev-parse", "HEAD", cwd=path)
    assert not (store / "logs" / "hook-errors.log").exists()
    return log


def test_sixteen_worktrees_at_once_and_a_reader_that_follows(
    repo: Path, store: Path, git: Git, prodigy: Run, events: Events, crowd
) -> None:
    worktrees = crowd(16)
    (folder,) = store.glob(f"events/*/{JOB}")
    follower = _companion(FOLLOW, str(folder), cwd=repo)
    seen = _commit_beside(follower, worktrees, 15, alike=False).split()
    log = _check(git, prodigy, repo, store, events, worktrees, 15)
    assert len({event["commit"] for event in log if event["type"] == "CommitCreated"}) == 240
    assert seen == [event["id"] for event in log]


@pytest.mark.parametrize("alike", [False, True])
def test_commands_that_read_and_mend_while_hooks_record(
    alike: bool, repo: Path, store: Path, git: Git, prodigy: Run, events: Events, crowd
) -> None:
    worktrees = crowd(8)
    queries = _companion(
        QUERIES,
        f"events ls --job {JOB}",
        "sessions list",
        f"verify --job {JOB} --fix",
        cwd=repo,
    )
    rounds = _commit_beside(queries, worktrees, 10, alike=alike)
    assert int(rounds) >= 1
    # What verify came upon before the hook did is recorded all the same, and once.
    _check(git, prodigy, repo, store, events, worktrees, 10)
