"""What does it cost to foresee what 50 branches would do to each other?"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common

BRANCHES, FILES = 50, 3000
AIM = 3.0  # seconds
PRODIGY = [sys.executable, "-m", "prodigy_git"]


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=5, makes="repository")
    parser.add_argument("--branches", type=int, default=BRANCHES, help="results to compare")
    parser.add_argument("--files", type=int, default=FILES, help="files of the repository")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        found = {}
        for shape, shared in (("mostly apart", False), ("every pair meets", True)):
            repo = folder / shape.replace(" ", "-")
            make(repo, env, arguments.branches, arguments.files, shared=shared)
            names = common.run(
                ["git", "for-each-ref", "--format=%(refname:short)", "refs/heads/w*"], repo, env
            ).split()
            known = f"state/{repo.name}/known-merges.json"
            variants = {
                f"conflicts, {shape}, the first time": conflicts(repo, env, names, known),
                f"conflicts, {shape}, again": conflicts(repo, env, names, None),
                f"git merge-tree of each with main, {shape}": loop(repo, env, names),
            }
            found |= common.medians(common.interleave(variants, arguments.rounds, warm_up=1))
        common.heading(
            folder,
            f"{arguments.branches} branches, {arguments.files} files; "
            f"medians of {arguments.rounds} rounds",
        )
        common.print_table(
            ["what", "s"], [[name, f"{taken / 1000:.2f}"] for name, taken in found.items()]
        )
        print()
        worst = max(taken for name, taken in found.items() if name.endswith("the first time"))
        common.aim("the first time takes", worst / 1000, AIM, "seconds")
    return 0


def make(
    folder: Path, env: Mapping[str, str], branches: int, files: int, *, shared: bool
) -> None:  # fmt: skip
    """Make a repository of branches that change a file of their own each, and one that all change.

    Half of them change a line of their own there, the others the same one. Without ``shared`` ten
    branches do so.
    """
    lines = [f"{number}\n" for number in range(branches * 5)]
    contents = {f"f{number}": f"{number}\n" for number in range(files - 1)}
    repo = common.make_repository(folder, env, {**contents, "shared": "".join(lines)})
    common.run([*PRODIGY, "install"], repo, env)
    for number in range(branches):
        made = common.run(
            [*PRODIGY, "new-worktree", f"w{number}", "--branch", f"w{number}"], repo, env
        )
        top = Path(made.splitlines()[-1])
        (top / f"f{number}").write_text("changed\n")
        if shared or number < 10:
            at = number * 5 if number % 2 else 0  # every second one changes the first line
            changed = [*lines[:at], f"by {number}\n", *lines[at + 1 :]]
            (top / "shared").write_text("".join(changed))
        common.run(["git", "commit", "-qam", f"Work {number}"], top, env)
        common.run([*PRODIGY, "finish"], top, env)


def conflicts(
    repo: Path, env: Mapping[str, str], names: list[str], forget: str | None
) -> Callable[[], float]:
    """Return what asks for all of them; ``forget`` is the file of merges that are known, if any."""

    def run() -> float:
        if forget is not None:
            (Path(env["PRODIGY_HOME"]) / forget).unlink(missing_ok=True)
        return common.milliseconds([*PRODIGY, "conflicts", *names], repo, env)

    return run


def loop(repo: Path, env: Mapping[str, str], names: list[str]) -> Callable[[], float]:
    """Return what merges each branch into main by a git of its own; pairs are not looked at."""
    script = "; ".join(f"git merge-tree --write-tree main {name} >/dev/null" for name in names)

    def run() -> float:
        return common.milliseconds(["sh", "-c", f"{script}; true"], repo, env)

    return run


if __name__ == "__main__":
    sys.exit(main())
