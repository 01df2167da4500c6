"""How long from an append to the line that 'events follow' prints? Writers at full speed."""

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench import common
from prodigy_git.record import clock, log

WRITERS = 16
LIMIT = 100.0  # milliseconds
FOLLOW = [sys.executable, "-m", "prodigy_git", "events", "follow", "--all-repos", "--json"]
# Appends as hooks do, one event at a time, for so many seconds; each tells when it was done.
WRITING = """\
import sys, time
from prodigy_git.record import log
store, number, job, seconds, pause = sys.argv[1:]
end = time.monotonic() + float(seconds)
count = 0
while time.monotonic() < end:
    count += 1
    event = {"id": f"{number}-{count}", "type": "Bench", "session_id": f"agent-{number}",
             "content": "x" * 100}
    log.append(store, "repo", job, [event])
    if float(pause):
        time.sleep(float(pause))
print(count)
"""


def other_jobs(store: Path, count: int) -> None:
    """Give the store as many other jobs, each with an event."""
    for number in range(count):
        folder = store / "events" / "repo" / f"other-{number}"
        folder.mkdir(parents=True, mode=0o700)
        (folder / "events-20250111.jsonl").write_text(
            json.dumps({"id": str(number), "timestamp": "2025-01-11T12:00:00.000000Z",
                        "type": "X", "event_type": "X"}) + "\n"
        )  # fmt: skip


def measured(
    store: Path, env: common.Environment, seconds: float, jobs: int, pause: float
) -> tuple[list[float], int, str]:
    """Follow while all write to so many jobs; return milliseconds per event, events, what is wrong."""
    follower = subprocess.Popen(
        [*FOLLOW, "--cursor"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert follower.stderr is not None
    follower.stderr.readline()  # the cursor that it begins at: from here on it misses nothing
    threading.Thread(target=follower.stderr.read, daemon=True).start()
    # Of a store with thousands of jobs it takes a moment until all are watched.
    count = 0
    while not select.select([follower.stdout], [], [], 0.1)[0]:
        count += 1
        log.append(str(store), "repo", "first", [{"id": f"first-{count}", "type": "Bench"}])
    while not follower.stdout.readline().startswith(f'{{"id":"first-{count}"'):
        pass
    took: list[float] = []
    seen: list[str] = []
    ended = threading.Event()

    def read() -> None:
        for line in follower.stdout or ():
            now = time.time_ns() // 1000
            event = json.loads(line)
            # The stamp is taken under the log's lock, just before the write.
            took.append((now - (clock.parse(event["timestamp"]) or 0)) / 1000)
            seen.append(event["id"])
        ended.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, str(store), str(number), f"job-{number % jobs}",
             str(seconds), str(pause)],
            env=env, stdout=subprocess.PIPE, text=True,
        )
        for number in range(WRITERS)
    ]  # fmt: skip
    written = sum(int(writer.communicate()[0]) for writer in writers)
    deadline = time.monotonic() + 30
    while len(seen) < written and time.monotonic() < deadline:
        time.sleep(0.05)
    follower.terminate()
    follower.wait()
    wrong = ""
    if len(seen) != written or len(set(seen)) != written:
        wrong = (
            f"{written} events written, {len(seen)} followed, {len(set(seen))} of them different"
        )
    return took, written, wrong


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of writing (default: 5)")
    parser.add_argument("--others", type=int, default=10_000, help="other jobs in the store")
    parser.add_argument("--folder", help="where to make the store (default: $TMPDIR)")
    arguments = parser.parse_args()
    rows, wrong, worst = [], "", 0.0
    with common.sealed(arguments.folder) as (folder, env):
        env["PYTHONPATH"] = str(Path(__file__).parents[1])
        common.heading(folder, f"From append to line, {WRITERS} writers")
        for number, (name, jobs, others, pause) in enumerate(
            [
                ("one job, full speed", 1, 0, 0.0),
                ("16 jobs, full speed", 16, 0, 0.0),
                (f"16 jobs beside {arguments.others:,}, full speed", 16, arguments.others, 0.0),
                ("16 jobs, ten a second each", 16, 0, 0.1),
            ]
        ):
            store = folder / f"store{number}"
            env["PRODIGY_HOME"] = str(store)
            os.makedirs(store / "events", mode=0o700)
            other_jobs(store, others)
            took, written, said = measured(store, env, arguments.seconds, jobs, pause)
            wrong = wrong or said
            if not took:
                continue
            parts = statistics.quantiles(took, n=100)
            worst = max(worst, parts[98])
            rate = written / arguments.seconds
            rows.append(
                [name, f"{rate:,.0f}", f"{parts[49]:.1f}", f"{parts[98]:.1f}", f"{max(took):.1f}"]
            )
        common.print_table(["variant", "events/s", "p50 ms", "p99 ms", "max ms"], rows)
        print()
    common.aim("p99 from append to line is", worst, LIMIT, "ms, in every variant")
    return common.worthless(wrong)


if __name__ == "__main__":
    sys.exit(main())
