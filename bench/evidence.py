"""What does the account of 200 worktrees cost, over `git status` on each? And `worktree ls` of them?"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY

STATUS = "git status on each, all cores busy"
OURS = "the evidence"
WHOLE = "worktree clean --all --dry-run, process and all"
LS = "worktree ls"

AIM = 1.3
LS_AIM = 500.0  # ms

FILES = 3000
WORKTREES = 200

# In a process of its own, timed inside: reading the account is what is compared, not starting Python.
GATHER = """\
import json, os, sys, time
from prodigy_git.cleanup import subjects
from prodigy_git.cleanup.account import gathering
wanted = subjects.of_repository(os.environ["PRODIGY_HOME"], os.getcwd(), print)
begin = time.perf_counter_ns()
found = gathering.gather(wanted)
taken = (time.perf_counter_ns() - begin) / 1e6
print(json.dumps([taken, [[e.staged, e.modified, e.untracked, e.unreadable] for e in found]]))
"""


def repository(folder: Path, env: Mapping[str, str]) -> Path:
    """Make the repository: 3,000 files in 200 folders."""
    common.run(["git", "init", "-q", str(folder)], folder.parent, env)
    for number in range(FILES):
        path = folder / f"src/{number % 100:02}" / ("sub" if number % 2 else ".") / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    common.run(["git", "add", "."], folder, env)
    common.run(["git", "commit", "-q", "-m", "Start"], folder, env)
    return folder


def status(paths: Sequence[Path], env: Mapping[str, str]) -> float:
    """Run `git status` in every worktree, as many at once as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    begin = time.perf_counter_ns()
    subprocess.run(
        ["xargs", "-0", "-P", str(cores), "-I", "{}", "git", "-C", "{}", "status"],
        input="\0".join(map(str, paths)).encode(),
        env=env,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter_ns() - begin) / 1e6


def evidence(repo: Path, env: Mapping[str, str]) -> float:
    """Gather the evidence; end the benchmark if it is not what was made."""
    out = common.run([sys.executable, "-c", GATHER], repo, env)
    taken, found = json.loads(out)
    if found != [[0, 0, 1, []]] * WORKTREES:
        raise SystemExit(f"the account is wrong: {found[:3]} …")
    return float(taken)


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=5, makes="repositories")
    arguments = parser.parse_args()

    with common.sealed(arguments.folder) as (folder, env):
        env["PYTHONPATH"] = os.pathsep.join([os.getcwd(), env.get("PYTHONPATH", "")])
        repo = repository(folder / "repo", env)
        paths = []
        for number in range(WORKTREES):
            out = common.run([*PRODIGY, "new-worktree", f"w{number}"], repo, env)
            paths.append(Path(out.splitlines()[0]))
            (paths[-1] / "untracked").write_text("x")
        clean = [*PRODIGY, "worktree", "clean", "--all", "--dry-run"]
        times = common.interleave(
            {
                STATUS: lambda: status(paths, env),
                OURS: lambda: evidence(repo, env),
                WHOLE: lambda: common.milliseconds(clean, repo, env),
                LS: lambda: common.milliseconds([*PRODIGY, "worktree", "ls"], repo, env),
            },
            arguments.rounds,
            warm_up=1,
        )
        median = common.medians(times)
        print(f"{WORKTREES} worktrees of {FILES} files, median of {arguments.rounds} rounds\n")
        rows = [
            [name, f"{median[name]:.0f}", f"{median[name] / median[STATUS]:.2f}"]
            for name in (STATUS, OURS, WHOLE, LS)
        ]
        common.print_table(["", "ms", "x git status"], rows)
        print(f"\n{common.machine(folder)}\n")
        common.aim("the evidence over git status", median[OURS] / median[STATUS], AIM, "x")
        common.aim("worktree ls", median[LS], LS_AIM, "ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
