"""How long does an agent program wait for a worktree that it asks us for, and for its removal?"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common
from bench.evidence import FILES, repository
from prodigy_git import agent_command

PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")
GIT, START, CREATE = "git worktree add", "prodigy-git --version", "WorktreeCreate"
GITS, REMOVE = "git worktree remove", "WorktreeRemove"
TIMES, MOST = 2.5, 1000.0


def ask(event: str, repo: Path, env: Mapping[str, str], **fields: object) -> tuple[float, str]:
    """Call the hook as the program does; return how many milliseconds, and what it answers."""
    said = {"session_id": "bench", "cwd": str(repo), "hook_event_name": event, **fields}
    command = ["/bin/sh", "-c", agent_command.text("claude", event, "user")]
    begin = time.perf_counter_ns()
    done = subprocess.run(
        command,
        cwd=repo,
        env=env,
        input=json.dumps(said).encode(),
        capture_output=True,
        check=False,
    )
    taken = (time.perf_counter_ns() - begin) / 1e6
    if done.returncode or done.stderr:
        raise SystemExit(f"{event}: exit {done.returncode}\n{done.stderr!r}")
    return taken, os.fsdecode(done.stdout.strip())


def timed(repo: Path, folder: Path, env: Mapping[str, str], rounds: int) -> dict[str, list[float]]:
    """Time making and removing a worktree, with git alone and through the hooks."""
    numbers = iter(range(10_000))
    silent = {**env, "PRODIGY_GIT_SILENCE": "1"}
    removed: dict[str, list[float]] = {GITS: [], REMOVE: []}

    def gits() -> float:
        path = str(folder / f"plain-{next(numbers)}")
        add = ["git", "worktree", "add", "-q", "-b", os.path.basename(path), path]
        taken = common.milliseconds(add, repo, silent)
        remove = ["git", "worktree", "remove", "--force", path]
        removed[GITS].append(common.milliseconds(remove, repo, silent))
        return taken

    def ours() -> float:
        taken, path = ask(CREATE, repo, env, name=f"feature/{next(numbers)}")
        if len(os.listdir(path)) != len(os.listdir(repo)):
            raise SystemExit(f"{path} is not whole")
        removed[REMOVE].append(ask(REMOVE, repo, env, worktree_path=path)[0])
        return taken

    variants: dict[str, Callable[[], float]] = {
        GIT: gits, CREATE: ours,
        START: functools.partial(common.milliseconds, [PROGRAM, "--version"], repo, env),
    }  # fmt: skip
    times = common.interleave(variants, rounds, warm_up=2)
    return times | {name: some[-rounds:] for name, some in removed.items()}


def main() -> int:
    """Run the benchmark and print its tables."""
    arguments = common.options(__doc__, rounds=12, makes="repositories").parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        # Or each start would compile the package anew.
        env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        common.heading(folder, f"A program's worktrees, {arguments.rounds} interleaved rounds")
        small = common.make_repository(folder / "small", env, {"file": "text\n"})
        large = repository(folder / "large", env)
        found = {}
        for files, repo in (("1 file", small), (f"{FILES:,} files", large)):
            common.run([PROGRAM, "install"], repo, env)
            times = timed(repo, folder, env, arguments.rounds)
            found[files] = times
            middle = common.medians(times)
            common.print_table(
                [files, "ms", "longest"],
                [[name, f"{middle[name]:.0f}", f"{max(times[name]):.0f}"]
                 for name in (START, GIT, CREATE, GITS, REMOVE)],
            )  # fmt: skip
            print()
    for files, times in found.items():
        middle = common.medians(times)
        limit = TIMES * middle[GIT] + middle[START]
        common.aim(f"{CREATE} of {files}", middle[CREATE], round(limit), "ms, of git's and a start")
        common.aim(f"{CREATE} of {files}", middle[CREATE], MOST, "ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
