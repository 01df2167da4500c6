"""Counting: the same as a listing says, whatever the lines are like and however many count."""

import gzip
import json
import os
import random

import pytest

from prodigy_git.model.selection import Selection
from prodigy_git.record import clock
from prodigy_git.store import stream
from prodigy_git.views import stats

KINDS = ("AgentStarted", "AgentFailed", "CommitCreated")
BEGIN = 1_736_553_600 * clock.SECOND


def ours(number, kind="AgentStarted", **more):
    return json.dumps(
        {"id": str(number), "timestamp": clock.stamp(BEGIN + number * 60 * clock.SECOND),
         "type": kind, "event_type": kind, **more},
        separators=(",", ":"),
    ).encode()  # fmt: skip


def write(path, lines, end=b"\n"):
    path.write_bytes(b"\n".join(lines) + end)
    return [("j", str(path))]


def as_listed(logs, by, wanted):
    """Count as slowly as can be, from what a listing gives."""
    found = {}
    for job, path in logs:
        for event in stream.merge([path], lambda _: None, wanted):
            moment = event.moment
            stamp = None if moment is None else clock.stamp(moment)
            if by in ("hour", "day"):
                cut = 13 if by == "hour" else 10
                key = None if stamp is None else stamp[:cut] + (":00Z" if by == "hour" else "")
            else:
                key = {"type": event.type, "agent": event.agent_id, "item": event.item_id,
                       "session": event.session_id, "job": job}[by]  # fmt: skip
            found.setdefault(key, stats.Tally()).add(1, stamp, stamp)
    return found


ODD = [
    b"", b"{broken", b"\xff\xfe", b"[]", b"  ", b'{"type":"X"}{"type":"Y"}',
    b'{"event_type":"agent_failed","agent_id":"a","timestamp":"2025-01-11T23:30:00+02:00"}',
    b'{"id":"i","timestamp":"2025-01-12T00:00:00.123456789Z","event":{"event_type":"agent_failed"}}',
    b'{"AgentFailed":{"agent_id":"b"}}',
    b'{"type":"X","event_type":"X","timestamp":"99","agent_id":null}',
    ours(3, content="x" * 3000), ours(4, subject="\N{SNOWMAN}", agent_id="a"),
    ours(5, kind="agent_failed"),
]  # fmt: skip


@pytest.mark.parametrize("by", ["type", "agent", "hour", "day", "item", "session", "job"])
@pytest.mark.parametrize(
    "wanted",
    [Selection(), Selection(types=frozenset(["AgentFailed"])),
     Selection(since=BEGIN + 7200 * clock.SECOND), Selection(agents=frozenset("ab"))],
    ids=["all", "type", "since", "agents"],
)  # fmt: skip
def test_the_same_as_a_listing(tmp_path, by, wanted):
    draw = random.Random(by)
    lines = []
    for number in range(3000):
        who = draw.choice([{}, {"agent_id": draw.choice("abc"), "item_id": f"i{number % 40}"}])
        lines.append(ours(number if number % 500 else 7, draw.choice(KINDS), **who))
        if number % 700 == 0:
            lines += ODD
    logs = write(tmp_path / "events-1.jsonl", lines, end=b'\n{"type":"Torn"')
    packed = tmp_path / "events-2.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\n".join(lines[:100]) + b"\n"))
    logs.append(("k", str(packed)))
    assert stats.count(logs, by, wanted, lambda _: None) == as_listed(logs, by, wanted)


@pytest.mark.parametrize("odd", [ours(1) + ours(2), ours(1) + b" " + ours(2),
                                 ours(1).replace(b",", b",\n", 1)])  # fmt: skip
def test_a_line_is_one_event(tmp_path, odd):
    reports = []
    logs = write(tmp_path / "events-1.jsonl", [ours(3), odd, ours(4)])
    found = stats.count(logs, "type", Selection(), reports.append)
    assert found["AgentStarted"].count == 2
    assert f"{logs[0][1]}:2: not an event" in reports[0]


@pytest.fixture
def small_shares(monkeypatch):
    monkeypatch.setattr(stats, "_SHARE", 20_000)
    monkeypatch.setattr(stats, "_LARGE", 50_000)


def test_several_processes_count_and_report_what_one_does(tmp_path, small_shares):
    draw = random.Random(1)
    lines = [ours(n, draw.choice(KINDS), agent_id=f"a{n % 9}") for n in range(2000)]
    for place in sorted(draw.sample(range(2000), 30)):
        lines[place] = b"{broken"
    logs = write(tmp_path / "events-1.jsonl", lines, end=b'\n{"torn')
    results = []
    for workers in (1, 3):
        reports = []
        found = stats.count(logs, "agent", Selection(), reports.append, workers)
        results.append((found, reports))
    assert results[0] == results[1]
    _, reports = results[0]
    wrong = [n for n, line in enumerate(lines, 1) if line == b"{broken"] + [len(lines) + 1]
    assert [int(text.split(":")[1]) for text in reports] == wrong


def test_what_a_killed_process_had_taken_is_counted_all_the_same(
    tmp_path, small_shares, monkeypatch
):
    logs = write(tmp_path / "events-1.jsonl", [ours(n) for n in range(3000)])
    here = os.getpid()
    read = stats._of_share

    def killed(*arguments):
        if os.getpid() != here:
            os._exit(9)
        return read(*arguments)

    monkeypatch.setattr(stats, "_of_share", killed)
    found = stats.count(logs, "type", Selection(), pytest.fail, 3)
    assert {key: one.count for key, one in found.items()} == {"AgentStarted": 3000}


def test_what_is_broken_all_over_is_summed_up(tmp_path):
    reports = []
    logs = write(tmp_path / "events-1.jsonl", [b"{"] * 5000)
    assert stats.count(logs, "type", Selection(), reports.append) == {}
    assert len(reports) == 101
    assert "4900 more lines" in reports[-1]


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    reports = []
    logs = [("j", str(tmp_path / "events-1.jsonl")), *write(tmp_path / "e.jsonl", [ours(1)])]
    found = stats.count(logs, "job", Selection(), reports.append)
    assert found["j"].count == 1
    assert "cannot be read" in reports[0]
