"""How long does a new worktree with 100,000 ignored files take? Over cp, which only copies them."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY
from bench.common import Environment

CP = "cp -a --reflink=auto"
OURS = "prodigy-git new-worktree"
PLAIN = "prodigy-git new-worktree, nothing to copy"

AIM = 1.3
FILES = 100_000


def fill(top: Path, count: int) -> None:
    """Make packages as package managers lay them out: some folders each, small files, links to some."""
    chance = random.Random(20250111)
    made = number = 0
    (top / ".bin").mkdir(parents=True)
    while made < count:
        package = top / f"package-{number}"
        for folder in ("", "lib", "dist", "dist/esm", "src")[: chance.randint(1, 5)]:
            (package / folder).mkdir(parents=True, exist_ok=True)
            for name in range(chance.randint(2, 14)):
                size = int(min(200_000, chance.lognormvariate(7.2, 1.5)))
                (package / folder / f"{name}.js").write_bytes(b"x" * size)
                made += 1
        if number % 10 == 0:
            (top / ".bin" / f"tool-{number}").symlink_to(f"../{package.name}/0.js")
        number += 1


def differs(one: Path, other: Path) -> str:
    """Return the first line that diff(1) finds, links compared as links; nothing where all is equal."""
    done = subprocess.run(
        ["diff", "-r", "--brief", "--no-dereference", one, other],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.partition("\n")[0]


class Bench:
    """A repository with many ignored files, and the three ways that are timed."""

    def __init__(self, folder: Path, env: Environment, files: int) -> None:
        """Make it."""
        self.folder, self.env, self.wrong = folder, env, ""
        self.repo = common.make_repository(folder / "repo", env, {".gitignore": "node_modules/\n"})
        fill(self.repo / "node_modules", files)
        self.plain = common.make_repository(
            folder / "plain", env, {".gitignore": "node_modules/\n"}
        )
        (self.repo / ".worktreeinclude").write_text("node_modules/\n")

    def cp(self) -> float:
        """Time cp into a folder that is there."""
        target = self.folder / "copied"
        target.mkdir()
        command = ["cp", "-a", "--reflink=auto", str(self.repo / "node_modules"), str(target)]
        os.sync()  # nobody pays for what the one before has left to be written
        taken = common.milliseconds(command, self.folder, self.env)
        shutil.rmtree(target)
        return taken

    def new_worktree(self, repo: Path) -> float:
        """Time the whole command, and look at what it has copied."""
        os.sync()
        taken = common.milliseconds([*PRODIGY, "new-worktree"], repo, self.env)
        for path in (self.folder / "store" / "worktrees").glob(f"{repo.name}/*"):
            if repo == self.repo and not self.wrong:
                self.wrong = differs(repo / "node_modules", path / "node_modules")
            shutil.rmtree(path)
        common.run(["git", "worktree", "prune"], repo, self.env)
        return taken


def main() -> int:
    """Time the ways in turn, and print the table."""
    parser = common.options(__doc__, rounds=5, makes="files")
    parser.add_argument("--files", type=int, default=FILES, help=f"(default: {FILES})")
    asked = parser.parse_args()
    with common.sealed(asked.folder) as (folder, env):
        bench = Bench(folder, env, asked.files)
        times = common.interleave(
            {
                CP: bench.cp,
                OURS: lambda: bench.new_worktree(bench.repo),
                PLAIN: lambda: bench.new_worktree(bench.plain),
            },
            asked.rounds,
            warm_up=1,
        )
        found = common.medians(times)
        common.heading(
            folder,
            f"A new worktree with {asked.files} ignored files, medians of {asked.rounds} rounds",
        )
        rows = [[name, f"{ms:.0f}", f"{ms / found[CP]:.2f}"] for name, ms in found.items()]
        common.print_table(("what", "ms", "x cp"), rows)
        print()
        common.aim("a worktree with its files takes", found[OURS] / found[CP], AIM, "times cp")
        return common.worthless(bench.wrong)


if __name__ == "__main__":
    sys.exit(main())
