"""When somebody was heard of last, from logs read backwards."""

import json
import os
import random

import pytest
from support_cli import write_log

from prodigy_git.record import clock
from prodigy_git.views.overview import agents, last_seen
from prodigy_git.views.overview.agents import Agent
from prodigy_git.views.overview.memory import Memory
from prodigy_git.views.trouble import Facts

BEGIN = clock.parse("2025-01-11T12:00:00Z")
assert BEGIN is not None


def event(second, **fields):
    return {
        "timestamp": clock.stamp(BEGIN + second * clock.SECOND),
        "type": "ClaudeMessage",
        **fields,
    }


def seen(store, wanted, limit=0):
    found = last_seen.moments(str(store), "r", "j", wanted, BEGIN + limit * clock.SECOND)
    return {name: (moment - BEGIN) // clock.SECOND for name, moment in found.items()}


@pytest.mark.parametrize("others", [0, 20])  # few names are searched for, many are looked up
def test_the_newest_event_of_each_in_any_dialect_and_file(store, others):
    write_log(
        store, "r", "j", "events-20250111.jsonl",
        event(1, session_id="s1"), event(2, session_id="s2"), event(3, session_id="s1"),
        "no event", event(9, session_id="s3"),
    )  # fmt: skip
    write_log(
        store, "r", "j", "events-20250111_120000.jsonl",
        {"timestamp": clock.stamp(BEGIN + 5 * clock.SECOND), "event": {
            "event_type": "agent_completed", "agent_id": "a1"}},
        {"AgentStarted": {"timestamp": clock.stamp(BEGIN + 4 * clock.SECOND), "agent_id": "a2"}},
        event(2, session_id="s1"),
    )  # fmt: skip
    wanted = {"s1", "s2", "s4", "a1", "a2", *(f"other-{n}" for n in range(others))}
    assert seen(store, wanted) == {"s1": 3, "s2": 2, "a1": 5, "a2": 4}


def test_half_a_line_is_not_heard(store):
    path = write_log(store, "r", "j", "events-20250111.jsonl", event(1, session_id="s1"))
    with path.open("a") as stream:
        stream.write(str(event(7, session_id="s1")).replace("'", '"'))
    assert seen(store, {"s1"}) == {"s1": 1}
    (found,) = last_seen.latest(str(store), [("r", "j")], 5)
    assert found[2].session_id == "s1"
    assert found[2].moment == BEGIN + clock.SECOND


def test_it_reads_no_further_than_needed(store, monkeypatch):
    filler = [event(n // 100, session_id=f"s{n % 7}", content="x" * 500) for n in range(20_000)]
    path = write_log(store, "r", "j", "events-20250111.jsonl", event(0, session_id="gone"), *filler)
    read = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *how: read.append(how[1]) or pread(*how))
    assert seen(store, {f"s{n}" for n in range(7)}) == {f"s{n}": 199 for n in range(7)}
    assert sum(read) < 100_000
    # One that is silent is looked for a little beyond the limit, not in all of the log.
    read.clear()
    assert seen(store, {"gone"}, limit=190) == {}
    assert sum(read) < path.stat().st_size / 2
    assert seen(store, {"gone"}) == {"gone": 0}


def test_a_second_look_reads_again_what_was_added_to_the_log(store):
    path = write_log(store, "r", "j", "events-20250111.jsonl", event(1, session_id="s1"))
    memory = Memory()
    one, other = (Agent("running", "r", "j", name, None, None) for name in ("s1", "s2"))
    for agent in (one, other):
        agent.facts = Facts(status="Running")

    def heard():
        memory.look_again(str(store), "r", [("j", "s1"), ("j", "s2")])
        agents.hear(str(store), "r", [one, other], 0, memory)
        return [agent.last and (agent.last - BEGIN) // clock.SECOND for agent in (one, other)]

    assert heard() == [1, None]
    known = dict(memory.seen["r", "j"])
    assert heard() == [1, None]
    assert memory.seen["r", "j"] == known
    with path.open("a") as log:
        log.write(json.dumps(event(7, session_id="s2")) + "\n")
    assert heard() == [1, 7]
    write_log(store, "r", "j", "events-20250112.jsonl", event(9, session_id="s1"))
    assert heard() == [9, 7]
    path.unlink()  # archived
    one.last = other.last = None
    assert heard() == [9, None]


def test_the_last_events_of_several_jobs_in_time_order(store):
    order = list(range(40))
    random.Random(1).shuffle(order)
    for job in range(4):
        mine = sorted(order[job::4])
        write_log(store, "r", f"j{job}", "events-20250111.jsonl", *(event(n) for n in mine))
    jobs = [("r", f"j{n}") for n in range(4)]
    found = [
        (one[2].moment - BEGIN) // clock.SECOND for one in last_seen.latest(str(store), jobs, 9)
    ]
    assert found == list(range(31, 40))
