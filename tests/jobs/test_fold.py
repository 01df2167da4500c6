"""The fold is a join: order, repetition and where a snapshot was taken do not matter."""

import json
import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodigy_git.jobs import books, checkpoints, fold, replay, steps
from prodigy_git.jobs.steps import Step

ITEMS = ["i1", "i2", "i3"]
AGENTS = ["a1", "a2", "a3"]
TIMES = [f"2025-01-11T12:00:0{n}.000000Z" for n in range(6)]

numbers = st.one_of(st.none(), st.integers(1, 4))
of_items = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "AgentStarted", "ClaimRenewed", "AgentCompleted", "AgentFailed", "AgentRetrying",
                "WorkItemProcessed", "DLQItemAdded", "DLQItemRemoved", "DLQItemsReprocessed",
                "ClaimReleased",
            ]
        ),
        "timestamp": st.sampled_from(TIMES),
        "agent_id": st.sampled_from(AGENTS),
        "item_id": st.sampled_from(ITEMS),
        "attempt": numbers,
        "error": st.sampled_from([None, "x", "y"]),
        "retry_eligible": st.sampled_from([None, True, False]),
        "commits": st.sampled_from([None, [], ["c1"]]),
        "late": st.sampled_from([None, None, None, True]),
        "lease_until": st.sampled_from([None, *TIMES]),
        "backoff_ms": st.sampled_from([None, 5, 9]),
        "error_signature": st.sampled_from([None, "s1", "s2"]),
        "status": st.sampled_from(["completed", "failed", "skipped"]),
        "worktree": st.sampled_from([None, "w1", "w2"]),
    }
)  # fmt: skip
of_jobs = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "JobStarted", "JobPaused", "JobResumed", "JobCompleted", "JobFailed",
                "JobCancelled", "JobReopened", "WorkItemsAdded",
                "JobPhaseChanged", "SessionStarted", "SessionFinished",
                "SessionResumed", "CommitCreated", "ClaudeMessage",
            ]
        ),
        "timestamp": st.sampled_from(TIMES),
        "session_id": st.sampled_from(["s1", "s2"]),
        "sequence": numbers,
        "resumed": numbers,
        "to": st.sampled_from([None, "map", "reduce", "complete"]),
        "status": st.sampled_from([None, "Completed", "Failed"]),
        "error": st.sampled_from([None, "x"]),
        "items": st.sampled_from([None, {"i1": 1}, {"i1": 2, "i2": 1}]),
        "items_sha256": st.sampled_from([None, "a" * 64, "b" * 64, "../../x"]),
        "part": st.sampled_from([None, 1, 2]),
        "count": st.sampled_from([None, 1]),
        "total_items": st.sampled_from([None, 3]),
        "max_attempts": numbers,
    }
)  # fmt: skip
histories = st.lists(st.one_of(of_items, of_jobs), max_size=25)


def lines(history):
    return [
        json.dumps(
            {k: v for k, v in event.items() if v is not None} | {"event_type": event["type"]}
        )
        for event in history
    ]


def folded(history, state=None):
    state = state or books.State(books.Job("j"))
    fold.apply(state, [Step(**event) for event in history])
    return state


def seen(state):
    """What two states have to have in common, whatever the order of what is in them."""
    return (
        msgspec.json.encode(state.job, order="deterministic"),
        {n: msgspec.json.encode(i, order="deterministic") for n, i in state.items.items()},
        {n: books.view(i) for n, i in state.items.items()},
        state.sessions,
    )


