"""What does a hub cost: shipping and pulling, a step, many claimants, an event's way, a commit?

The server is one of the benchmark's own, on a disk, where each transaction is synced; it and all hosts
are on this machine. A host is a store and a clone.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import common, read_events
from prodigy_git.record import clock, log

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support_postgres import Server, hold_port, why_not

PRODIGY = [sys.executable, "-m", "prodigy_git"]
EVENTS = 1_000_000
SHIP, PULL = 3.0, 4.0
ITEMS, FEW = 100_000, 100
STEP, FLAT = 1.5, 1.5
HOSTS, WORKERS = 8, 32
CLAIMS = 150.0
WAY = 500.0  # milliseconds
COMMIT = ["git", "commit", "--allow-empty", "-q", "-m", "A commit"]
# 1.00 x, with what two medians of the same thing differ by
LATENCY = 1.02

LOG = """\
import sys
from pathlib import Path
from bench import hub
hub.write_log(*map(Path, sys.argv[1:3]), int(sys.argv[3]))
"""
CLAIMING = """\
import sys, time
from prodigy_git import api
name, agent, seconds, ends = sys.argv[1:]
job = api.open_job(name, cwd=".")
claimed = [api.claim(job, agent=f"{agent}-first", lease=600).item_id]
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    made = api.claim(job, agent=f"{agent}-{len(claimed)}", lease=600)
    if made is None:
        break
    claimed.append(made.item_id)
    if ends == "yes":
        api.finish(job, made, commits=[])
print(*claimed)
"""


@dataclass(frozen=True)
class Place:
    """A host: its clone, and the environment that its processes have."""

    clone: Path
    store: Path
    env: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """Run `prodigy-git` here; return what it prints."""
        return common.run([*PRODIGY, *arguments], self.clone, self.env)

    def key(self) -> str:
        """Return what the repository is called in the store; a commit of its is recorded for that."""
        common.run(COMMIT, self.clone, {**self.env, "PRODIGY_RECORD": "wait"})
        return next(path.name for path in (self.store / "events").iterdir())


@dataclass(frozen=True)
class World:
    """The server, and where hosts are made."""

    server: Server
    folder: Path
    env: common.Environment
    origin: Path
    numbers: "count[int]"

    def host(self, url: str | None) -> Place:
        """Make a host whose clone has a hub at ``url``; None: no hub."""
        folder = self.folder / f"host-{next(self.numbers)}"
        env = self.env | {"PRODIGY_HOME": str(folder / "store")}
        folder.mkdir()
        common.run(["git", "clone", "-q", str(self.origin), "clone"], folder, env)
        made = Place(folder / "clone", folder / "store", env)
        made.run("install")
        if url is not None:
            common.run(["git", "config", "prodigy.hub", url], made.clone, env)
        return made

    def hub(self) -> str:
        """Make a hub in a database of its own; return its address."""
        url = self.server.url(self.server.database())
        self.host(url).run("hub", "init", url)
        return url

    def psql(self, command: str, database: str) -> float:
        """Run a command by psql; return the seconds that it takes."""
        self.server.sql("CHECKPOINT")
        begin = time.perf_counter()
        self.server.sql(command, database=database)
        return time.perf_counter() - begin

    def rows(self, url: str) -> int:
        """Return how many events the hub has."""
        database = url.rpartition("/")[2]
        return int(self.server.sql("SELECT count(*) FROM prodigy_hub.event", database=database))


def write_log(path: Path, rows: Path, number: int) -> None:
    """Write a log, and the rows that a hub has of it, in COPY's form."""
    read_events.write_log(path, number)
    # Ids of commits are hashes: in no order, which is what an index feels.
    draw, host = random.Random(20250111), uuid.uuid4()
    ordered = path.rename(path.with_suffix(".ordered"))
    with ordered.open() as lines, path.open("w") as out, rows.open("w") as copied:
        for seq, line in enumerate(lines, 1):
            event_id = str(uuid.UUID(int=draw.getrandbits(128), version=5))
            at = json.loads(line)["timestamp"]
            line = f'{{"id":"{event_id}"{line[line.index(",") :]}'
            out.write(line)
            # Nothing in it that COPY would want escaped.
            copied.write(f"1\t{seq}\t1\t{host}\tf\t{event_id}\t{at}\t{line}")
    ordered.unlink()


