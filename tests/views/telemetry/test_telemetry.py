"""A job's log as spans and metrics: what of it, under which ids, and whatever the log holds."""

import json

import pytest
import support_team
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from prodigy_git.model.event import parse_line
from prodigy_git.model.selection import Selection
from prodigy_git.views.telemetry import signals
from prodigy_git.views.telemetry.forms import readable
from prodigy_git.views.telemetry.story import Story, is_meant

NOW = 1_736_596_800 * 10**6
STAMP = "2025-01-11T12:00:{:02}.000000Z"


def story(told, *, repo="r", job="j"):
    found = Story(repo, job)
    for one in told:
        found.add(one if not isinstance(one, dict) else parse_line(json.dumps(one).encode()))
    return found


def events(*told):
    """Return events a second apart, from pairs of a type and fields."""
    return [
        {"id": str(n), "timestamp": STAMP.format(n), "type": kind, "job_id": "j", **fields}
        for n, (kind, fields) in enumerate(told)
    ]


def agent(kind, number=1, name="a", **more):
    return kind, {
        "agent_id": name, "session_id": name, "item_id": "i", "attempt": number, **more
    }  # fmt: skip


def spans(found):
    return list(found.spans(found.due.values()))


def values(found, name):
    """Return a metric's values by the attribute that is not the job."""
    (metric,) = (one for one in found.metrics() if one.name == name)
    return {
        next((v for k, v in point.attributes.items() if k != "prodigy.job_id"), None): point.value
        for point in metric.points
    }


@pytest.fixture
def team():
    return story(support_team.events(NOW), job=support_team.JOB)


