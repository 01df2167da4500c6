"""How fast are 1,000,000 events (350 MB) counted, searched, exported? Beside DuckDB and jq."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bench import common
from bench.read_events import EVENTS, LS, SELECT, timed, written

PROGRAM = [sys.executable, "-m", "prodigy_git", "events"]
DUCKDB = "DuckDB, group by type"
STATS = "events stats --by type"
JQ = "jq, AgentFailed alone"
LISTED = "events ls --type AgentFailed --json"
SEARCH = "events search, a word"
REGEX = "events search, any regex"
CSV = "events export --format csv"
QUERY = "events query, group by type"
LIMITS = {STATS: (DUCKDB, 1.5), LISTED: (JQ, 0.25)}
FLAT = 1.5
COUNTING = """\
import duckdb, sys
for row in duckdb.execute(
    "select type, count(*) from read_json_auto(?) group by type", [sys.argv[1]]
).fetchall():
    print(*row, sep="\\t")
"""
COMMANDS = {
    STATS: [*PROGRAM, "stats", "--by", "type", "--all-repos"],
    LISTED: LS,
    SEARCH: [*PROGRAM, "search", "nowhere", "--all-repos"],
    REGEX: [*PROGRAM, "search", "no(where|thing)", "--all-repos"],
    CSV: [*PROGRAM, "export", "--format", "csv", "--all-repos"],
    QUERY: [*PROGRAM, "query", "select type, count(*) from events group by 1", "--all-repos"],
}
ONCE = (REGEX, CSV, QUERY)
"""What takes long and has no aim is run once."""


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=5, makes="logs")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the log (default: 1)")
    arguments = parser.parse_args()
    if not 0 < arguments.scale <= 1:
        parser.error("--scale is more than 0 and at most 1")
    count = round(EVENTS * arguments.scale)
    sizes = {"small": max(1, count // 10), "large": count}

    with common.sealed(arguments.folder) as (folder, env):
        logs, failed, envs = {}, {}, {}
        for size, events in sizes.items():
            envs[size] = env | {"PRODIGY_HOME": str(folder / size)}
            logs[size] = folder / size / "events" / "repo" / "job" / "events-20250111.jsonl"
            failed[size] = written(logs[size], events, env)
        os.sync()
        commands = {size: _commands(logs[size]) for size in sizes}
        memory: dict[str, dict[str, float]] = {size: {} for size in sizes}
        wrong = ""

        def run(size: str, name: str) -> float:
            nonlocal wrong
            out = folder / "out"
            taken, most = timed(commands[size][name], envs[size], out)
            memory[size][name] = max(most, memory[size].get(name, 0))
            with out.open() as lines:
                found, expected = _counted(name, lines, sizes[size], failed[size])
            if found != expected:
                wrong = f"{name}: {expected} events there, {found} found"
            return taken

        def variant(name: str) -> Callable[[], float]:
            return lambda: run("large", name)

        for name in commands["small"]:
            run("small", name)
        variants = {name: variant(name) for name in commands["large"] if name not in ONCE}
        median = common.medians(common.interleave(variants, arguments.rounds, warm_up=1))
        median |= {name: run("large", name) for name in ONCE if name in commands["large"]}

        common.heading(
            folder,
            f"A log of {count:,} events, {logs['large'].stat().st_size:,} bytes",
            f"Medians of {arguments.rounds} interleaved rounds; the last {len(ONCE)} run once",
        )
        common.print_table(
            ["variant", "s", "MB of memory", f"MB for {sizes['small']:,} events"],
            [
                [name, f"{taken:.2f}", f"{memory['large'][name]:.0f}",
                 f"{memory['small'][name]:.0f}"]
                for name, taken in median.items()
            ],
        )  # fmt: skip
        print()
    for name, (other, limit) in LIMITS.items():
        if other in median:
            common.aim(f"{name} takes", median[name] / median[other], limit, f"x {other}")
        else:
            print(f"{other} is not installed: no ratio to its time.")
    for name in (STATS, SEARCH, REGEX, CSV):  # of a listing 'read_events' says so
        grown = memory["large"][name] / memory["small"][name]
        common.aim(f"{name} needs", grown, FLAT, "times the memory that a tenth of the log needs")
    return common.worthless(wrong)


def _commands(log: Path) -> dict[str, list[str]]:
    found = dict(COMMANDS)
    if importlib.util.find_spec("duckdb") is None:
        del found[QUERY]
    else:
        found[DUCKDB] = [sys.executable, "-c", COUNTING, str(log)]
    if shutil.which("jq"):
        found[JQ] = [*SELECT, str(log)]
    return found


def _counted(name: str, lines: Iterable[str], events: int, failed: int) -> tuple[int, int]:
    """Return how many events an output tells of, and of how many it should."""
    if name in (STATS, DUCKDB, QUERY):
        return sum(int(line.split("\t")[1]) for line in lines), events
    found = sum(1 for _ in lines)
    if name in (LISTED, JQ):
        return found, failed
    return (found - 1, events) if name == CSV else (found, 0)


if __name__ == "__main__":
    sys.exit(main())
