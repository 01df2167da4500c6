"""What do claiming and ending an item cost, in a job of 100 items and in one of 100,000?"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from bench import common
from prodigy_git.jobs import claims, course
from prodigy_git.jobs.endings import Claim

SMALL, LARGE = 100, 100_000
FLAT = 1.5
SHOW = 1.0  # seconds
PRODIGY = [sys.executable, "-m", "prodigy_git"]


def start(store: str, items: int) -> None:
    """Open a job; a third of it is claimed and ended later, while it is timed."""
    given = [(f"item-{n}", {"path": f"src/{n}.py", "text": "x" * 100}) for n in range(items)]
    # No checkpoint while it is timed: its cost is spread over 5 % of the items.
    course.start(
        store, "repo", "job", given=given, checkpoint_items=items, checkpoint_seconds=86400,
        broken=sys.exit,
    )  # fmt: skip


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=20, makes="stores")
    parser.add_argument("--items", type=int, default=LARGE, help="items of the large job")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        sizes = {"small": SMALL, "large": arguments.items}
        stores = {name: str(folder / name) for name in sizes}
        for name, items in sizes.items():
            start(stores[name], items)
        numbers = count()
        held: dict[str, list[Claim]] = {name: [] for name in sizes}
        variants: dict[str, Callable[[], float]] = {}
        for name, items in sizes.items():
            at = f", {items:,} items"
            variants |= {
                f"claim{at}": claiming(stores[name], held[name], numbers),
                f"end{at}": ending(stores[name], held[name], numbers),
                f"'job next'{at}": command(["next"], stores[name], folder, env),
                f"'job show'{at}": command(["show"], stores[name], folder, env),
            }
        median = common.medians(common.interleave(variants, arguments.rounds, warm_up=2))
        common.heading(
            folder,
            f"Jobs of {SMALL} and {arguments.items:,} items, medians of {arguments.rounds} rounds",
        )
        rows = []
        for what in ("claim", "end", "'job next'", "'job show'"):
            few, many = (median[f"{what}, {items:,} items"] * 1000 for items in sizes.values())
            rows.append([what, f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}"])
        common.print_table(["step", f"ms, {SMALL}", f"ms, {arguments.items:,}", "x"], rows)
        print()
        for row in rows[:3]:
            common.aim(f"{row[0]} takes", float(row[3]), FLAT, f"times what it takes with {SMALL}")
        shown = median[f"'job show', {arguments.items:,} items"]
        common.aim("'job show' takes", shown, SHOW, "s")
    return 0


def claiming(store: str, held: list[Claim], numbers: "count[int]") -> Callable[[], float]:
    """Return what claims an item, as a worker does in its own process."""

    def run() -> float:
        begin = time.perf_counter()
        made = claims.claim(store, "repo", "job", agent=f"agent-{next(numbers)}", broken=sys.exit)
        taken = time.perf_counter() - begin
        assert made is not None
        held.append(made)
        return taken

    return run


def ending(store: str, held: list[Claim], numbers: "count[int]") -> Callable[[], float]:
    """Return what ends a claim."""

    def run() -> float:
        if not held:  # the order of the steps is drawn anew each round
            claiming(store, held, numbers)()
        made = held.pop()
        begin = time.perf_counter()
        claims.complete(store, "repo", "job", made, commits=["0123abc"], broken=sys.exit)
        return time.perf_counter() - begin

    return run


def command(
    words: list[str], store: str, folder: Path, env: Mapping[str, str]
) -> Callable[[], float]:
    """Return what runs a command on the job, as a process of its own."""

    def run() -> float:
        begin = time.perf_counter()
        subprocess.run(
            [*PRODIGY, "job", words[0], "repo/job", *words[1:]], cwd=folder,
            env={**env, "PRODIGY_HOME": store}, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        return time.perf_counter() - begin

    return run


if __name__ == "__main__":
    sys.exit(main())
