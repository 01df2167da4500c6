"""How fast is a log of 1,000,000 events (350 MB) read? Beside jq, and in how much memory."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import common
from prodigy_git.record import clock, jsonline

JQ = "jq, AgentFailed alone"
LISTED = "events ls --type AgentFailed --json"
READ = "all events read, nothing done"
REPLAY = "full replay, into a job's state"
AIMS = {LISTED: 0.25, REPLAY: 0.6}
FLAT = 1.5  # a listing keeps the first thousands of the events that it looks for

SELECT = ["jq", "-c", 'select(.type=="AgentFailed")']
LS = [
    sys.executable, "-m", "prodigy_git", "events", "ls", "--all-repos", "--type", "AgentFailed",
    "--json",
]  # fmt: skip
LIBRARY = [sys.executable, "-c"]
WRITING = """\
import sys
from pathlib import Path
from bench import read_events
print(read_events.write_log(Path(sys.argv[1]), int(sys.argv[2])))
"""
READING = """\
import sys
from prodigy_git.store import events
print(sum(1 for _ in events.read_job(*sys.argv[1:], sys.exit)))
"""
REPLAYING = """\
import sys
from prodigy_git.jobs import replay
print(sum(replay.whole(*sys.argv[1:], sys.exit).job.counts.values()))
"""

EVENTS = 1_000_000
LINE = 350  # bytes
ITEMS = 5000
# A job's agents: what each kind is of a hundred events.
MIX = {
    "AgentStarted": 20, "AgentCompleted": 19, "AgentFailed": 1, "WorkItemProcessed": 20,
    "ClaudeMessage": 30, "CommitCreated": 10,
}  # fmt: skip
BEGIN = 1_736_553_600 * clock.SECOND  # 2025-01-11
STEP = clock.SECOND // 100


def write_log(path: Path, count: int) -> int:
    """Write a log of ``count`` events in the recorder's form; return how many are AgentFailed."""
    draw = random.Random(20250111)
    kinds = draw.choices(list(MIX), list(MIX.values()), k=count)
    path.parent.mkdir(parents=True, mode=0o700)
    with path.open("w", encoding="ascii") as log:
        for number, kind in enumerate(kinds):
            agent = f"agent-{number % ITEMS}"
            event = {
                "id": f"{number:08x}-0000-5000-8000-{number:012x}",
                "timestamp": clock.stamp(BEGIN + number * STEP),
                "type": kind, "event_type": kind, "correlation_id": agent, "job_id": path.parent.name,
                "session_id": agent, "agent_id": agent, "item_id": f"item-{number % ITEMS}",
            }  # fmt: skip
            if kind == "AgentFailed":
                event |= {"error": "Command failed", "failure_reason": "CommandFailed"}
            elif kind == "WorkItemProcessed":
                event["status"] = "completed" if draw.random() < 0.95 else "failed"
            event["content"] = ""
            event["content"] = "x" * max(0, LINE - 1 - len(jsonline.encode(event)))
            log.write(jsonline.encode(event) + "\n")
    return kinds.count("AgentFailed")


def written(path: Path, count: int, env: Mapping[str, str]) -> int:
    """Write a log as `write_log` does, in a process of its own.

    What this one has needed would count as its children's most memory, too.
    """
    return int(common.run([*LIBRARY, WRITING, str(path), str(count)], Path(), env))


def timed(command: Sequence[str], env: Mapping[str, str], out: Path) -> tuple[float, float]:
    """Run a command with its output in a file; return seconds, and its most memory in MB."""
    begin = time.perf_counter_ns()
    with out.open("wb") as stream:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, env=env)
        # As wait, but with what this child alone has used.
        _, status, used = os.wait4(child.pid, 0)
    taken = (time.perf_counter_ns() - begin) / 1e9
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command[:4])}: exit {child.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return taken, used.ru_maxrss / unit


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=5, makes="logs")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the log (default: 1)")
    arguments = parser.parse_args()
    if not 0 < arguments.scale <= 1:
        parser.error("--scale is more than 0 and at most 1")
    count = round(EVENTS * arguments.scale)

    with common.sealed(arguments.folder) as (folder, env):
        sizes = {"small": max(1, count // 10), "large": count}
        logs, failed, commands, envs = {}, {}, {}, {}
        for name, events in sizes.items():
            store = folder / name
            envs[name] = env | {"PRODIGY_HOME": str(store)}
            logs[name] = store / "events" / "repo" / "job" / "events-20250111.jsonl"
            failed[name] = written(logs[name], events, env)
            where = [str(store), "repo", "job"]
            commands[name] = {
                LISTED: LS,
                READ: [*LIBRARY, READING, *where],
                REPLAY: [*LIBRARY, REPLAYING, *where],
            }
            if shutil.which("jq"):
                commands[name][JQ] = [*SELECT, str(logs[name])]
        size = logs["large"].stat().st_size
        os.sync()

        wrong = ""
        memory: dict[str, dict[str, float]] = {"small": {}, "large": {}}

        def run(size: str, name: str) -> float:
            nonlocal wrong
            out = folder / "out"
            taken, most = timed(commands[size][name], envs[size], out)
            memory[size][name] = max(most, memory[size].get(name, 0))
            text = out.read_bytes()
            if name in (READ, REPLAY):
                found, expected = int(text), sizes[size]
            else:
                found, expected = text.count(b"\n"), failed[size]
            if found != expected:
                wrong = f"{name}: {expected} events written, {found} found"
            return taken

        def variant(name: str) -> Callable[[], float]:
            return lambda: run("large", name)

        for name in commands["small"]:
            run("small", name)
        variants = {name: variant(name) for name in commands["large"]}
        median = common.medians(common.interleave(variants, arguments.rounds, warm_up=1))

        common.heading(
            folder,
            f"Reading a job's log, medians of {arguments.rounds} interleaved rounds",
            f"{count:,} events, {size:,} bytes; {failed['large']:,} of them AgentFailed",
        )
        jq = median.get(JQ)
        common.print_table(
            ["variant", "s", "x jq", "MB of memory", f"MB for {sizes['small']:,} events"],
            [
                [
                    name,
                    f"{seconds:.2f}",
                    "" if jq is None else f"{seconds / jq:.2f}",
                    f"{memory['large'][name]:.0f}",
                    f"{memory['small'][name]:.0f}",
                ]
                for name, seconds in median.items()
            ],
        )
        print()
    for name, limit in AIMS.items():
        if jq is not None:
            common.aim(f"{name} takes", median[name] / jq, limit, "times what jq takes")
        grown = memory["large"][name] / memory["small"][name]
        common.aim(f"{name} needs", grown, FLAT, "times the memory that a tenth of the log needs")
    if jq is None:
        print("jq is not installed (Debian and Ubuntu: apt-get install jq): no ratios to its time.")
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
