"""What does recording in the background cost, and how far behind git is it? Over waiting, in bursts."""

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import COMMIT, PRODIGY, ours, wrong_records
from prodigy_git.record import underway

BURST = 100
AIM_CPU = 0.4
AIM_MEDIAN, AIM_LAST = 40.0, 200.0
_SUBREAPER = 36
SILENT, BACKGROUND, WAITING = "silenced", "background", "waiting"
WAYS = {
    SILENT: {"PRODIGY_GIT_SILENCE": "1"},
    BACKGROUND: {},
    WAITING: {"PRODIGY_RECORD": "wait"},
}


def burst(repo: Path, env: Mapping[str, str]) -> tuple[float, int]:
    """Make 100 commits; return the processor's milliseconds for each, and how many recorders ran.

    What a hook leaves in the background is this process's to reap (prctl(2)), and so its time is seen.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    recorders = 0
    for _ in range(BURST):
        child = subprocess.Popen(
            COMMIT, cwd=repo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        if child.wait() != 0:
            raise SystemExit("git commit failed")
    while True:
        try:
            os.waitpid(-1, 0)
            recorders += 1
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent * 1000 / BURST, recorders


def lag(repo: Path, store: Path, env: Mapping[str, str]) -> float:
    """Make one commit; return the milliseconds from git's return to the event in the log."""
    log = next(store.glob(f"events/{repo.name}/*/*.jsonl"))
    size = log.stat().st_size
    common.run(COMMIT, repo, env)
    begin = time.perf_counter_ns()
    while log.stat().st_size == size:
        time.sleep(0.0005)
    taken = (time.perf_counter_ns() - begin) / 1e6
    underway.wait(str(store), 60)  # the next one wakes a recorder of its own
    return taken


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="bursts of each kind (default: 5)")
    parser.add_argument(
        "--commits", type=int, default=100, help="commits for the lag (default: 100)"
    )
    parser.add_argument("--folder", help="where to make the repositories (default: $TMPDIR)")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        raise SystemExit("only Linux tells what processes in the background have cost")
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)

    with common.sealed(arguments.folder) as (folder, env):
        repo = common.make_repository(folder / "repo", env, {"file": "text\n"})
        start = common.run(["git", "rev-parse", "HEAD"], repo, env).strip()
        ours(repo, env)
        store = Path(env["PRODIGY_HOME"])
        spent: dict[str, list[float]] = {name: [] for name in WAYS}
        recorders = []
        for _ in range(arguments.rounds):
            for name, way in WAYS.items():
                time_each, count = burst(repo, env | way)
                spent[name].append(time_each)
                if name == BACKGROUND:
                    recorders.append(count)
        lags = sorted(lag(repo, store, env) for _ in range(arguments.commits))
        common.run([*PRODIGY, "sync"], repo, env)
        # Those of the silenced bursts are recorded by whoever comes next.
        wrong = wrong_records(store, repo, start, env)

        cost = common.medians(spent)
        common.heading(
            folder, f"Bursts of {BURST} commits in one worktree, medians of {arguments.rounds}"
        )
        common.print_table(
            ["way", "processor ms per commit", "of that recording"],
            [
                [name, f"{ms:.2f}", f"{ms - cost[SILENT]:+.2f}" if name != SILENT else ""]
                for name, ms in cost.items()
            ],
        )
        print()
        print(f"Recorders started in a burst: {statistics.median(recorders):g}.")
    common.aim("a commit in the background costs", cost[BACKGROUND] / cost[WAITING], AIM_CPU,
               "times the processor time of one that git waits for")  # fmt: skip
    common.aim("half of the commits are in the log", statistics.median(lags), AIM_MEDIAN,
               "ms after git returns")  # fmt: skip
    last = lags[int(len(lags) * 0.99) - 1]
    common.aim("99 of 100 are in the log", last, AIM_LAST, "ms after git returns")
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
