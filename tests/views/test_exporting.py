"""Exports: nothing lost on the way to Prodigy's records and back, nothing a spreadsheet would run."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prodigy_git.model.event import Event, parse_line
from prodigy_git.model.known_events import KNOWN
from prodigy_git.views import exporting

SAMPLES = Path(__file__).parents[1] / "samples" / "prodigy" / "events.jsonl"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = st.sampled_from(["error", "commit", "event", "duration", "metadata", "fields"]) | TEXTS
ENVELOPE = ("id", "timestamp", "correlation_id", "job_id", "session_id", "agent_id", "item_id")
EVENTS = st.builds(
    lambda kind, envelope, own: {**own, **envelope, "type": kind},
    st.sampled_from(sorted(KNOWN)) | TEXTS,
    st.dictionaries(st.sampled_from(ENVELOPE), TEXTS),
    st.dictionaries(
        NAMES.filter(lambda name: name not in (*ENVELOPE, "type", "event_type")), VALUES, max_size=4
    ),
)


def fields_of(event):
    fields = event.fields()
    if fields.get("metadata") == {}:  # which Prodigy has always, and we where there is something
        del fields["metadata"]
    return fields


@given(EVENTS)
@example({"type": "DLQItemsReprocessed", "count": 1})
@example({"type": "MyHTTPThing"})
@example({"type": "X", "metadata": "text"})
@example({"type": "X", "event": {"type": "Y"}})
def test_prodigys_records_are_read_back_to_equal_events(fields):
    try:
        event = parse_line(json.dumps(fields).encode())
    except ValueError:
        return
    (line,) = exporting.prodigy([event])
    back = parse_line(line.encode())
    assert fields_of(back) == fields_of(event)
    assert [getattr(back, name) for name in ENVELOPE] == [getattr(event, name) for name in ENVELOPE]


@pytest.mark.parametrize("line", SAMPLES.read_bytes().splitlines())
def test_prodigys_own_records_come_back_as_they_were(line):
    (made,) = exporting.prodigy([parse_line(line)])
    given = json.loads(line)
    if "event" in given:
        assert json.loads(made) == given
    assert parse_line(made.encode()).type == parse_line(line).type


@given(EVENTS)
def test_json_lines_are_read_back_to_equal_events(fields):
    try:
        event = parse_line(json.dumps(fields).encode())
    except ValueError:
        return
    (line,) = exporting.jsonl([event])
    assert line.isascii()
    assert parse_line(line.encode()).fields() == event.fields()


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_type_has_the_name_that_prodigy_gives_it(kind):
    snake = exporting.snake_case(kind)
    assert snake.islower()
    assert snake.replace("_", "") == kind.lower()
    assert exporting.snake_case("DLQItemAdded") == "dlq_item_added"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_nothing_that_a_spreadsheet_would_run(start):
    event = Event(type=f"{start}cmd|' /C calc'!A0", agent_id=f'{start}HYPERLINK("x")', written={})
    text = "".join(exporting.csv_text([event]))
    heads, row = csv.reader(io.StringIO(text, newline=""))
    assert heads == list(exporting.COLUMNS)
    assert row[1].startswith(f"'{start}")
    assert row[4].startswith(f"'{start}")


def test_numbers_stay_numbers_and_texts_with_everything_in_them_come_back():
    hostile = 'a,"b"\r\n\N{SNOWMAN}\ud800'
    text = "".join(exporting.csv_rows(["n", "t"], [[-5, hostile], [None, ""]]))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["n", "t"], ["-5", hostile.replace("\ud800", "?")], ["", ""]]


def test_many_rows_come_in_pieces():
    rows = ([number] for number in range(10_000))
    pieces = list(exporting.csv_rows(["n"], rows))
    assert len(pieces) > 10
    assert "".join(pieces).split() == ["n", *map(str, range(10_000))]
