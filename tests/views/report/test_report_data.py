"""What a report says: the numbers of a job with twenty agents, and of logs as they are found."""

import json
from types import SimpleNamespace

import pytest
import support_team
from support_cli import write_log
from support_team import COMPLETED, DEAD, FAILED, JOB, RETRIED, STUCK, WORKING

from prodigy_git.errors import ProdigyError
from prodigy_git.model.selection import Selection
from prodigy_git.record import clock
from prodigy_git.views.report import data, gather, series, story
from prodigy_git.views.report.shared_files import shared_files

MINUTE = 60 * clock.SECOND


def read(store, job=JOB, said=None, **wanted):
    broken = [] if said is None else said
    return gather.of_job(
        str(store), "repo", job, Selection(**wanted), data.STUCK_AFTER, broken.append
    )


@pytest.fixture
def team(store):
    support_team.write(store, "repo")
    return read(store)


def outcomes(value):
    found = {}
    for one in value["attempts"]:
        found.setdefault(one["outcome"], []).append(one["who"])
    return found


def test_each_agent_is_where_it_is(team):
    assert {kind: sorted(set(names)) for kind, names in outcomes(team).items()} == {
        "completed": COMPLETED,
        "failed": FAILED,
        "retried": sorted([*FAILED, *RETRIED, "agent-20"]),
        "dead": DEAD,
        "stuck": STUCK,
        "running": WORKING,
    }


def test_what_needs_attention(team):
    agents = {
        kind: sorted(row["who"] for row in team["trouble"][kind]["shown"])
        for kind in ("dead", "stuck", "failed")
    }
    assert agents == {"dead": DEAD, "stuck": STUCK, "failed": FAILED}
    (row,) = team["trouble"]["stuck"]["shown"]
    assert team["attempts"][row["attempt_index"]]["who"] == row["who"]


def test_headline_numbers(team):
    job, counts = team["job"], team["counts"]
    assert (job["total_items"], job["completed"], job["in_progress"], job["dead"]) == (25, 10, 5, 3)
    assert (job["pending"], job["status"], job["phase"]) == (7, "running", "map")
    assert job["seconds"] == pytest.approx(7200, abs=60)
    assert (counts["agents"], counts["attempts"], counts["failed_attempts"]) == (21, 27, 12)
    assert (counts["commits"], counts["commits_replaced"]) == (27, 0)
    assert counts["events"] == counts["events_shown"] == len(team["events"]) == 98


def test_failures_by_signature(team):
    rows = {row["error_signature"]: row for row in team["failures"]["shown"]}
    assert list(rows) == [
        "tests failed: # of #",
        "cannot lock ref '#'",
        "Timeout after # seconds",
    ]
    worst = rows["tests failed: # of #"]
    assert (worst["count"], worst["for_good"], worst["agent_count"]) == (9, 3, 3)
    assert worst["item_ids"] == ["item-10", "item-11", "item-12"]


def test_numbers_over_time_add_up(team):
    over = team["over_time"]
    assert sum(over["completed"]) == over["done"][-1] == 10
    assert sum(over["failed"]) == 12
    assert over["running"][-1] == len([*DEAD, *STUCK, *WORKING])
    assert max(over["running"]) == 10
    assert {len(over[name]) for name in ("completed", "failed", "running", "done")} == {
        len(over["done"])
    }


def test_durations_and_their_spread(team):
    spread = team["durations"]["completed"]
    assert (spread["count"], spread["least"], spread["most"]) == (10, 20 * 60, 38 * 60)
    assert spread["median"] == 29 * 60
    bins = team["durations"]["histogram"]
    assert (sum(bins["completed"]), sum(bins["failed"])) == (10, 12)
    assert len(bins["completed"]) == len(bins["edges"]) + 1


def test_events_name_their_attempt_and_say_what_they_say(team):
    retrying = next(one for one in team["events"] if one["type"] == "AgentRetrying")
    assert retrying["text"] == "attempt 2 in 1h 00m"
    commit = next(one for one in team["events"] if one["type"] == "CommitCreated")
    assert support_team.HOSTILE in commit["text"]
    for one in team["events"]:
        if one["who"] is not None:
            assert team["attempts"][one["attempt_index"]]["who"] == one["who"]


def test_the_value_is_json(team):
    assert json.loads(json.dumps(team, allow_nan=False)) == team


