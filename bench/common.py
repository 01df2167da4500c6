"""What every benchmark shares: sealed repositories, interleaved rounds, the machine, the table."""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Environment = dict[str, str]

LONG_AGO = "2025-01-11T12:00:00+00:00"

_GIT_CONFIG = """\
[user]
	name = Bench
	email = bench@example.org
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[gc]
	auto = 0
[maintenance]
	auto = false
"""

_FOREIGN = ("GIT_", "PRODIGY_", "XDG_", "PRE_COMMIT", "PREK_", "LEFTHOOK")


@contextmanager
def sealed(parent: str | None = None) -> Iterator[tuple[Path, Environment]]:
    """Give a temporary folder and an environment whose HOME and store lie in it."""
    with tempfile.TemporaryDirectory(prefix="prodigy-git-bench-", dir=parent) as name:
        folder = Path(name).resolve()
        home = folder / "home"
        home.mkdir()
        (home / ".gitconfig").write_text(_GIT_CONFIG)
        env = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        env |= {
            "HOME": str(home),
            "PRODIGY_HOME": str(folder / "store"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            # prodigy-git, pre-commit and prek are the ones beside this interpreter.
            "PATH": os.path.dirname(sys.executable) + os.pathsep + env["PATH"],
        }
        yield folder, env


@contextmanager
def busy(per_core: int) -> Iterator[None]:
    """Have so many processes per core do nothing but compute meanwhile."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    spin = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    children = [subprocess.Popen(spin) for _ in range(per_core * cores)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Run a command of the set-up; return both its outputs, or end the benchmark with them."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def make_repository(folder: Path, env: Mapping[str, str], files: Mapping[str, str]) -> Path:
    """Make a repository with ``files`` in one commit, the same way for every variant."""
    run(["git", "init", "-q", str(folder)], folder.parent, env)
    for name, content in files.items():
        (folder / name).write_text(content)
    run(["git", "add", "."], folder, env)
    # Git's journal has whole seconds: a first commit made in the very second of `install` would be
    # taken for one that came after it.
    run(["git", "commit", "-q", "-m", "Start"], folder, {**env, "GIT_COMMITTER_DATE": LONG_AGO})
    return folder


def milliseconds(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> float:
    """Run a command without terminal or output; return how long it took."""
    begin = time.perf_counter_ns()
    subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter_ns() - begin) / 1e6


def interleave(
    variants: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 5, seed: int = 20250111
) -> dict[str, list[float]]:
    """Time every variant once per round, in an order shuffled anew each round.

    A machine that grows slower or faster during the run then does so for all variants alike, and
    no variant always runs behind the same other one. The first ``warm_up`` rounds are dropped.
    """
    order = list(variants)
    shuffle = random.Random(seed).shuffle
    times: dict[str, list[float]] = {name: [] for name in order}
    for number in range(warm_up + rounds):
        shuffle(order)
        for name in order:
            taken = variants[name]()
            if number >= warm_up:
                times[name].append(taken)
    return times


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each variant's median."""
    return {name: statistics.median(values) for name, values in times.items()}


def options(about: str | None, *, rounds: int, makes: str) -> argparse.ArgumentParser:
    """Return a benchmark's command line: how many rounds, and where it makes what it measures."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"timed rounds (default: {rounds})"
    )
    parser.add_argument("--folder", help=f"where to make the {makes} (default: $TMPDIR)")
    return parser


def heading(folder: Path, *lines: str) -> None:
    """Print what was measured, and on what machine and filesystem."""
    print(*lines, machine(folder), sep="\n", end="\n\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, aligned: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for row in [headings, rule, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print(f"| {' | '.join(cells)} |")


def aim(what: str, value: float, limit: float, unit: str) -> None:
    """Say plainly whether an aim holds: ``what`` is at most ``limit``. Missing it fails nothing."""
    verdict = "Holds" if value <= limit else "Does not hold"
    print(f"Aim: {what} at most {limit:g} {unit}. {verdict}: {value:.2f}.")


def created(lines: Iterable[str | bytes]) -> list[dict[str, Any]]:
    """Return the CommitCreated events among the lines of a log, in their order."""
    return [event for event in map(json.loads, lines) if event["type"] == "CommitCreated"]


def worthless(wrong: str) -> int:
    """Return a benchmark's exit status: what is wrong with what was timed, if anything, makes it 1."""
    if not wrong:
        return 0
    print(f"These times are worthless: {wrong}.", file=sys.stderr)
    return 1


def machine(folder: Path) -> str:
    """Describe what the numbers depend on: no host name, nothing that identifies a machine."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    # In a container the cores that this process may use are fewer than the machine has.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return (
        f"{cores} cores ({platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}, {git.strip()}, filesystem {filesystem(folder)}"
    )


def filesystem(folder: Path) -> str:
    """Return the type of the filesystem that ``folder`` is on, as Linux names it."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    # The longest mount point above the folder is the one it is on; of equals, the last mounted.
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        _, point, name, *_ = line.split(" ")
        above = Path(point.replace("\\040", " "))
        if (above == folder or above in folder.parents) and len(point) >= best:
            best, kind = len(point), name
    return kind
