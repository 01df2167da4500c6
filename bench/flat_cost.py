"""Does a commit cost more in a store that is full? 10,000 sessions, 1 GB of logs, over an empty one."""

import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import common
from bench.commit_latency import COMMIT, PRODIGY, no_hook

BARE = "no hooks"
EMPTY = "prodigy-git, empty store"
FULL = "prodigy-git, full store"

AIM = 1.1

SESSIONS = 10_000
OTHER_JOBS = 200
OLDER_FILES = 10  # of the very job that is measured
LINE = 1000  # bytes; events of this size make a million of them a gigabyte
BLOCK = 1000  # lines
# The recorder begins a new file at 100 MB: today's is the longest there can be, with room for the
# commits that are timed.
TODAY_BLOCKS = 99
OLDER_BLOCKS = 90


def enrol(repo: Path, env: Mapping[str, str]) -> None:
    """Install, and enrol the main worktree in the job ``busy`` by a first commit."""
    common.run(["git", "config", "prodigy.job", "busy"], repo, env)
    common.run([*PRODIGY, "install"], repo, env)
    common.run(COMMIT, repo, env)


def block(line: str, stamp: str, job: str) -> bytes:
    """Return a block of lines of exactly ``LINE`` bytes, made from one that the recorder wrote."""
    event = json.loads(line) | {"timestamp": stamp, "job_id": job, "subject": ""}
    lines = []
    for number in range(BLOCK):
        event["id"] = f"00000000-0000-5000-8000-{number:012x}"
        event["subject"] = ""
        bare = json.dumps(event, separators=(",", ":"))
        event["subject"] = "x" * (LINE - 1 - len(bare))
        lines.append(json.dumps(event, separators=(",", ":")) + "\n")
    return "".join(lines).encode("ascii")


def fill(store: Path, repo: Path, scale: float) -> tuple[int, int]:
    """Fill an enrolled repository's store; return the number of events and of bytes in its logs.

    After the enrolment, because `install` and a first commit read documents that a commit does not.
    """
    logs = store / "events" / repo.name
    (today,) = (logs / "busy").glob("*.jsonl")
    line = today.read_text(encoding="ascii").splitlines()[-1]
    stamp = json.loads(line)["timestamp"]
    day = datetime.date.fromisoformat(stamp[:10])

    def write(job: str, path: Path, blocks: int) -> None:
        date = f"{path.stem[7:11]}-{path.stem[11:13]}-{path.stem[13:15]}"
        content = block(line, date + stamp[10:], job)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("ab", buffering=0) as stream:
            for _ in range(blocks):
                stream.write(content)

    def scaled(number: int) -> int:
        return max(1, round(number * scale))

    for back in range(1, OLDER_FILES + 1):
        name = f"events-{day - datetime.timedelta(back):%Y%m%d}.jsonl"
        write("busy", logs / "busy" / name, scaled(OLDER_BLOCKS))
    write("busy", today, scaled(TODAY_BLOCKS))
    for number in range(scaled(OTHER_JOBS)):
        job = f"job-{number}"
        write(job, logs / job / today.name, 1)

    (own,) = (store / "sessions").iterdir()
    document = own.read_text(encoding="ascii")
    mapping = store / "state" / repo.name / "mappings" / "session-to-job.json"
    mapped = json.loads(mapping.read_text(encoding="ascii"))
    for number in range(scaled(SESSIONS)):
        name = f"session-{number:08}"
        (store / "sessions" / f"{name}.json").write_text(document.replace(own.stem, name))
        (store / "locks" / f"session-{name}.lock").touch()
        mapped[name] = f"job-{number % OTHER_JOBS}"
    mapping.write_text(json.dumps(mapped, separators=(",", ":")) + "\n")
    # What waits to be written would be paid for by the first fsync of the run, in either store.
    os.sync()
    size = sum(path.stat().st_size for path in logs.glob("*/*.jsonl"))
    return size // LINE, size


def sizes(logs: Path) -> dict[Path, int]:
    """Return the size of each file of a log."""
    return {path: path.stat().st_size for path in sorted(logs.glob("*.jsonl"))}


def appended(logs: Path, before: Mapping[Path, int]) -> list[str]:
    """Return the commits recorded since the files had the sizes ``before``, in file order."""
    found = []
    for path in sizes(logs):
        with path.open("rb") as stream:
            stream.seek(before.get(path, 0))
            found += [event["commit"] for event in common.created(stream)]
    return found


def main() -> int:
    """Run the benchmark and print its table."""
    parser = common.options(__doc__, rounds=150, makes="repositories")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks the store (default: 1)")
    arguments = parser.parse_args()
    if not 0 < arguments.scale <= 1:
        parser.error("--scale is more than 0 and at most 1")

    with common.sealed(arguments.folder) as (folder, sealed):
        repos: dict[str, Path] = {}
        envs: dict[str, common.Environment] = {}
        for name, stem in ((BARE, "bare"), (EMPTY, "empty"), (FULL, "fully")):
            # Stores and repositories with paths of one length: only what is in them differs.
            # In git's way, so that what recording costs is seen in what git takes.
            store = str(folder / f"store-{stem}")
            envs[name] = sealed | {"PRODIGY_HOME": store, "PRODIGY_RECORD": "wait"}
            repos[name] = common.make_repository(folder / stem, envs[name], {"file": "text\n"})
            (no_hook if name == BARE else enrol)(repos[name], envs[name])
        events, size = fill(Path(envs[FULL]["PRODIGY_HOME"]), repos[FULL], arguments.scale)

        logs = {
            name: Path(envs[name]["PRODIGY_HOME"]) / "events" / repos[name].name / "busy"
            for name in (EMPTY, FULL)
        }
        before = {name: sizes(path) for name, path in logs.items()}
        starts = {
            name: common.run(["git", "rev-parse", "HEAD"], repo, envs[name]).strip()
            for name, repo in repos.items()
        }

        def timed(name: str) -> Callable[[], float]:
            return lambda: common.milliseconds(COMMIT, repos[name], envs[name])

        # A session's file keeps ten checkpoints: both are at their full length when timing begins.
        times = common.interleave(
            {name: timed(name) for name in repos}, arguments.rounds, warm_up=12
        )

        wrong = ""
        for name, path in logs.items():
            made = common.run(
                ["git", "rev-list", "--reverse", f"{starts[name]}..HEAD"], repos[name], envs[name]
            ).split()
            found = appended(path, before[name])
            if found != made:
                wrong = f"{name}: {len(made)} commits made, {len(found)} recorded"

        median = common.medians(times)
        added = {name: median[name] - median[BARE] for name in logs}
        common.heading(
            folder,
            f"Cost in a full store, medians of {arguments.rounds} interleaved rounds",
            f"{round(SESSIONS * arguments.scale):,} sessions, {events:,} events, {size:,} bytes",
        )
        common.print_table(
            ["variant", "ms", "ms over bare", "added, x empty store's"],
            [
                [
                    name,
                    f"{ms:.1f}",
                    f"{added[name]:+.1f}" if name in added else "",
                    f"{added[name] / added[EMPTY]:.2f}" if name in added else "",
                ]
                for name, ms in median.items()
            ],
        )
        print()
    common.aim(
        "in a full store a recorded commit adds",
        added[FULL] / added[EMPTY],
        AIM,
        "times what it adds in an empty one",
    )
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