def test_a_stretch_of_time_has_the_attempts_under_way_in_it(store):
    now = clock.now()
    support_team.write(store, "repo", now)
    begin = now - 120 * MINUTE
    value = read(store, since=begin + 5 * MINUTE, until=begin + 12 * MINUTE)
    assert {one["who"] for one in value["attempts"]} == {
        "agent-20",
        "agent-00",
        "agent-01",
        "agent-02",
    }
    assert all(one["attempt_index"] is not None for one in value["events"])
    assert value["selection"].keys() == {"since_at", "until_at"}
    assert value["job"]["completed"] == 10  # the states are the whole job's


def test_one_agent_alone(store):
    support_team.write(store, "repo")
    value = read(store, agents=frozenset(["agent-10"]))
    assert [one["outcome"] for one in value["attempts"]] == ["retried", "retried", "failed"]
    assert {one["who"] for one in value["events"]} == {"agent-10"}


def test_a_job_without_events(store):
    (store / "events" / "repo" / "empty").mkdir(parents=True)
    value = read(store, "empty")
    assert (value["over_time"], value["attempts"], value["events"]) == (None, [], [])
    assert value["durations"]["completed"] is None
    assert value["failures"] == {"count": 0, "shown": []}


def test_no_such_job(store):
    with pytest.raises(ProdigyError, match="no job nothing"):
        read(store, "nothing")


def test_four_dialects_tell_the_same(store):
    def line(second, kind, fields, dialect):
        stamp = f"2025-01-11T12:00:{second:02}.000000Z"
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind).strip("_")
        return [
            {"type": kind, "timestamp": stamp, "job_id": "j", **fields},
            {"event_type": kind, "timestamp": stamp, "job_id": "j", **fields},
            {
                "timestamp": stamp,
                "correlation_id": "c",
                "event": {"event_type": snake, "job_id": "j", **fields},
            },
            {kind: {"timestamp": stamp, "job_id": "j", **fields}},
        ][dialect]

    who = {"agent_id": "a", "item_id": "i"}
    told = [
        ("AgentStarted", {**who, "attempt": 1}),
        ("AgentFailed", {**who, "attempt": 1, "error": "exit 7", "retry_eligible": True}),
        ("AgentStarted", {**who, "attempt": 2}),
        ("AgentCompleted", {**who, "attempt": 2}),
    ]
    values = []
    for dialect in range(4):
        job = f"dialect-{dialect}"
        write_log(
            store, "repo", job, "events-20250111.jsonl",
            *(line(n, kind, fields, dialect) for n, (kind, fields) in enumerate(told)),
        )  # fmt: skip
        values.append(read(store, job))
    for value in values:
        assert [one["outcome"] for one in value["attempts"]] == ["retried", "completed"]
        for name in ("attempts", "failures", "durations", "over_time", "events"):
            assert value[name] == values[0][name]


def test_damage_is_said_once_and_the_rest_is_there(store):
    path = support_team.write(store, "repo")
    with path.open("a") as log:
        log.write('{"type": "AgentSta\n[]\n{"unfinished":')
    said = []
    value = read(store, said=said)
    assert value["counts"]["events"] == 98
    assert len(said) == len(set(said)) == 3


def test_events_without_a_time_are_listed_and_not_drawn(store):
    write_log(
        store, "repo", "undated", "events-20250111.jsonl",
        {"type": "AgentStarted", "agent_id": "a", "item_id": "i"},
        {"type": "AgentCompleted", "agent_id": "a", "item_id": "i", "timestamp": "yesterday"},
    )  # fmt: skip
    value = read(store, "undated")
    assert [(one["at"], one["who"]) for one in value["events"]] == [(None, "a"), (None, "a")]
    assert value["over_time"] is None
    (one,) = value["attempts"]
    assert (one["outcome"], one["started_at"], one["ended_at"], one["seconds"]) == (
        "completed",
        None,
        None,
        None,
    )


def test_a_clock_that_was_wrong_does_not_hide_the_rest(store):
    path = support_team.write(store, "repo")
    with path.open("a") as log:
        for stamp in ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            line = {"type": "AgentFailed", "agent_id": stamp, "timestamp": stamp}
            log.write(json.dumps(line) + "\n")
    value = read(store)
    over = value["over_time"]
    assert over["step_seconds"] <= 120
    assert sum(over["completed"]) == 10
    assert value["counts"]["events"] == 100


