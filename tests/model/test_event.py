"""A line is read quickly where it is in our own form; what comes out is what the slow way gives."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prodigy_git.model.event import Event, parse_line, parse_lines, pascal_case
from prodigy_git.record import clock, jsonline

ENVELOPE = [
    "type", "event_type", "id", "timestamp", "correlation_id", "job_id", "session_id", "agent_id",
    "item_id",
]  # fmt: skip


def slowly(line):
    """What an event's fields are, from DESIGN section 6 and the standard library's JSON alone."""
    fields = jsonline.decode_object(line)
    if isinstance(fields.get("event"), dict) and not {"type", "event_type"} & set(fields):
        outer = {name: value for name, value in fields.items() if name != "event"}
        fields = {**untagged(fields["event"]), **outer}
    fields = untagged(fields)
    kind = fields.get("type") or fields.get("event_type")
    if not isinstance(kind, str):
        raise ValueError
    fields = {**fields, "type": pascal_case(kind), "event_type": pascal_case(kind)}
    if not all(isinstance(fields.get(name), str | None) for name in ENVELOPE):
        raise ValueError
    return fields


def untagged(fields):
    if len(fields) == 1:
        ((kind, body),) = fields.items()
        if isinstance(body, dict) and kind not in ("type", "event_type", "event"):
            return {**body, "type": kind}
    return fields


STRINGS = [
    b'"AgentFailed"', b'"agent_failed"', b'"AgentF\\u0061iled"', b'""',
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\ud83d\\u0041"', b'"\xff"', b'"\xc3\xa4"', b'"\xed\xa0\x80"',
    b'"\x01"', b'"\x7f"', b'"\\q"', b'"\\u12"', b'"a\\"b\\\\"', b'"' + b"x" * 900 + b'"',
]  # fmt: skip
NAMES = [
    *(f'"{name}"'.encode() for name in (*ENVELOPE, "event", "AgentFailed", "written", "own", "x")),
    b'"t\\u0079pe"', b'"\\ud800"', b'"\xff"', b'""',
]  # fmt: skip
ODD = [
    b"null", b"true", b"false", b"0", b"-0", b"1.5", b"1e999", b"-1e400000", b"1e-400", b"NaN",
    b"01", b"1.", b"+1", b"18446744073709551616", b"9" * 40, b"9" * 5000, b"9" * 40 + b".5", b"tru",
    *(b"[" * depth + b"]" * depth for depth in (1, 150, 400, 3000)),
    b"", b"-Infinity", b"[1,]", b"{}",
]  # fmt: skip


def objects(inner, most):
    pairs = st.tuples(st.sampled_from(NAMES), inner)
    return st.lists(pairs, max_size=most).map(written)


def written(pairs):
    return b"{" + b",".join(b":".join(pair) for pair in pairs) + b"}"


values = st.recursive(
    st.sampled_from(STRINGS + ODD) | st.text(max_size=4).map(json.dumps).map(str.encode),
    lambda inner: (
        objects(inner, 3)
        | st.lists(inner, max_size=3).map(lambda some: b"[" + b",".join(some) + b"]")
    ),
    max_leaves=6,
)
likely = st.sampled_from(STRINGS[:5]) | values
ours = [(b'"type"', b'"AgentFailed"'), (b'"event_type"', b'"AgentFailed"')]
in_our_form = st.lists(st.tuples(st.sampled_from(NAMES), likely), max_size=5).flatmap(
    lambda more: st.permutations([*ours, *more]).map(written)
)
recorded = objects(likely, 4).map(lambda inner: b'{"id":"i","event":' + inner + b"}")
tagged = objects(likely, 4).map(lambda inner: b'{"AgentFailed":' + inner + b"}")
spaced = st.sampled_from([b"%s", b" \t%s\r\n", b"%s x", b"\xef\xbb\xbf%s", b"%s\0", b"%s%s"])
lines = st.tuples(spaced, in_our_form | objects(likely, 6) | recorded | tagged).map(
    lambda both: both[0].replace(b"%s", both[1])
)


@given(lines)
@example(b'{"type":"X","event_type":"X","big":%s}' % (b"9" * 5000))
@example(b'{"type":"X","event_type":"X","bytes":"\xff"}')
@example(b'{"type":"X","event_type":"X","written":"eA=="}')
@example(b'{"type":"X","event_type":"X","n":1e999}')
@example(b'{"type":"agent_failed","event_type":"agent_failed"}')
def test_the_quick_way_and_the_slow_way_agree(line):
    try:
        expected = slowly(line)
    except ValueError:
        with pytest.raises(ValueError):
            parse_line(line)
        assert parse_lines([line]) is None
        return
    for event in (parse_line(line), *(parse_lines([line]) or ())):
        # As text: NaN is not equal to itself, and 0 is to -0.0 and to False.
        assert repr(sorted(event.fields().items())) == repr(sorted(expected.items()))
        assert [getattr(event, name) for name in ENVELOPE] == [expected.get(n) for n in ENVELOPE]
        assert set(event.own()) == set(expected) - set(ENVELOPE)


def test_lines_of_ours_are_read_the_quick_way():
    line = b'{"id":"i","timestamp":"t","type":"AgentFailed","event_type":"AgentFailed","error":"x"}'
    assert parse_line(line).written == line
    assert [event.written for event in parse_lines([line, line]) or []] == [line, line]
    assert parse_lines([line, b""]) is None
    assert parse_lines([line, b'{"type":"AgentFailed"}']) is None


stamps = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
odd_stamps = st.text("0123456789-:.TZ²٣+ ", min_size=26, max_size=28)
nearly = st.tuples(stamps, st.integers(0, 26), st.sampled_from("0²٣-Z+ 9")).map(
    lambda some: some[0][: some[1]] + some[2] + some[0][some[1] + 1 :]
)


@given(stamps | odd_stamps | nearly)
@example("2025-01-11T12:00:00.12345٣Z")
@example("2025-01-11T12:00:00.12345²Z")
def test_a_moment_is_what_the_clock_says(text):
    assert Event(timestamp=text).moment == clock.parse(text)