def moving(world: World, number: int) -> str:
    """Ship and pull a log; print how that went. Return what was wrong."""
    url = world.hub()
    near, far = world.host(url), world.host(url)
    path = near.store / "events" / near.key() / "bulk" / "events-20250111.jsonl"
    rows = world.server.folder / "rows"  # where psql can read it, who is another user
    common.run([sys.executable, "-c", LOG, str(path), str(rows), str(number)], Path(), world.env)
    far.key()
    database = world.server.database()
    named = "job, seq, mark, host, step, id, at, line"
    schema = (
        "CREATE TABLE event (job bigint, seq bigint, mark bigint, host uuid, step boolean, id uuid,"
        " at timestamptz, line text"
    )
    world.server.sql(f"{schema}, PRIMARY KEY (job, seq), UNIQUE (job, id))", database=database)
    world.server.sql(schema.replace("event", "bare", 1) + ")", database=database)
    into = f"\\copy {{}} ({named}) FROM '{rows}'"
    out = (
        f"\\copy (SELECT line FROM event WHERE job = 1 ORDER BY seq) TO '{world.server.folder}/out'"
    )
    taken = {
        "COPY by psql, into a table without indexes": world.psql(into.format("bare"), database),
        "COPY by psql, into one with a hub's indexes": world.psql(into.format("event"), database),
    }
    begin = time.perf_counter()
    near.run("hub", "sync")
    taken["hub sync, shipping"] = time.perf_counter() - begin
    had = world.rows(url)
    taken["COPY out by psql, in order"] = world.psql(out, database)
    begin = time.perf_counter()
    far.run("hub", "sync")
    taken["hub sync, pulling"] = time.perf_counter() - begin
    there = sum(
        file.read_bytes().count(b"\n") for file in far.store.glob("events/*/bulk/events-*.jsonl")
    )
    common.heading(world.folder, f"{number:,} events of {read_events.LINE} bytes, once")
    common.print_table(
        ["way", "s", "events/s"],
        [[name, f"{one:.2f}", f"{number / one:,.0f}"] for name, one in taken.items()],
    )
    _, with_indexes, shipped, copied, pulled = taken.values()
    print()
    common.aim("shipping takes", shipped / with_indexes, SHIP, "times the COPY of the same rows")
    common.aim("pulling takes", pulled / copied, PULL, "times the COPY out")
    if had < number or there != number:
        return f"of {number} events {had} were on the hub and {there} on the other host"
    return ""


