"""What do workers of one `run --parallel` cost, beside as many commands of one worker each?"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from bench import common

ITEMS, WORKERS = 40, 4
AIM = 1.0
PRODIGY = [sys.executable, "-m", "prodigy_git"]


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=5, makes="repositories")
    parser.add_argument("--items", type=int, default=ITEMS, help="items of each job")
    parser.add_argument("--workers", type=int, default=WORKERS, help="at once")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        repo = common.make_repository(folder / "repo", env, {"a.txt": "a\n"})
        common.run([*PRODIGY, "install"], repo, env)
        numbers = count()
        spent: dict[str, list[float]] = {}
        variants = {
            name: working(name, commands, repo, env, arguments.items, numbers, spent)
            for name, commands in (
                ("one command", [["--parallel", str(arguments.workers)]]),
                ("separate commands", [["--next"]] * arguments.workers),
            )
        }
        median = common.medians(common.interleave(variants, arguments.rounds, warm_up=1))
        processor = common.medians({name: times[1:] for name, times in spent.items()})
        common.heading(
            folder,
            f"{arguments.items} items, {arguments.workers} workers, a command that does nothing; "
            f"medians of {arguments.rounds} rounds",
        )
        common.print_table(
            ["workers", "s", "s of processors"],
            [[name, f"{median[name]:.2f}", f"{processor[name]:.2f}"] for name in variants],
        )
        print()
        one, several = variants
        for what, found in (("time", median), ("processor time", processor)):
            ratio = found[one] / found[several]
            common.aim(f"{what} of one command is", ratio, AIM, "times that of separate ones")
    return 0


def working(
    name: str, commands: list[list[str]], repo: Path, env: Mapping[str, str], items: int,
    numbers: "count[int]", spent: dict[str, list[float]],
) -> Callable[[], float]:  # fmt: skip
    """Return what works off a new job by commands that run at once."""

    def run() -> float:
        job = f"job-{next(numbers)}"
        source = repo.parent / "items"
        source.write_text("".join(json.dumps({"id": f"i{n}"}) + "\n" for n in range(items)))
        common.run([*PRODIGY, "job", "start", job, "--items", str(source)], repo, env)
        before, begin = os.times(), time.perf_counter()
        children = [
            subprocess.Popen(
                [*PRODIGY, "run", "--job", job, *how, "--", "true"], cwd=repo, env=dict(env),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for how in commands
        ]  # fmt: skip
        statuses = [child.wait() for child in children]
        taken, after = time.perf_counter() - begin, os.times()
        assert not any(statuses), statuses
        used = after.children_user + after.children_system
        spent.setdefault(name, []).append(used - before.children_user - before.children_system)
        return taken

    return run


if __name__ == "__main__":
    sys.exit(main())