@settings(max_examples=600, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(history, draw):
    shuffled = list(history)
    draw.shuffle(shuffled)
    assert seen(folded(shuffled)) == seen(folded(history))


@settings(max_examples=300, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_a_repeated_event_counts_as_a_line_and_changes_nothing_else(history, draw):
    again = history + [e for e in history if draw.random() < 0.5]
    one, two = folded(history), folded(again)
    two.job.counts = one.job.counts
    for name, item in two.items.items():
        item.late = one.items[name].late
    assert seen(two) == seen(one)


@settings(max_examples=200, deadline=None)
@given(histories, st.integers(0, 25), st.integers(0, 2**32))
def test_a_checkpoint_and_the_tail_are_the_whole_log(scratch, history, cut, seed):
    """Through the files: several of them, lines that hold no event, other dialects, a torn end."""
    store = Path(tempfile.mkdtemp(dir=scratch))
    folder = store / "events" / "r" / "j"
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    (store / "state/r/mapreduce/jobs/j").mkdir(parents=True)
    files = [folder / n for n in ("events-20250111.jsonl", "events-20250112.jsonl", "x.rotated")]
    files[2] = folder / "a.jsonl.rotated"

    def write(part):
        for line in lines(part):
            if draw.random() < 0.2:
                line = "{not an event"
            elif draw.random() < 0.2:
                fields = json.loads(line)
                line = json.dumps({fields.pop("type"): fields | {"event_type": None}})
                line = line.replace('"event_type": null', '"note": "caf\u00e9"')
            with draw.choice(files).open("a") as log:
                log.write(line + "\n")

    write(history[:cut])
    first = books.State(books.Job("j"))
    position = replay.advance(first, str(store), "r", {}, lambda _: None)
    rows = [(name, None, item) for name, item in first.items.items()]
    checkpoints.write(str(store), "r", first.job, "map", rows, first.sessions, position)
    write(history[cut:])
    with files[0].open("a") as log:
        log.write('{"type":"AgentStarted","item_id":"i1"')  # its writer is about to go on
    reports = []
    resumed, position = checkpoints.newest(str(store), "r", "j", reports.append)
    replay.advance(resumed, str(store), "r", position, lambda _: None)
    assert reports == []
    assert seen(resumed) == seen(replay.whole(str(store), "r", "j", lambda _: None))


@pytest.mark.parametrize(
    ("types", "state"),
    [
        ([], "pending"),
        ([("AgentStarted", 1)], "in_progress"),
        ([("AgentStarted", 1), ("AgentFailed", 1)], "pending"),
        ([("AgentStarted", 1), ("AgentFailed", 1), ("AgentStarted", 2)], "in_progress"),
        ([("AgentStarted", 1), ("AgentCompleted", 1)], "completed"),
        ([("AgentStarted", 1), ("AgentFailed", 1), ("AgentCompleted", 1)], "completed"),
        (
            [("AgentStarted", 1), ("AgentFailed", 1), ("AgentStarted", 2), ("AgentCompleted", 1)],
            "in_progress",
        ),
        ([("AgentStarted", 1), ("AgentFailed", 1), ("DLQItemAdded", 1)], "dead"),
        ([("AgentStarted", 1), ("DLQItemAdded", 1), ("DLQItemRemoved", 1)], "failed"),
        ([("AgentStarted", 1), ("DLQItemAdded", 1), ("DLQItemsReprocessed", 1)], "pending"),
        # as other writers have it, with no attempt: by time
        ([("AgentStarted", None), ("AgentCompleted", None)], "completed"),
        ([("AgentStarted", None), ("AgentFailed", None), ("AgentStarted", None)], "in_progress"),
        ([("AgentStarted", 1), ("AgentFailed", None)], "pending"),
        ([("AgentStarted", 1), ("AgentFailed", None), ("AgentStarted", 2)], "in_progress"),
        ([("AgentStarted", 1), ("WorkItemProcessed", None)], "completed"),
        ([("AgentStarted", 1), ("ClaimReleased", 1)], "pending"),
        ([("ClaimReleased", 1), ("AgentStarted", 1), ("AgentStarted", 2)], "in_progress"),
        ([("AgentStarted", 1), ("AgentCompleted", 1), ("ClaimReleased", 1)], "completed"),
        ([("AgentStarted", 1), ("DLQItemAdded", 1), ("ClaimReleased", 1)], "dead"),
    ],
)
def test_what_an_items_events_come_to(types, state):
    history = [
        {
            "type": kind, "attempt": attempt, "item_id": "i", "agent_id": "a",
            "timestamp": TIMES[n], "status": "completed",
        }
        for n, (kind, attempt) in enumerate(types)
    ]  # fmt: skip
    found = folded(history)
    assert books.view(found.items.get("i", books.Item())).state == state


def test_attempts_that_were_given_back_do_not_count(tmp_path):
    def event(kind, attempt):
        return {"type": kind, "attempt": attempt, "item_id": "i", "agent_id": "a"}

    given_back = [event("ClaimReleased", n) for n in (3, 1, 3)]
    history = [event("AgentStarted", 4), event("AgentFailed", 2), *given_back]
    assert books.last_attempt(folded(history).items["i"], 3) == 5
    # Those before the item came back from the queue count no more than any other of that time.
    back = {"type": "DLQItemsReprocessed", "items": {"i": 2}}
    assert books.last_attempt(folded([*history, back]).items["i"], 3) == 6


def test_an_end_that_names_no_item_is_of_what_its_agent_started(tmp_path):
    start = {"type": "AgentStarted", "item_id": "i", "agent_id": "a", "timestamp": TIMES[0]}
    end = {"type": "AgentCompleted", "agent_id": "a", "timestamp": TIMES[1], "commits": ["c"]}
    for history in ([start, end], [end, start]):
        assert books.view(folded(history).items["i"]).state == "completed"


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"AgentFailed","event_type":"AgentFailed","attempt":99999999999999999999,"item_id":"i"}',
        b'{"type":"AgentFailed","event_type":"AgentFailed","attempt":"2","item_id":"i"}',
        b'{"type":"AgentFailed","event_type":"AgentFailed","error":"\\ud800","item_id":"i"}',
        b'{"type":"AgentStarted","event_type":"AgentStarted","owner":{"pid":[1]},"item_id":"i"}',
        b'{"type":"AgentFailed","event_type":"AgentFailed","duration":{"secs":-1},"item_id":"i"}',
        b'{"agent_failed":{"item_id":"i","timestamp":"2025-01-11T13:00:00.123456789+01:00"}}',
    ],
)
def test_fields_of_other_shapes_are_left_out_and_the_event_counts(tmp_path, line):
    path = tmp_path / "events-1.jsonl"
    path.write_bytes(line + b"\n")
    reports = []
    ((step,),) = steps.read(str(path), 0, reports.append, lambda _: None)
    assert (step.item_id, reports) == ("i", [])
    state = folded([])
    fold.apply(state, [step])
    msgspec.json.encode(state.items["i"])
    assert step.timestamp in (None, "2025-01-11T12:00:00.123456Z")