def test_an_attempt_that_never_ended_is_given_up_when_another_began(store):
    started = {"type": "AgentStarted", "item_id": "i"}
    write_log(
        store, "repo", "j", "events-20250111.jsonl",
        {**started, "agent_id": "a", "attempt": 1, "timestamp": "2025-01-11T12:00:00Z"},
        {**started, "agent_id": "b", "attempt": 2, "timestamp": "2025-01-11T12:01:00Z"},
        {"type": "JobCancelled", "timestamp": "2025-01-11T12:02:00Z"},
        {**started, "item_id": "k", "agent_id": "c", "timestamp": "2025-01-11T12:01:30Z"},
    )  # fmt: skip
    assert outcomes(read(store, "j")) == {"abandoned": ["a", "b", "c"]}


def test_a_lease_that_is_over_makes_its_holder_dead(store):
    now = clock.now()
    started = {"type": "AgentStarted", "attempt": 1, "timestamp": clock.stamp(now - 60_000_000)}
    write_log(
        store, "repo", "j", "events-20250111.jsonl",
        {**started, "agent_id": "a", "item_id": "i", "lease_until": clock.stamp(now - 1_000_000)},
        {**started, "agent_id": "b", "item_id": "k", "lease_until": clock.stamp(now + 600_000_000)},
    )  # fmt: skip
    assert outcomes(read(store, "j")) == {"dead": ["a"], "running": ["b"]}


def test_as_many_as_a_page_can_hold(monkeypatch, store):
    monkeypatch.setattr(data, "ATTEMPTS_SHOWN", 8)
    support_team.write(store, "repo")
    value = read(store)
    # Those at work first, then those that something befell last.
    assert {"agent-15", "agent-16", "agent-17", "agent-18", "agent-19"} <= {
        one["who"] for one in value["attempts"]
    }
    assert (len(value["attempts"]), value["counts"]["attempts"]) == (8, 27)
    assert (
        max(one["attempt_index"] for one in value["events"] if one["attempt_index"] is not None) < 8
    )


def test_the_newest_events_of_a_long_log(store):
    write_log(
        store, "repo", "long", "events-20250111.jsonl",
        *({"type": "ClaudeMessage", "content": f"{n}", "timestamp": clock.stamp(n * clock.SECOND)}
          for n in range(story.EVENTS_SHOWN + 10)),
    )  # fmt: skip
    value = read(store, "long")
    assert value["counts"]["events"] == story.EVENTS_SHOWN + 10
    assert [value["events"][0]["text"], value["events"][-1]["text"]] == [
        "10",
        f"{story.EVENTS_SHOWN + 9}",
    ]


def test_files_that_several_items_changed():
    made = lambda sha, replaced=None: SimpleNamespace(sha=sha, replaced=replaced)  # noqa: E731
    who = [
        ("a", "i1", ["1", "2"], "completed"), ("b", "i2", ["3"], "running"),
        ("c", None, ["4"], "completed"),
        # One that was tried twice is one; what failed, and what is merged, nobody will merge.
        ("d", "i2", ["6"], "retried"), ("e", "i1", ["6"], "completed"),
        ("f", "i3", ["6"], "completed"),
    ]  # fmt: skip
    attempts = [
        SimpleNamespace(
            lane=name, item_id=item, session_id=f"s-{name}",
            commits=[made(sha, "5" if sha == "2" else None) for sha in shas],
        )
        for name, item, shas, _ in who
    ]  # fmt: skip
    changed = {"1": ["x", "y"], "2": ["z"], "3": ["x", "z"], "5": ["z"], "6": ["y"]}
    kinds = {id(one): kind for one, (*_, kind) in zip(attempts, who, strict=True)}
    value = shared_files(attempts, kinds, changed, {"s-f"})
    assert value["shown"] == [
        {"path": "x", "items": ["i1", "i2"], "item_count": 2, "working": 1, "commits": 2}
    ]
    assert (value["commits"], value["missing"]) == (4, 1)


@pytest.mark.parametrize(
    ("seconds", "step"), [(0, 1), (119, 1), (7200, 120), (86400 * 365 * 50, None)]
)
def test_steps_are_round_and_few(seconds, step):
    found = series.step_for(seconds * clock.SECOND)
    assert seconds / found <= 120
    assert step in (None, found)


def test_most_at_once_goes_on_between_turns():
    over = series.over_time(0, 10 * clock.SECOND, [], [], [(clock.SECOND, 4 * clock.SECOND)])
    assert over["running"] == [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("values", [[0.2], [1, 2, 3, 1e9], [300.0] * 5])
def test_every_duration_is_in_one_bin(values):
    bins = series.histogram({"completed": values, "failed": []})
    assert sum(bins["completed"]) == len(values)
    assert bins["completed"][0] > 0
    assert bins["completed"][-1] > 0
    assert sum(bins["failed"]) == 0