def stepping(world: World, rounds: int, items: int) -> str:
    """Time `job next`, on a hub and without, in a small job and in a large one."""
    url, numbers = world.hub(), count()
    variants: dict[str, Callable[[], float]] = {}
    for where, given in (("local", None), ("hub", url)):
        place = world.host(given)
        for size in (FEW, items):
            source = place.clone.parent / "items.jsonl"
            source.write_text("".join(f'{{"id":"item-{n}"}}\n' for n in range(size)))
            job = f"job-{size}"
            shared = [] if given is None else ["--hub"]
            place.run("job", "start", job, "--items", str(source), *shared)
            variants[f"{where} {size}"] = next_item(place, job, numbers)
    median = common.medians(common.interleave(variants, rounds, warm_up=2))
    common.heading(world.folder, f"'job next', medians of {rounds} rounds")
    table = []
    for where in ("local", "hub"):
        few, many = median[f"{where} {FEW}"], median[f"{where} {items}"]
        table.append([where, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}"])
    common.print_table(["job", f"ms, {FEW} items", f"ms, {items:,}", "x"], table)
    print()
    hub, local = median[f"hub {items}"], median[f"local {items}"]
    common.aim("'job next' on a hub takes", hub / local, STEP, "times what it takes locally")
    common.aim("in the large job it takes", hub / median[f"hub {FEW}"], FLAT, "times the small one")
    return ""


def next_item(place: Place, job: str, numbers: "count[int]") -> Callable[[], float]:
    """Return what claims an item by a command."""

    def run() -> float:
        agent = ["--agent", f"agent-{next(numbers)}"]
        return common.milliseconds([*PRODIGY, "job", "next", job, *agent], place.clone, place.env)

    return run


def claiming(world: World, seconds: float) -> str:
    """Have many workers on some hosts claim from one job at once; print how many they get."""
    wrong, table = "", []
    for ends in ("no", "yes"):
        claims, rate = claimed(world, seconds, ends)
        items = [item for worker in claims for item in worker]
        if len(set(items)) != len(items):
            wrong = f"of {len(items)} claims {len(set(items))} are different"
        each = sorted(len(worker) for worker in claims)
        what = "claims" if ends == "no" else "claims, each of them ended"
        table.append([what, f"{rate:.0f}", f"{each[0]}", f"{each[-1]}"])
    common.heading(
        world.folder, f"{WORKERS} workers on {HOSTS} hosts, one job, {seconds:g} seconds"
    )
    common.print_table(["steps", "a second", "fewest of a worker", "most"], table)
    print()
    rate = float(table[0][1])
    verdict = "Holds" if rate >= CLAIMS else "Does not hold"
    print(f"Aim: at least {CLAIMS:g} claims a second. {verdict}: {rate:.0f}.")
    return wrong


def claimed(world: World, seconds: float, ends: str) -> tuple[list[list[str]], float]:
    """Return what each worker claimed, and how many that were a second."""
    url, job = world.hub(), "claimed"
    places = [world.host(url) for _ in range(HOSTS)]
    source = world.folder / "items.jsonl"
    source.write_text("".join(f'{{"id":"item-{n}"}}\n' for n in range(round(seconds * 2000))))
    places[0].run("job", "start", job, "--items", str(source), "--hub")
    for place in places:
        place.run("hub", "sync")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING, job, f"agent-{number}", str(seconds), ends],
            cwd=places[number % HOSTS].clone, env=dict(places[number % HOSTS].env),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(WORKERS)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    begin = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate()[0].split() for worker in workers]
    taken = time.perf_counter() - begin
    if any(worker.returncode for worker in workers):
        raise SystemExit("a worker failed")
    return outputs, (sum(map(len, outputs)) - WORKERS) / taken