def test_each_attempt_that_has_ended_is_a_span_under_the_job(team):
    found = spans(team)
    ended = [*support_team.COMPLETED, "agent-20", *3 * support_team.FAILED, *support_team.RETRIED]
    assert sorted(one.name for one in found) == sorted(f"agent {name}" for name in ended)
    root = team.root()
    assert {(one.trace_id, one.parent_id) for one in found} == {(root.trace_id, root.span_id)}
    assert len({one.span_id for one in [root, *found]}) == len(found) + 1
    assert root.parent_id is None
    assert root.name == "job review"
    assert root.attributes["prodigy.outcome"] == "running"
    assert (root.start, root.end // 10**9) == ((NOW - 7200 * 10**6) * 1000, NOW // 10**6 - 30)


def test_what_a_span_says_of_its_attempt(team):
    by_item = [one for one in spans(team) if one.attributes["prodigy.item_id"] == "item-3"]
    failed, done = by_item
    assert failed.error == "Timeout after 300 seconds"
    assert failed.attributes["error.type"] == "CommandFailed"
    assert failed.attributes["prodigy.error_signature"] == "Timeout after # seconds"
    assert (failed.linked, done.linked) == (None, failed.span_id)
    assert (done.error, done.attributes["prodigy.attempt"]) == (None, 2)
    assert done.attributes["prodigy.outcome"] == "completed"
    assert done.attributes["prodigy.json_log_location"] == "/logs/agent-03.json"
    commits = [support_team.sha(f"3/{n}") for n in (0, 1)]
    assert [one.attributes["vcs.ref.head.revision"] for one in done.events] == commits
    assert done.attributes["vcs.ref.head.revision"] == commits[-1]
    assert [one.attributes["prodigy.commit.subject"] for one in done.events] == [
        "Step 1 of item 3", "Step 2 of item 3",
    ]  # fmt: skip
    assert done.start < done.events[0].at < done.events[1].at < done.end


def test_read_again_or_in_pieces_it_is_the_same(team):
    again = Story("r", support_team.JOB)
    got = {}
    for one in support_team.events(NOW):
        again.add(parse_line(json.dumps(one).encode()))
        got |= {span.span_id: span for span in spans(again)}
    assert list(got.values()) == spans(team)
    assert again.root() == team.root()
    elsewhere = story(support_team.events(NOW), repo="other", job=support_team.JOB)
    assert elsewhere.trace_id != team.trace_id
    assert not {one.span_id for one in spans(elsewhere)} & set(got)


def test_metrics_count_from_the_jobs_begin_on(team):
    assert values(team, "prodigy.attempts") == {"completed": 10, "failed": 12}
    assert values(team, "prodigy.commits") == {"commit": 27}
    assert values(team, "prodigy.events")["AgentFailed"] == 12
    assert values(team, "prodigy.active_attempts") == {None: 5}
    spread = values(team, "prodigy.attempt.duration")["failed"]
    # 480 s once, 300 s nine times, 600 s twice; a bound belongs to the bucket below it.
    assert (spread.count, spread.total, spread.least, spread.most) == (12, 4380, 300, 600)
    by_bound = dict(zip(signals.BOUNDS, spread.buckets, strict=False))
    assert (by_bound[300], by_bound[600]) == (9, 3)
    assert {p.start for m in team.metrics() for p in m.points} == {team.root().start}


def test_a_job_that_ends_ends_its_trace():
    told = events(
        ("JobStarted", {}),
        ("JobPhaseChanged", {"from": "setup", "to": "map"}),
        agent("AgentStarted"),
        ("JobFailed", {"error": "no disk"}),
        ("WorktreeCleaned", {"session_id": "a"}),
    )
    found = story(told)
    root = found.root()
    assert found.over
    assert (root.end - root.start, root.error) == (3 * 10**9, "no disk")
    assert root.attributes["error.type"] == "JobFailed"
    assert [(one.name, one.attributes) for one in root.events] == [
        ("phase", {"prodigy.phase.from": "setup", "prodigy.phase.to": "map"})
    ]
    (left,) = spans(found)
    assert (left.attributes["prodigy.outcome"], left.end) == ("running", root.end)
    assert values(found, "prodigy.active_attempts") == {None: 0}
    found.add(parse_line(json.dumps(events(*5 * [agent("AgentCompleted")])[4]).encode()))
    (late,) = spans(found)
    assert (late.span_id, late.attributes["prodigy.outcome"]) == (left.span_id, "completed")


def test_a_session_without_an_agent_is_no_attempt():
    own = {"session_id": "mine"}
    told = [("SessionStarted", own), agent("AgentStarted"), agent("AgentCompleted")]
    found = story(events(*told))
    assert values(found, "prodigy.attempts") == {"completed": 1}
    assert values(found, "prodigy.active_attempts") == {None: 0}
    found = story(events(*told, ("SessionFinished", {**own, "status": "Completed"})))
    assert len(spans(found)) == 2
    assert values(found, "prodigy.attempts") == {"completed": 1}


def test_a_job_nobody_started_lasts_as_long_as_its_sessions():
    told = events(
        ("SessionStarted", {"session_id": "s"}),
        ("CommitCreated", {"session_id": "s", "commit": "1" * 40, "action": "amend"}),
        ("SessionFinished", {"session_id": "s", "status": "Completed"}),
        ("WorktreeCleaned", {"session_id": "s"}),
    )
    assert not story(told[:2]).over
    found = story(told)
    (one,) = spans(found)
    assert found.over
    assert (one.name, one.end) == ("session s", found.root().end)
    found.due.clear()
    found.forget()
    assert values(found, "prodigy.commits") == {"amend": 1}
    found.add(parse_line(json.dumps({**told[0], "timestamp": STAMP.format(9)}).encode()))
    assert not found.over


def test_a_commit_after_the_end_sends_the_span_again():
    made = ("CommitCreated", {"session_id": "a", "agent_id": "a", "commit": "1" * 40})
    told = events(agent("AgentStarted"), agent("AgentCompleted"), made)
    found = story(told[:2])
    (before,) = spans(found)
    found.due.clear()
    found.add(parse_line(json.dumps(told[2]).encode()))
    (after,) = spans(found)
    assert before.span_id == after.span_id
    assert (len(before.events), len(after.events)) == (0, 1)


def test_two_attempts_that_nothing_tells_apart_have_ids_of_their_own():
    told = [{**one, "timestamp": STAMP.format(1)} for one in events(*4 * [agent("AgentStarted")])]
    told[1]["type"] = told[3]["type"] = "AgentFailed"
    assert len({one.span_id for one in spans(story(told))}) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"error": "x" * 10**6},
        {"error": "half \ud800 \udfff\x00\x1b[2J", "failure_reason": "\udc80"},
        {"error": 7, "failure_reason": [], "json_log_location": {}},
        {"timestamp": "9999-12-31T23:59:59Z"},
        {"timestamp": "0001-01-01T00:00:00Z"},
        {"timestamp": "yesterday"},
        {"commits": ["\ud800" * 5000] * 3000},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_whatever_a_log_holds_is_sent_in_a_form_that_receivers_take(fields):
    start = agent("AgentStarted", item_id="\ud834" * 2000, attempt=10**30)
    end = agent("AgentFailed", item_id="\ud834" * 2000, attempt=10**30)
    told = events(("JobStarted", {}), start, end)
    told[2] |= fields
    found = story(told)
    (one,) = spans(found)
    for span in (one, found.root()):
        request = encode_spans([readable(span, Resource({}))])
        sent = request.resource_spans[0].scope_spans[0].spans[0]
        assert len(sent.attributes) == len(span.attributes)
        assert 0 <= sent.start_time_unix_nano <= sent.end_time_unix_nano < 1 << 63
    assert len(one.error) <= signals.TEXT_LIMIT
    assert "prodigy.attempt" not in one.attributes


def test_an_end_without_a_time_is_at_the_latest_one_before():
    told = events(agent("AgentStarted"), ("ClaudeMessage", {}), agent("AgentCompleted"))
    del told[2]["timestamp"]
    (one,) = spans(story(told))
    assert one.end - one.start == 10**9


