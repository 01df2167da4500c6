"""Every sample of the two seed documents is read, in whichever dialect it stands there."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodigy_git.model.dlq import Queue
from prodigy_git.model.event import parse_line
from prodigy_git.model.session import Session

# The documents' JSON blocks, their comments removed and `{...}` filled in.
EVENTS = [
    '{"type":"AgentStarted","job_id":"mapreduce-123","agent_id":"agent-1","item_id":"item-1",'
    '"timestamp":"2025-01-11T12:00:00Z"}',
    '{"type":"AgentCompleted","job_id":"mapreduce-123","agent_id":"agent-1",'
    '"duration":{"secs":30,"nanos":0},"commits":["abc123","def456"],'
    '"json_log_location":"/path/to/logs/session-xyz.json"}',
    '{"type":"AgentFailed","job_id":"mapreduce-123","agent_id":"agent-1",'
    '"error":"Timeout after 300 seconds","json_log_location":"/path/to/logs/session-xyz.json"}',
    '{"type":"WorkItemProcessed","job_id":"mapreduce-123","item_id":"item-1",'
    '"status":"completed","result":{"ok":null}}',
    '{"type":"CheckpointSaved","job_id":"mapreduce-123","phase":"map",'
    '"checkpoint_path":"/path/to/checkpoint.json","timestamp":"2025-01-11T12:05:00Z"}',
    '{"type":"ClaudeMessage","agent_id":"agent-1","content":"Analyzing file structure...",'
    '"message_type":"assistant","json_log_location":"/path/to/logs/session-xyz.json"}',
    '{"timestamp":"2025-11-11T12:00:00Z","event_type":"AgentStarted","agent_id":"agent-1"}',
    '{"timestamp":"2025-11-11T12:00:30Z","event_type":"AgentCompleted","agent_id":"agent-1",'
    '"commits":["abc123"]}',
]


@pytest.mark.parametrize("line", EVENTS, ids=range(len(EVENTS)))
def test_events_keep_every_field(line):
    fields = json.loads(line)
    event = parse_line(line.encode() + b"\n")
    kind = fields.get("type", fields.get("event_type"))
    assert (event.type, event.event_type) == (kind, kind)
    assert event.fields().items() >= fields.items()
    assert (event.moment is None) == ("timestamp" not in fields)


FLAT = {
    "type": "AgentCompleted", "event_type": "AgentCompleted", "job_id": "j", "agent_id": "a",
    "commits": ["abc123"],
}  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "AgentCompleted", "job_id": "j", "agent_id": "a", "commits": ["abc123"]},
        {"event_type": "AgentCompleted", "job_id": "j", "agent_id": "a", "commits": ["abc123"]},
        {"event_type": "agent_completed", "job_id": "j", "agent_id": "a", "commits": ["abc123"]},
        {"AgentCompleted": {"job_id": "j", "agent_id": "a", "commits": ["abc123"]}},
        {
            "id": "i", "timestamp": "2025-01-11T12:00:00Z", "correlation_id": "c",
            "event": {
                "event_type": "agent_completed", "job_id": "j", "agent_id": "a",
                "commits": ["abc123"],
            },
            "metadata": {"host": "h"},
        },
        {
            "id": "i", "timestamp": "2025-01-11T12:00:00Z", "correlation_id": "c",
            "event": {"AgentCompleted": {"job_id": "j", "agent_id": "a", "commits": ["abc123"]}},
        },
    ],
    ids=["type", "event_type", "snake_case", "tagged", "record", "record of tagged"],
)  # fmt: skip
def test_the_dialects_give_one(fields):
    event = parse_line(json.dumps(fields).encode())
    assert event.fields().items() >= FLAT.items()
    if "event" in fields:
        assert (event.id, event.correlation_id) == ("i", "c")
        assert event.moment == 1736596800_000000


@pytest.mark.parametrize(
    ("snake", "pascal"),
    [
        ("dlq_item_added", "DLQItemAdded"),
        ("job_phase_changed", "JobPhaseChanged"),
        ("work_item_processed", "WorkItemProcessed"),
    ],
)
def test_names_become_pascal_case(snake, pascal):
    assert parse_line(json.dumps({"event_type": snake}).encode()).type == pascal


def test_an_event_with_a_field_called_event_is_still_flat():
    event = parse_line(b'{"type":"Their","event":{"no":"type here"}}')
    assert event.own() == {"event": {"no": "type here"}}


def test_deep_nesting_is_a_broken_line_not_a_crash():
    line = b'{"event":' * 900 + b'{"type":"X"}' + b"}" * 900
    with pytest.raises(ValueError):
        parse_line(line)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_event_or_a_broken_line(data):
    with contextlib.suppress(ValueError):
        assert parse_line(data).type


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["type", "event_type", "event", "timestamp", "id", "agent_id", "AgentCompleted", "x"]
)


@given(st.dictionaries(names, json_values))
def test_any_object_is_an_event_or_a_broken_line(fields):
    with contextlib.suppress(ValueError):
        event = parse_line(json.dumps(fields).encode())
        assert event.moment is None or isinstance(event.moment, int)


def test_a_dlq_as_short_as_the_seeds_is_read():
    document = {
        "items": [
            {
                "item_id": "item-123",
                "work_item": {"any": "thing"},
                "failure_history": [
                    {
                        "timestamp": "2025-11-11T12:00:00Z",
                        "error": "Agent failed",
                        "json_log_location": "/path/to/claude-log.jsonl",
                    }
                ],
            }
        ]
    }
    (item,) = Queue.of(document).items
    assert item.item_id == "item-123"
    assert item.failure_history[0].error == "Agent failed"


def test_unknown_fields_of_a_session_are_kept():
    fields = {
        "id": "s", "session_type": "MapReduce", "status": "Running",
        "started_at": "2025-01-11T12:00:00.123456789+00:00", "updated_at": "x", "theirs": {"a": 1},
        "mapreduce_data": {"job_id": "j", "phase": "Reduce", "their": [1]},
        "checkpoints": [{"id": "c", "created_at": "x", "state": {}, "metadata": {}, "more": 1}],
    }  # fmt: skip
    dumped = Session.of(fields).as_json()
    assert (
        dumped.items()
        >= {name: fields[name] for name in fields if name != "mapreduce_data"}.items()
    )
    assert dumped["mapreduce_data"].items() >= fields["mapreduce_data"].items()
