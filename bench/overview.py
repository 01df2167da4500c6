"""How long does one look at 200 worktrees take, without and with the question which have changes?"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import PRODIGY
from prodigy_git.record import clock

WORKTREES = 200
FILES = 100
ENDED = 10_000
JOB = "crowd"
PLAIN, CHANGES = "status --no-dirty", "status --dirty"
LOADED = f"status --no-dirty, {ENDED:,} sessions have ended"
AIMS = {PLAIN: 0.5, CHANGES: 2.0}


def make(folder: Path, env: Mapping[str, str], worktrees: int, files: int) -> Path:
    """Make a repository whose main branch has gone on, and worktrees with one commit each."""
    repo = common.make_repository(
        folder / "repo", env, {f"file-{number}": f"{number}\n" * 20 for number in range(files)}
    )
    common.run([*PRODIGY, "install"], repo, env)
    made = make_worktrees(repo, env, worktrees)
    for path in made:
        common.run(["git", "commit", "-q", "--allow-empty", "-m", path.name], path, env)
    silent = {**env, "PRODIGY_GIT_SILENCE": "1"}  # the main worktree is to be nobody's
    for number in range(20):
        common.run(["git", "commit", "-q", "--allow-empty", "-m", f"main {number}"], repo, silent)
    for path in made[::2]:
        (path / "new").write_text("not committed\n")
    return repo


def make_worktrees(repo: Path, env: Mapping[str, str], worktrees: int) -> list[Path]:
    """Make worktrees through the library, which spares a process for each."""
    script = (
        "import os, sys\n"
        "from prodigy_git.lifecycle.new_worktree import new_worktree\n"
        f"for n in range({worktrees}):\n"
        f"    made = new_worktree(os.getcwd(), job={JOB!r}, agent=f'agent-{{n}}',"
        " item=f'item-{n}', broken=sys.exit)\n"
        "    print(made.worktree)\n"
    )
    return [Path(line) for line in common.run([sys.executable, "-c", script], repo, env).split()]


def end_many(store: Path, number: int) -> None:
    """Write the files of sessions that have ended, with the ten checkpoints that a file holds."""
    some = json.loads(next(store.glob("sessions/*.json")).read_text())
    point = {"id": "x", "created_at": some["started_at"], "state": {"commit": "0" * 40}}
    for one in range(number):
        some["id"] = f"session-ended-{one}"
        some["status"], some["completed_at"] = "Completed", some["started_at"]
        some["metadata"] |= {"worktree_path": f"/gone/{one}", "item_id": f"ended-{one}"}
        some["checkpoints"] = [{**point, "id": f"{one}-{n}", "metadata": {}} for n in range(10)]
        (store / "sessions" / f"{some['id']}.json").write_text(json.dumps(some))


def wrong_answers(repo: Path, env: Mapping[str, str], worktrees: int) -> str:
    """Return what is wrong with what is shown, or an empty string."""
    out = common.run([*PRODIGY, "status", "--json", "--dirty"], repo, env)
    (found,) = json.loads(out)["repositories"]
    agents = found["agents"]
    if len(agents) != worktrees or {one["state"] for one in agents} != {"running"}:
        return f"{len(agents)} agents shown, {found['counts']}"
    if any((one["ahead"], one["behind"]) != (1, 20) for one in agents):
        return "branches are not 1 ahead and 20 behind"
    if sum(one["dirty"] for one in agents) != len(range(0, worktrees, 2)):
        return "not the worktrees with changes are shown to have some"
    return ""


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=10, makes="repository")
    parser.add_argument("--worktrees", type=int, default=WORKTREES)
    parser.add_argument("--files", type=int, default=FILES, help="files in each worktree")
    arguments = parser.parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        begun = clock.now()
        repo = make(folder, env, arguments.worktrees, arguments.files)
        wrong = wrong_answers(repo, env, arguments.worktrees)
        full = {**env, "PRODIGY_HOME": str(folder / "full")}
        subprocess.run(["cp", "-a", env["PRODIGY_HOME"], full["PRODIGY_HOME"]], check=True)
        end_many(Path(full["PRODIGY_HOME"]), ENDED)
        stuck = f"{(clock.now() - begun) // clock.SECOND + 3600}s"

        def look(store: Mapping[str, str], *how: str) -> float:
            command = [*PRODIGY, "status", "--stuck-after", stuck, *how]
            return common.milliseconds(command, repo, store)

        times = common.interleave(
            {
                PLAIN: lambda: look(env, "--no-dirty"),
                CHANGES: lambda: look(env, "--dirty"),
                LOADED: lambda: look(full, "--no-dirty"),
                "--version": lambda: common.milliseconds([*PRODIGY, "--version"], repo, env),
            },
            arguments.rounds,
            warm_up=2,
        )
        median = common.medians(times)
        common.heading(
            folder,
            f"{arguments.worktrees} worktrees of {arguments.files} files, one commit each,"
            f" medians of {arguments.rounds} interleaved rounds",
        )
        common.print_table(
            ["command", "ms", "min-max"],
            [
                [name, f"{ms:.0f}", f"{min(times[name]):.0f}-{max(times[name]):.0f}"]
                for name, ms in median.items()
            ],
        )
        print()
    for name, limit in AIMS.items():
        common.aim(f"{name} of {arguments.worktrees} takes", median[name] / 1000, limit, "s")
    return common.worthless(wrong)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
