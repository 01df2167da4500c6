"""What does it take to remove 50 worktrees, until the prompt is back? Ours, and git's own."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY
from bench.evidence import FILES, repository

GIT = "git worktree remove, one after the other"
OURS = "prodigy-git worktree clean, all at once"

AIM = 0.1
WORKTREES = 50


def names(round_: int) -> list[str]:
    """Return the worktrees' names; a session's is never used again."""
    return [f"w{round_}-{number}" for number in range(WORKTREES)]


def remove_with_git(paths: list[Path], repo: Path, env: Mapping[str, str]) -> float:
    """Remove the worktrees as a script would; return the milliseconds."""
    return sum(common.milliseconds(["git", "worktree", "remove", str(p)], repo, env) for p in paths)


def remove_with_ours(paths: list[Path], repo: Path, env: Mapping[str, str]) -> float:
    """Remove the worktrees with one command; return the milliseconds."""
    # Forced, since the sessions have not been finished; the evidence is gathered all the same.
    command = [*PRODIGY, "worktree", "clean", "-f", *(path.name for path in paths)]
    return common.milliseconds(command, repo, env)


def measured(
    remove: Callable[[list[Path], Path, Mapping[str, str]], float],
    number: int,
    repo: Path,
    env: Mapping[str, str],
) -> float:
    """Make the worktrees, remove them, and end the benchmark if one is still there."""
    paths = []
    for name in names(number):
        out = common.run([*PRODIGY, "new-worktree", name], repo, env)
        paths.append(Path(out.splitlines()[0]))
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
        begin = time.monotonic()
        times: dict[str, list[float]] = {GIT: [], OURS: []}
        for number in range(arguments.rounds):
            times[GIT].append(measured(remove_with_git, 2 * number, repo, env))
            times[OURS].append(measured(remove_with_ours, 2 * number + 1, repo, env))
            shutil.rmtree(Path(env["PRODIGY_HOME"]) / "trash", ignore_errors=True)
        median = common.medians(times)
        common.heading(
            folder,
            f"Removing {WORKTREES} worktrees of {FILES} files, medians of {arguments.rounds} rounds "
            f"({time.monotonic() - begin:.0f} s)",
        )
        common.print_table(
            ["", "ms", "ms each", "x git's"],
            [
                [name, f"{ms:.0f}", f"{ms / WORKTREES:.1f}", f"{ms / median[GIT]:.2f}"]
                for name, ms in median.items()
            ],
        )
        print()
    common.aim("removing them takes", median[OURS] / median[GIT], AIM, "times what git takes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