def test_requests_stay_below_what_grpc_takes():
    commits = [f"{n:040x}" for n in range(3 * signals.EVENT_LIMIT)]
    told = []
    for n in range(40):
        name = f"{n}" + "\ud800" * 900
        told += [
            agent("AgentStarted", n, name),
            agent("AgentFailed", n, name, commits=commits if n % 10 == 0 else [], error=name * 2),
        ]
    found = spans(story([{**e, "timestamp": STAMP.format(0)} for e in events(*told)]))
    assert found[0].dropped_events == 2 * signals.EVENT_LIMIT
    assert found[0].events[-1].attributes["vcs.ref.head.revision"] == commits[-1]
    batches = list(signals.batches(found))
    assert [one for batch in batches for one in batch] == found
    for batch in batches:
        request = encode_spans([readable(one, Resource({})) for one in batch])
        assert request.ByteSize() < 4 << 20
    first = encode_spans([readable(found[0], Resource({}))]).resource_spans[0].scope_spans[0]
    assert first.spans[0].dropped_events_count == 2 * signals.EVENT_LIMIT


def test_types_without_end_are_counted_together():
    found = story(events(*((f"T{n}", {}) for n in range(50))))
    assert len(values(found, "prodigy.events")) == 50
    more = [{"type": f"U{n}", "id": "x"} for n in range(200)]
    for one in more:
        found.add(parse_line(json.dumps(one).encode()))
    counts = values(found, "prodigy.events")
    assert len(counts) == signals.SERIES_LIMIT + 1
    assert counts[True] == 250 - signals.SERIES_LIMIT
    assert sum(counts.values()) == 250


def test_a_selection_is_about_who_and_when_it_ended():
    told = events(agent("AgentStarted"), agent("AgentFailed"), agent("AgentStarted", 2, "b"),
                  agent("AgentCompleted", 2, "b"))  # fmt: skip
    one, two = story(told).due.values()
    moment = two.attempt.ended
    for selection, wanted in (
        (Selection(agents=frozenset("a")), [True, False]),
        (Selection(sessions=frozenset("b")), [False, True]),
        (Selection(items=frozenset("x")), [False, False]),
        (Selection(since=moment), [False, True]),
        (Selection(until=moment - 1), [True, False]),
    ):
        assert [is_meant(kept, selection) for kept in (one, two)] == wanted


def test_metrics_of_one_name_are_put_together():
    one, two = story(events(("A", {}))), story(events(("B", {})), job="k")
    found = signals.merged([*one.metrics(), *two.metrics()])
    assert len({metric.name for metric in found}) == len(found)
    (counted,) = (metric for metric in found if metric.name == "prodigy.events")
    assert [(p.attributes["prodigy.job_id"], p.value) for p in counted.points] == [
        ("j", 1), ("k", 1),
    ]  # fmt: skip


def test_who_was_believed_dead_and_comes_back_is_one_attempt():
    told = events(
        agent("AgentStarted"), agent("AgentFailed", error="its process is gone"),
        agent("AgentCompleted", late=True),
        agent("AgentStarted", 2, "b"), agent("AgentFailed", 2, "b", error="x"),
    )  # fmt: skip
    found = story(told)
    one, two = spans(found)
    assert (one.attributes["prodigy.outcome"], one.attributes["prodigy.late"], one.error) == (
        "completed", True, None,
    )  # fmt: skip
    assert (one.end - one.start) == 2 * 10**9
    assert two.attributes["prodigy.outcome"] == "failed"
    assert values(found, "prodigy.attempts") == {"completed": 1, "failed": 1}
    lasted = values(found, "prodigy.attempt.duration")
    assert (lasted["completed"].total, lasted["failed"].count) == (2, 1)
    assert found.root().attributes["prodigy.attempts"] == 2


def test_who_comes_back_while_it_is_followed_is_sent_again_and_no_sum_falls():
    told = events(
        agent("AgentStarted"), agent("AgentFailed"), agent("AgentCompleted"),
        agent("AgentStarted", 2, "b"), agent("AgentFailed", 2, "b"),
        agent("AgentStarted", 3, "c"), agent("AgentFailed", 3, "c"),
    )  # fmt: skip
    found = Story("r", "j")
    sums, sent = [], []
    for one in told:
        found.add(parse_line(json.dumps(one).encode()))
        sent += spans(found)
        found.due.clear()
        counted = values(found, "prodigy.attempts")
        sums.append((counted.get("failed", 0), counted.get("completed", 0)))
    assert sums == [(0, 0), (1, 0), (1, 1), (1, 1), (1, 1), (1, 1), (2, 1)]
    assert [one.attributes["prodigy.outcome"] for one in sent] == [
        "failed", "completed", "failed", "failed",
    ]  # fmt: skip
    assert sent[0].span_id == sent[1].span_id