@pytest.mark.parametrize(
    ("marks", "comes_to"),
    [
        ([(0, "Running"), (0, "Failed")], (0, "Failed")),
        # Believed dead, and back.
        ([(0, "Failed"), (0, "Completed")], (0, "Completed")),
        ([(0, "Failed"), (1, "Running")], (1, "Running")),
        ([(0, "Completed"), (1, "Running"), (1, "Failed")], (1, "Failed")),
        ([(0, "Running"), (0, "Waiting")], (0, "Waiting")),
    ],
)
def test_how_it_stands_with_a_session(marks, comes_to):
    for order in (marks, marks[::-1]):
        state = folded(
            {
                "type": "SessionFinished" if status != "Running" else "SessionResumed",
                "session_id": "s", "status": status, "resumed": resumed,
            }
            for resumed, status in order
        )  # fmt: skip
        assert state.sessions == {"s": comes_to}


def test_what_is_no_digest_names_no_file_of_items():
    lies = ["../../x", "A" * 64, "0" * 63, "0" * 64 + "\n"]
    state = folded([{"type": "WorkItemsAdded", "items_sha256": one} for one in ["0" * 64, *lies]])
    assert list(state.job.parts) == ["0" * 64]
    state = folded([{"type": "JobStarted", "timestamp": TIMES[0], "items_sha256": lies[0]}])
    assert state.job.opened.items_sha256 == ""
