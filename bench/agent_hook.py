"""How long does an agent wait for our hook: at a tool, in a folder that is not ours, many at once?"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench import common
from prodigy_git import agent_command, hookfiles

PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")
AGENTS, EACH = 16, 200
LIMIT = 200.0
HOOK = (
    "import sys;sys.path.insert(0,sys.argv[1]);"
    "from prodigy_git.record.agent_hook import main;main('claude','PostToolUse')"
)
# What the script starts, and no shell.
PYTHON = [sys.executable, "-I", "-S"]
WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from prodigy_git.record import files, locks
from prodigy_git.record.conversations import activity
from prodigy_git.record.conversations.normal_form import Heard
hold, waits = locks.hold, []
def timed(descriptor, patience):
    begin = time.perf_counter()
    try:
        return hold(descriptor, patience)
    finally:
        waits.append(1000 * (time.perf_counter() - begin))
locks.hold = timed
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    heard = Heard("claude", "tool", "PostToolUse")
    heard.program_session, heard.tool_id, heard.tool = sys.argv[3], f"t{number}", "Bash"
    activity.append(sys.argv[2], "repository", "many", heard)
print(*waits)
"""


def prepare(folder: Path, env: Mapping[str, str]) -> tuple[Path, Path, bytes]:
    """Make a worktree in which a program has begun, a repository not ours, and a tool's event."""
    repo = common.make_repository(folder / "repository", env, {"file": "text\n"})
    other = common.make_repository(folder / "other", env, {"file": "text\n"})
    common.run([PROGRAM, "install"], repo, env)
    worktree = Path(common.run([PROGRAM, "new-worktree", "wt"], repo, env).splitlines()[0])
    said = {"session_id": "s1", "transcript_path": "/t.jsonl", "cwd": str(worktree)}
    begun = json.dumps({**said, "hook_event_name": "SessionStart", "source": "startup"}).encode()
    call("SessionStart", worktree, env, begun)
    tool = {
        "hook_event_name": "PostToolUse", "tool_name": "Edit", "tool_use_id": "t1",
        "tool_input": {"file_path": f"{worktree}/file", "new_string": "x" * 2000},
        "tool_response": {"filePath": f"{worktree}/file", "originalFile": "x" * 4000},
    }  # fmt: skip
    return worktree, other, json.dumps({**said, **tool}).encode()


def call(event: str, cwd: Path, env: Mapping[str, str], given: bytes) -> float:
    """Call the hook as a program does, with the command in a user's settings."""
    command = ["/bin/sh", "-c", agent_command.text("claude", event, "user")]
    return timed(command, cwd, env, given)


def timed(command: list[str], cwd: Path, env: Mapping[str, str], given: bytes) -> float:
    """Return how many milliseconds a command takes, with ``given`` on its standard input."""
    begin = time.perf_counter_ns()
    done = subprocess.run(command, cwd=cwd, env=env, input=given, capture_output=True, check=False)
    taken = (time.perf_counter_ns() - begin) / 1e6
    if done.returncode or done.stdout or done.stderr:
        raise SystemExit(f"{command[-1]}: exit {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
    return taken


def at_once(folder: Path) -> tuple[list[float], str]:
    """Have many write at once; return how long each waited for the lock, and what is wrong with it."""
    command = [*PYTHON, "-c", WRITER, hookfiles.package_folder(), str(folder)]
    writers = [
        subprocess.Popen(
            [*command, f"s{n}", str(EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for n in range(AGENTS)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    waits = [
        float(word)
        for writer in writers
        if writer.stdout is not None
        for word in writer.stdout.read().split()
    ]
    lines = (folder / "activity" / "repository" / "many.jsonl").read_bytes().splitlines()
    orders: dict[str, list[str]] = {}
    for line in map(json.loads, lines):
        orders.setdefault(line["program_session"], []).append(line["tool_id"])
    expected = {f"s{n}": [f"t{number}" for number in range(EACH)] for n in range(AGENTS)}
    return waits, "" if orders == expected else "lines are missing, or out of order"


def main() -> int:
    """Run the benchmark and print its tables."""
    arguments = common.options(__doc__, rounds=60, makes="repositories").parse_args()
    with common.sealed(arguments.folder) as (folder, env):
        worktree, other, tool = prepare(folder, env)
        path = Path(env["PRODIGY_HOME"]) / "activity" / "repository" / "wt.jsonl"
        before = len(path.read_bytes().splitlines())
        project = agent_command.text("claude", "PostToolUse", "project")
        commands: dict[str, tuple[list[str], Path]] = {
            "python -I -S -c pass": ([*PYTHON, "-c", "pass"], worktree),
            "the hook for a tool": ([*PYTHON, "-c", HOOK, hookfiles.package_folder()], worktree),
            "sh, empty": (["/bin/sh", "-c", ":"], worktree),
        }
        variants = {
            name: functools.partial(timed, command, cwd, env, tool)
            for name, (command, cwd) in commands.items()
        }
        variants["a user's command for a tool"] = functools.partial(
            call, "PostToolUse", worktree, env, tool
        )
        variants["a project's command for a tool"] = functools.partial(
            timed, ["/bin/sh", "-c", project], worktree, env, tool
        )
        variants["a user's command, not ours"] = functools.partial(
            call, "PostToolUse", other, env, tool
        )
        times = common.interleave(variants, arguments.rounds)
        median = common.medians(times)
        python, shell = median["python -I -S -c pass"], median["sh, empty"]
        common.heading(folder, f"Agents' hooks, medians of {arguments.rounds} interleaved rounds")
        rows = [
            [name, f"{ms:.1f}", f"{ms / python:.2f}", f"{ms - shell:.1f}"]
            for name, ms in median.items()
        ]
        common.print_table(["process", "ms", "x python", "ms over sh"], rows)
        print()
        common.aim(
            "the hook for a tool, over python,", median["the hook for a tool"] / python, 2, "x"
        )
        whole = median["a user's command for a tool"]
        common.aim("the same with both shells", whole / python, 2, "x")
        common.aim(
            "not ours, over an empty sh,", median["a user's command, not ours"] - shell, 2, "ms"
        )
        calls = 3 * (arguments.rounds + 5)
        added = len(path.read_bytes().splitlines()) - before
        trouble = "" if added == calls else f"{calls} calls made {added} lines"
        waits, torn = at_once(folder)
        print(f"\n{AGENTS} agents with {EACH} events each, all at once\n")
        slow = sum(wait > LIMIT for wait in waits)
        rows = [[f"{len(waits):,}", f"{sum(waits) / len(waits):.2f}", f"{max(waits):.1f}"]]
        common.print_table(["waits for the lock", "mean ms", "longest ms"], rows)
        print()
        common.aim(f"waits over {LIMIT:g} ms", slow, 0, "of them")
        return common.worthless(trouble or torn)


if __name__ == "__main__":
    sys.exit(main())
