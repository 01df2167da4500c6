"""How soon does a command answer, beside `import click`? And what does new-worktree add to git?"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import common
from bench.evidence import FILES, repository
from bench.overview import JOB, make_worktrees

PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")
BASE = "python -c 'import click'"
AIMS = {
    "--version": 1.2, "--help": 1.2, "sessions list": 2.0, "worktree ls": 2.0, "job list": 2.0,
    f"job show {JOB}": 2.0, "trash list": 2.0, "status": 2.0, f"dlq list --job {JOB}": 2.0,
    "hooks": 2.0, "finish": 3.0,
}  # fmt: skip
"""Commands, and how often the time of `BASE` they may take."""
ADD, NEW, NEW_AIM = "git worktree add", "new-worktree", 1.6
SESSIONS = 200

Times = tuple[float, float]
"""Milliseconds that passed, and those of processors, the process's children included."""


def timed(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Times:
    """Run a command, output thrown away. Raises `SystemExit` where it fails."""
    begin = time.perf_counter_ns()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    running = subprocess.Popen(command, cwd=cwd, env=env, stderr=subprocess.DEVNULL, **quiet)
    _, status, used = os.wait4(running.pid, 0)
    taken = (time.perf_counter_ns() - begin) / 1e6
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode != 0:
        raise SystemExit(f"{command} failed with {running.returncode}")
    return taken, 1e3 * (used.ru_utime + used.ru_stime)


def rounds(variants: Mapping[str, Callable[[], Times]], count: int) -> dict[str, list[Times]]:
    """Run all variants in each round, one round more than counted, the first."""
    found: dict[str, list[Times]] = {name: [] for name in variants}
    for number in range(count + 1):
        for name, variant in variants.items():
            one = variant()
            if number:
                found[name].append(one)
    return found


def rows(times: Mapping[str, list[Times]], base: str) -> dict[str, tuple[float, ...]]:
    """Return of each variant: ms, x base, processor ms, x base; ratios are of pairs, medians of all."""
    found = {}
    for name, taken in times.items():
        values: list[float] = []
        for which in (0, 1):
            values.append(statistics.median(one[which] for one in taken))
            pairs = zip(taken, times[base], strict=True)
            values.append(statistics.median(one[which] / other[which] for one, other in pairs))
        found[name] = tuple(values)
    return found


def show(title: str, table: Mapping[str, tuple[float, ...]], base: str) -> None:
    """Print a table."""
    print(title)
    print()
    common.print_table(
        ["command", "ms", f"x {base}", "processor ms", f"x {base} "],
        [
            [name, f"{a:.0f}", f"{b:.2f}", f"{c:.0f}", f"{d:.2f}"]
            for name, (a, b, c, d) in table.items()
        ],
    )
    print()


def listings(folder: Path, env: Mapping[str, str], count: int) -> dict[str, tuple[float, ...]]:
    """Time the commands that print something, and `finish`, with many sessions in the store."""
    repo = common.make_repository(folder / "small", env, {"file": "text\n"})
    common.run([PROGRAM, "install"], repo, env)
    made = make_worktrees(repo, env, SESSIONS)
    waiting = iter(made)
    variants: dict[str, Callable[[], Times]] = {
        BASE: functools.partial(timed, [sys.executable, "-c", "import click"], repo, env)
    }
    for name in AIMS:
        command = [PROGRAM, *name.split()]
        variants[name] = functools.partial(timed, command, repo, env)
    variants["finish"] = lambda: timed([PROGRAM, "finish", next(waiting).name], repo, env)
    return rows(rounds(variants, count), BASE)


def making(folder: Path, env: Mapping[str, str], count: int) -> dict[str, tuple[float, ...]]:
    """Time `new-worktree` beside `git worktree add`."""
    repo = repository(folder / "large", env)
    common.run([PROGRAM, "install"], repo, env)
    numbers = iter(range(10_000))

    def add() -> Times:
        name = f"git-{next(numbers)}"
        command = ["git", "worktree", "add", "-q", "-b", name, str(folder / "added" / name)]
        return timed(command, repo, {**env, "PRODIGY_GIT_SILENCE": "1"})

    def new() -> Times:
        return timed([PROGRAM, "new-worktree", f"ours-{next(numbers)}"], repo, env)

    return rows(rounds({ADD: add, NEW: new}, count), ADD)


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds (default: 20)")
    parser.add_argument("--folder", help="where to make the repositories (default: $TMPDIR)")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        # Or each start would compile the package anew.
        env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        print(f"Medians of {arguments.rounds} interleaved rounds")
        print(common.machine(folder))
        print()
        found = listings(folder, env, arguments.rounds)
        show(f"{SESSIONS} sessions in the store, each with its worktree", found, "import click")
        large = making(folder, env, arguments.rounds)
        show(f"A worktree of {FILES:,} files", large, "git's")
    for name, limit in AIMS.items():
        common.aim(f"{name} takes", found[name][1], limit, "x import click")
    common.aim(f"{NEW} takes", large[NEW][1], NEW_AIM, f"x {ADD}")
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
