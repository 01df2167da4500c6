"""What does it take to remove many worktrees, until the prompt is back? Ours, and git's own."""

import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY
from bench.evidence import FILES, repository

GIT = "git worktree remove, one after the other"
OURS = "prodigy-git worktree clean, all at once"

AIMS = {30: 0.2, 100: 0.15}
"""How many worktrees, and what of git's time their removal may take."""

# Through the library, which spares two processes for each.
MAKE = """\
import os, sys
from prodigy_git.lifecycle.finish import finish
from prodigy_git.lifecycle.new_worktree import new_worktree
for number in range(int(sys.argv[2])):
    made = new_worktree(os.getcwd(), name=f"{sys.argv[1]}-{number}", broken=sys.exit)
    finish(os.environ["PRODIGY_HOME"], made.session_id, broken=sys.exit)
    print(made.worktree)
"""


def remove_with_git(paths: list[Path], repo: Path, env: Mapping[str, str]) -> float:
    """Remove the worktrees as a script would; return the milliseconds."""
    return sum(common.milliseconds(["git", "worktree", "remove", str(p)], repo, env) for p in paths)


def remove_with_ours(paths: list[Path], repo: Path, env: Mapping[str, str]) -> float:
    """Remove the worktrees with one command; return the milliseconds."""
    command = [*PRODIGY, "worktree", "clean", *(path.name for path in paths)]
    return common.milliseconds(command, repo, env)


def measured(
    remove: Callable[[list[Path], Path, Mapping[str, str]], float],
    count: int,
    name: str,
    repo: Path,
    env: Mapping[str, str],
) -> float:
    """Make finished worktrees, remove them, and end the benchmark if one is still there.

    Sessions are called after ``name``, which is never used again.
    """
    out = common.run([sys.executable, "-c", MAKE, name, str(count)], repo, env)
    paths = [Path(line) for line in out.splitlines()]
    taken = remove(paths, repo, env)
    left = [path for path in paths if path.exists()]
    if left or common.run(["git", "worktree", "list"], repo, env).count("\n") != 1:
        raise SystemExit(f"not removed: {left}")
    return taken


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=3, makes="repositories")
    arguments = parser.parse_args()

    with common.sealed(arguments.folder) as (folder, env):
        repo = repository(folder / "repo", env)
        print(
            f"Removing finished worktrees of {FILES:,} files, medians of {arguments.rounds} rounds"
        )
        print(common.machine(folder))
        print()
        rows, found = [], {}
        for count in AIMS:
            times: dict[str, list[float]] = {GIT: [], OURS: []}
            for number in range(arguments.rounds):
                for way, remove in ((GIT, remove_with_git), (OURS, remove_with_ours)):
                    name = f"{way[0]}{count}-{number}"
                    times[way].append(measured(remove, count, name, repo, env))
                shutil.rmtree(Path(env["PRODIGY_HOME"]) / "trash", ignore_errors=True)
            pairs = zip(times[OURS], times[GIT], strict=True)
            found[count] = statistics.median(ours / gits for ours, gits in pairs)
            for name, ms in common.medians(times).items():
                of_git = "1.00" if name == GIT else f"{found[count]:.2f}"
                rows.append([str(count), name, f"{ms:.0f}", f"{ms / count:.1f}", of_git])
        common.print_table(["worktrees", "", "ms", "ms each", "x git's"], rows)
        print()
    for count, limit in AIMS.items():
        common.aim(f"removing {count} takes", found[count], limit, "times what git takes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
