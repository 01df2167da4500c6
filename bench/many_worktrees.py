"""How long do 16 worktrees take for 50 commits each, all at once? Ours and prek over no hooks."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import common
from bench.commit_latency import CONFIG, PRODIGY, framework, no_hook
from prodigy_git.record import underway

BARE = "no hooks"
OURS = "prodigy-git, until git is done"
ALL = "prodigy-git, until all is in the log"
PREK = "prek, one hook that does nothing"

AIM = 2.0
AIM_ALL = 3.5

WORKTREES = 16
COMMITS = 50

# Begins when its standard input ends: all of them at once, when the one pipe that they wait on does.
# The messages differ, or worktrees would make the same commits, and which is whose could not be told.
LOOP = """\
read -r _
number=0
while [ $number -lt "$1" ]; do
	git commit --allow-empty -q -m "${PWD##*/} $number" </dev/null >/dev/null 2>&1 || exit 1
	number=$((number + 1))
done
"""


def add_worktrees(repo: Path, env: Mapping[str, str]) -> list[Path]:
    """Add the worktrees with git alone."""
    paths = [repo.parent / f"{repo.name}-{number}" for number in range(WORKTREES)]
    for path in paths:
        common.run(["git", "worktree", "add", "-q", "-b", path.name, str(path)], repo, env)
    return paths


def bare(repo: Path, env: Mapping[str, str]) -> list[Path]:
    """Set up without hooks."""
    no_hook(repo, env)
    return add_worktrees(repo, env)


def prek(repo: Path, env: Mapping[str, str]) -> list[Path]:
    """Set up prek with its hook that does nothing."""
    framework("prek")(repo, env)
    return add_worktrees(repo, env)


def ours(repo: Path, env: Mapping[str, str]) -> list[Path]:
    """Install, and let prodigy-git make the worktrees, as sessions of one job."""
    common.run([*PRODIGY, "install"], repo, env)
    return [
        Path(common.run([*PRODIGY, "new-worktree", "--job", "crowd"], repo, env).rstrip("\n"))
        for _ in range(WORKTREES)
    ]


VARIANTS: dict[str, Callable[[Path, Mapping[str, str]], list[Path]]] = {
    BARE: bare,
    OURS: ours,
    PREK: prek,
}


def all_at_once(worktrees: Sequence[Path], env: Mapping[str, str]) -> float:
    """Commit in all worktrees at once; return the milliseconds until the last one is done."""
    waiting, gate = os.pipe()
    children = [
        subprocess.Popen(
            ["sh", "-c", LOOP, "sh", str(COMMITS)],
            cwd=path,
            env=env,
            stdin=waiting,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for path in worktrees
    ]
    os.close(waiting)
    begin = time.perf_counter_ns()
    os.close(gate)
    failed = sum(child.wait() != 0 for child in children)
    taken = (time.perf_counter_ns() - begin) / 1e6
    if failed:
        raise SystemExit(f"git commit failed in {failed} of {len(children)} worktrees")
    return taken


def until_recorded(store: Path) -> float:
    """Wait until no recorder is under way; return the milliseconds that it took."""
    begin = time.perf_counter_ns()
    if underway.wait(str(store), 600):
        raise SystemExit("a recorder is not through after ten minutes")
    return (time.perf_counter_ns() - begin) / 1e6


def wrong_records(
    store: Path, start: str, worktrees: Sequence[Path], rounds: int, env: Mapping[str, str]
) -> str:
    """Return what is wrong with the job's log after the run, or an empty string."""
    lines = [
        line
        for path in sorted(store.glob("events/*/crowd/*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    stamps = [json.loads(line)["timestamp"] for line in lines]
    if stamps != sorted(stamps):
        return "the log's order is not the order of time"
    events = common.created(lines)
    wanted = rounds * COMMITS * len(worktrees)
    ids = {event["id"] for event in events}
    distinct = {event["commit"] for event in events}
    if not len(events) == len(ids) == len(distinct) == wanted:
        return f"{wanted} commits made, {len(events)} events of {len(distinct)} commits"
    for path in worktrees:
        made = common.run(["git", "rev-list", "--reverse", f"{start}..HEAD"], path, env).split()
        if made != [event["commit"] for event in events if event["session_id"] == path.name]:
            return f"the events of session {path.name} are not the commits of its worktree"
    return ""


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=3, makes="repositories")
    arguments = parser.parse_args()

    with common.sealed(arguments.folder) as (folder, env):
        worktrees: dict[str, list[Path]] = {}
        for number, (name, set_up) in enumerate(VARIANTS.items()):
            repo = common.make_repository(
                folder / f"variant-{number}", env, {".pre-commit-config.yaml": CONFIG}
            )
            worktrees[name] = set_up(repo, env)
        start = common.run(["git", "rev-parse", "HEAD"], worktrees[OURS][0], env).strip()

        until_all: list[float] = []

        def timed(name: str, paths: Sequence[Path]) -> Callable[[], float]:
            def once() -> float:
                taken = all_at_once(paths, env)
                if name == OURS:
                    until_all.append(taken + until_recorded(Path(env["PRODIGY_HOME"])))
                return taken

            return once

        times = common.interleave(
            {name: timed(name, paths) for name, paths in worktrees.items()}, arguments.rounds,
            warm_up=0,
        )  # fmt: skip
        times[ALL] = until_all
        wrong = wrong_records(
            Path(env["PRODIGY_HOME"]), start, worktrees[OURS], arguments.rounds, env
        )

        median = common.medians(times)
        total = WORKTREES * COMMITS
        common.heading(
            folder,
            f"{WORKTREES} worktrees x {COMMITS} commits at once,"
            f" medians of {arguments.rounds} interleaved rounds",
        )
        common.print_table(
            ["variant", "wall s", "min-max", "commits/s", "x bare"],
            [
                [
                    name,
                    f"{ms / 1000:.2f}",
                    f"{min(times[name]) / 1000:.2f}-{max(times[name]) / 1000:.2f}",
                    f"{total / ms * 1000:.0f}",
                    f"{ms / median[BARE]:.2f}",
                ]
                for name, ms in median.items()
            ],
        )
        print()
    what = f"{WORKTREES} worktrees at once take"
    common.aim(what, median[OURS] / median[BARE], AIM, "times as long as without hooks")
    share = median[ALL] / median[BARE]
    common.aim(
        "until all is in the log they take", share, AIM_ALL, "times as long as without hooks"
    )
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
