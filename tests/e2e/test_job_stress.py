"""Many workers on one job, killed at random and started anew: afterwards the books balance."""

import json
import os
import random
import select
import signal
import sys
from collections import Counter, defaultdict

import msgspec
from support_forkserver import Forked

from prodigy_git import api
from prodigy_git.jobs import books, checkpoints, claims, index, replay
from tests.support_cli import PACKAGE_PARENT

ITEMS = 2000
WORKERS = 16
ATTEMPTS = 2
KILLS = 60

WORKER = """\
import os, sys
from prodigy_git import api
store, folder, agent = sys.argv[1:]
job = api.Job(store, "r", "j")
while (claim := api.claim(job, agent=agent, broken=lambda _: None)) is not None:
    mark = f"{folder}/{claim.item_id}"
    if os.path.exists(mark):
        other = int(open(mark).read())
        try:
            os.kill(other, 0)
        except ProcessLookupError:
            pass
        else:
            if open(f"/proc/{other}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
                print(f"{claim.item_id} is worked on by {other} and {os.getpid()}")
    open(mark + f".{os.getpid()}", "w").write(str(os.getpid()))
    os.rename(mark + f".{os.getpid()}", mark)
    bad = int(claim.item_id.split("-")[1]) % 3 == 0
    os.unlink(mark)
    api.finish(job, claim, error="no good 17" if bad else None, backoff=0, broken=lambda _: None)
    os.write(0, b".")  # the pipe that the test counts from
"""


def test_workers_that_are_killed_and_started_anew(tmp_path):
    store = str(tmp_path / "store")
    folder = tmp_path / "at-work"
    folder.mkdir()
    draw = random.Random(20250111)
    from prodigy_git.jobs import course

    course.start(
        store, "r", "j", given=[(f"item-{n}", {"n": n}) for n in range(ITEMS)],
        max_attempts=ATTEMPTS, broken=lambda _: None,
    )  # fmt: skip
    reading, writing = os.pipe()
    started = 0
    said = open(tmp_path / "said", "w+")  # noqa: SIM115

    def begin():
        nonlocal started
        started += 1
        return Forked(
            [sys.executable, "-c", WORKER, store, str(folder), f"agent-{started}"],
            env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
            stdin=writing, stdout=said, stderr=said,
        )  # fmt: skip

    workers = [begin() for _ in range(WORKERS)]
    done, killed, next_kill = 0, 0, 20
    while any(one.poll() is None for one in workers):
        if select.select([reading], [], [], 0.2)[0]:
            done += len(os.read(reading, 4096))
        if done >= next_kill and killed < KILLS:
            victim = draw.randrange(WORKERS)
            if killed % 20 == 19:  # a loss of power: all at once
                for one in workers:
                    one.send_signal(signal.SIGKILL)
                for one in workers:
                    one.wait()
                workers = [begin() for _ in range(WORKERS)]
            else:
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = begin()
            killed += 1
            next_kill = done + draw.randrange(5, 60)
    os.close(reading)
    os.close(writing)
    assert killed >= KILLS // 2
    # What the last ones had is given back and done here.
    job = api.Job(store, "r", "j")
    while (claim := api.claim(job, agent="last", broken=lambda _: None)) is not None:
        bad = int(claim.item_id.split("-")[1]) % 3 == 0
        api.finish(job, claim, error="no good" if bad else None, backoff=0, broken=lambda _: None)
    said.seek(0)
    assert said.read() == ""
    the_books_balance(store)


def the_books_balance(store):
    events = [e.fields() for e in api.read_events(api.Job(store, "r", "j"), broken=fail_on)]
    assert len({e["id"] for e in events}) == len(events)
    of_item = defaultdict(list)
    for event in events:
        if "item_id" in event:
            of_item[event["item_id"]].append(event)
    assert len(of_item) == ITEMS
    dead = set()
    for name, own in of_item.items():
        kinds = Counter(event["type"] for event in own)
        assert kinds["AgentCompleted"] + kinds["DLQItemAdded"] == 1, own
        assert kinds["WorkItemProcessed"] == 1, own
        assert kinds["AgentStarted"] == kinds["AgentCompleted"] + kinds["AgentFailed"], own
        # One after the other: no attempt begins before the one before it has ended.
        turns = [
            (event["type"] == "AgentStarted", event["attempt"], event["agent_id"])
            for event in own
            if event["type"] in ("AgentStarted", "AgentCompleted", "AgentFailed")
        ]
        for number, (begin, end) in enumerate(zip(turns[::2], turns[1::2], strict=True), 1):
            assert (begin[0], end[0]) == (True, False), own
            assert begin[1:] == end[1:], own
            assert begin[1] == number <= ATTEMPTS, own
        if kinds["DLQItemAdded"]:
            dead.add(name)
    state = replay.whole(store, "r", "j", fail_on)
    states = {name: books.view(item).state for name, item in state.items.items()}
    assert Counter(states.values()) == {"completed": ITEMS - len(dead), "dead": len(dead)}
    assert {name for name, one in states.items() if one == "dead"} == dead
    with claims.step(store, "r", "j", fail_on) as opened:
        counts = {one: opened.count(one) for one in index.NUMBER if opened.count(one)}
    assert counts == Counter(states.values())
    with open(f"{store}/dlq/r/j/dlq-items.json") as stream:
        queue = json.load(stream)["items"]
    assert {item["item_id"] for item in queue} == dead
    assert all(item["failure_count"] == ATTEMPTS for item in queue)
    found, position = checkpoints.newest(store, "r", "j", fail_on)
    replay.advance(found, store, "r", position, fail_on)
    state = replay.whole(store, "r", "j", fail_on)
    for name, item in state.items.items():
        assert msgspec.json.encode(item, order="deterministic") == msgspec.json.encode(
            found.items[name], order="deterministic"
        )
    assert found.job.counts == state.job.counts


def fail_on(text):
    raise AssertionError(text)