@contextmanager
def running(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Have a command run here, with a pipe for its output, until the end of the body."""
    child = subprocess.Popen(
        [*PRODIGY, *arguments], cwd=place.clone, env=dict(place.env),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.terminate()
        child.wait()


def following(world: World, number: int) -> str:
    """Time from an event's append on one host to its line on another; print it."""
    url = world.hub()
    near, far = world.host(url), world.host(url)
    repo, job = near.key(), "followed"
    took: list[float] = []
    seen: list[str] = []
    arrived = threading.Condition()
    with (
        running(near, "hub", "sync", "--follow"),
        running(far, "hub", "sync", "--follow"),
        running(far, "events", "follow", "--all-repos", "--json") as lines,
    ):

        def read() -> None:
            for line in lines.stdout or ():
                now, event = time.time_ns() // 1000, json.loads(line)
                if event["type"] == "Bench":
                    with arrived:
                        took.append((now - (clock.parse(event["timestamp"]) or 0)) / 1000)
                        seen.append(event["content"])
                        arrived.notify_all()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()

        def append(content: str) -> bool:
            """Whether it has arrived within a second."""
            log.append(
                str(near.store),
                repo,
                job,
                [{"id": str(uuid.uuid4()), "type": "Bench", "content": content}],
            )
            with arrived:
                return arrived.wait_for(lambda: content in seen, 1)

        # Until all three are at it, none would be timed.
        begun = 0
        while begun < 60 and not append(f"begin-{begun}"):
            begun += 1
        with arrived:
            arrived.wait_for(lambda: len(seen) == begun + 1, 60)
            took.clear()
            seen.clear()
        for one in range(number):
            append(str(one))
        with arrived:
            arrived.wait_for(lambda: len(seen) >= number, 60)
    if len(took) < 2:
        return "no event came to the other host"
    parts = statistics.quantiles(took, n=100)
    common.heading(world.folder, f"{number} events, one after the other")
    common.print_table(
        ["from", "p50 ms", "p99 ms", "max ms"],
        [["append to line", f"{parts[49]:.1f}", f"{parts[98]:.1f}", f"{max(took):.1f}"]],
    )
    print()
    common.aim("p99 from one host's append to the other's line is", parts[98], WAY, "ms")
    if sorted(seen) != sorted(map(str, range(number))):
        return f"of {number} events {len(seen)} came, {len(set(seen))} of them different"
    return ""


def committing(world: World, rounds: int) -> str:
    """Time a commit on hosts with a hub, and without; print it."""
    held, port = hold_port()
    with held, silent() as mute:
        away = {"no hub": None, "a hub": world.hub()}
        away["a hub that refuses"] = f"postgresql://hub@127.0.0.1:{port}/hub"
        away["a hub that does not answer"] = f"postgresql://hub@127.0.0.1:{mute}/hub"
        places = {name: world.host(url) for name, url in away.items()}
        for place in places.values():
            place.key()

        def timed(place: Place) -> Callable[[], float]:
            return lambda: common.milliseconds(COMMIT, place.clone, place.env)

        variants = {name: timed(place) for name, place in places.items()}
        median = common.medians(common.interleave(variants, rounds))
    bare = median["no hub"]
    common.heading(world.folder, f"A commit, medians of {rounds} interleaved rounds")
    common.print_table(
        ["host with", "ms", "x"],
        [[name, f"{ms:.2f}", f"{ms / bare:.2f}"] for name, ms in median.items()],
    )
    print()
    worst = max(ms / bare for ms in median.values())
    common.aim("a commit with a hub takes", worst, LATENCY, "times one without")
    return ""


@contextmanager
def silent() -> Iterator[int]:
    """Give a port on which connections are taken, and nothing is ever said."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield listening.getsockname()[1]


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks logs and jobs")
    parser.add_argument("--rounds", type=int, default=15, help="of what is timed often")
    parser.add_argument("--folder", help="where to make the hosts (default: $TMPDIR)")
    parser.add_argument("--only", choices=[*PARTS], help="one part")
    arguments = parser.parse_args()
    if reason := why_not():
        print(f"{reason}; nothing is measured of a hub")
        return 0
    wrong = ""
    with common.sealed(arguments.folder) as (folder, env), Server(durable=True) as server:
        env["PYTHONPATH"] = str(Path(__file__).parents[1])
        os.environ.update({name: env[name] for name in ("HOME", "PRODIGY_HOME")})
        origin = common.make_repository(folder / "origin", env, {"a.txt": "a\n"})
        version = server.sql("SHOW server_version").split()[0]
        print(f"PostgreSQL {version}, fsync on, on this machine")
        world = World(server, folder, env, origin, count())
        for name in [arguments.only] if arguments.only else PARTS:
            print(f"\n## {name}\n")
            wrong = PARTS[name](world, arguments.scale, arguments.rounds) or wrong
    return common.worthless(wrong)


PARTS: dict[str, Callable[[World, float, int], str]] = {
    "moving": lambda world, scale, _: moving(world, round(EVENTS * scale)),
    "stepping": lambda world, scale, rounds: stepping(world, rounds, round(ITEMS * scale)),
    "claiming": lambda world, scale, _: claiming(world, max(2.0, 10 * scale)),
    "following": lambda world, scale, _: following(world, max(20, round(300 * scale))),
    "committing": lambda world, _, rounds: committing(world, 10 * rounds),
}


if __name__ == "__main__":
    sys.exit(main())
