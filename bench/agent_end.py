"""How long does an agent program wait for our hook when its session ends, and is the session ended?"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench import common
from prodigy_git import agent_command

AIM = 60.0
PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")
COMMITS = 3


def call(event: str, cwd: Path, env: Mapping[str, str], name: str, **fields: object) -> float:
    """Call the hook as a program does; return how many milliseconds until its output is closed."""
    said = {"session_id": name, "cwd": str(cwd), "hook_event_name": event, **fields}
    command = ["/bin/sh", "-c", agent_command.text("claude", event, "user")]
    begin = time.perf_counter_ns()
    done = subprocess.run(
        command, cwd=cwd, env=env, input=json.dumps(said).encode(), capture_output=True, check=False
    )
    taken = (time.perf_counter_ns() - begin) / 1e6
    if done.returncode or done.stdout or done.stderr:
        raise SystemExit(f"{event}: exit {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
    return taken


def plain(cwd: Path, env: Mapping[str, str]) -> float:
    """Return how many milliseconds the interpreter takes that the hook starts, with nothing to do."""
    begin = time.perf_counter_ns()
    command = [sys.executable, "-I", "-S", "-c", "pass"]
    subprocess.run(command, cwd=cwd, env=env, capture_output=True, check=True)
    return (time.perf_counter_ns() - begin) / 1e6


def one_end(repo: Path, folder: Path, env: Mapping[str, str], number: list[int]) -> float:
    """Have a program begin, work and end in a worktree of its own; return what the end took."""
    number[0] += 1
    name = f"c{number[0]}"
    top = folder / f"worktree-{name}"
    common.run(["git", "worktree", "add", "-q", str(top)], repo, env)
    call("SessionStart", top, env, name, source="startup")
    for n in range(COMMITS):
        call("PostToolUse", top, env, name, tool_name="Edit", tool_use_id=f"t{n}")
        common.run(["git", "commit", "-q", "--allow-empty", "-m", f"work {n}"], top, env)
    taken = call("SessionEnd", top, env, name, reason="other")
    ended = Path(env["PRODIGY_HOME"]) / "agents" / "ended"
    while os.listdir(ended):
        time.sleep(0.01)  # what the next round takes is its own
    return taken


def main() -> int:
    """Run the benchmark and print its table."""
    arguments = common.options(__doc__, rounds=20, makes="a repository").parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        repo = common.make_repository(folder / "repository", env, {"file": "text\n"})
        common.run([PROGRAM, "install"], repo, env)
        number = [0]
        variants = {
            "python -I -S -c pass": functools.partial(plain, repo, env),
            "SessionEnd": functools.partial(one_end, repo, folder, env, number),
        }
        times = common.interleave(variants, arguments.rounds)
        common.heading(folder, f"A session's end, {arguments.rounds} interleaved rounds")
        rows = [
            [name, f"{common.medians(times)[name]:.1f}", f"{max(taken):.1f}"]
            for name, taken in times.items()
        ]
        common.print_table(["what is waited for", "ms", "longest"], rows)
        print()
        common.aim("until the program goes on", common.medians(times)["SessionEnd"], AIM, "ms")
        files = (folder / "store" / "sessions").glob("*.json")
        found = [json.loads(path.read_text()) for path in files]
        made = [one for one in found if one["metadata"]["git_dir"] != "."]
        ends = {(one["status"], one["metadata"].get("commits")) for one in made}
        if ends != {("Completed", COMMITS)} or len(made) != number[0]:
            print(f"not the real thing: {len(made)} sessions, {ends}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
