"""Streaming a log gives what reading it whole and sorting gives, however it is cut into blocks."""

import gzip
import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prodigy_git.model.event import parse_line
from prodigy_git.model.selection import Selection
from prodigy_git.store import stream

FAILED = "AgentFailed"
SPELLINGS = [
    '"AgentFailed"', '"agent_failed"', '"Agent_failed"', '"_AgentFailed"', '"agent__failed_"',
    '"Agent\\u0046ailed"', '"agent_fa\\u0069led"',
]  # fmt: skip
OTHERS = ['"AgentStarted"', '"failed"', '"x"', '"Ailed"']
# Few moments, so that many are equal or in the wrong order; and some that are none, or not in our form.
STAMPS = [
    *(f'"2025-01-11T12:00:0{second}.{micros:06}Z"' for second in range(3) for micros in (0, 500_000)),
    '"2025-01-11T14:00:01+02:00"', '"2025-01-11T12:99:00.000000Z"', '"2025-02-31T12:00:00.000000Z"',
    '"2025-03-01T12:00:00.000000Z"', '"2025-13-11T12:00:00.000000Z"', '"soon"',
]  # fmt: skip


@st.composite
def one_line(draw, number):
    """Draw a line of a log; ``number`` makes it unlike all others."""
    kind = draw(st.sampled_from(SPELLINGS) | st.sampled_from(OTHERS))
    dated = draw(st.sampled_from([True] * 4 + [False]))
    stamp = f'"timestamp":{draw(st.sampled_from(STAMPS[:6]) | st.sampled_from(STAMPS))},' * dated
    x = f'"x":"{number}"'
    form = draw(st.sampled_from(["ours"] * 5 + ["flat", "record", "tagged", "broken", "blank"]))
    if form == "ours":
        name = draw(st.sampled_from([FAILED, "AgentStarted"]))
        return f'{{"id":"i",{stamp}"type":"{name}","event_type":"{name}","error":"failed",{x}}}'
    return {
        "flat": f'{{{stamp}"event_type":{kind},{x}}}',
        "record": f'{{{stamp}"event":{{"event_type":{kind}}},{x}}}',
        "tagged": f"{{{kind}:{{{stamp}{x}}}}}",
        "broken": draw(
            st.sampled_from(['{"type":"AgentFailed"', "[]", f"{{{stamp}{x}}}", "agent_failed"])
        ),
        "blank": draw(st.sampled_from(["", " \t"])),
    }[form]


@st.composite
def logs(draw):
    """Draw the contents of a few files, each with or without a newline at its end."""
    files = []
    for file in range(draw(st.integers(1, 3))):
        size = draw(st.integers(0, 8))
        lines = [draw(one_line(file * 100 + number)) for number in range(size)]
        if draw(st.booleans()):
            lines.sort(key=lambda text: text[10:50])  # mostly in time order, as most files are
        files.append("".join(f"{text}\n" for text in lines) + draw(st.sampled_from(["", "{torn"])))
    return files


def of_type(kind):
    return kind and Selection(types=frozenset([kind]))


def whole(files, kind):
    """Return the events of logs as DESIGN says, and the lines that are none, by the shortest way."""
    placed, bad = [], set()
    for number, (path, text) in enumerate(files):
        moment = 0
        *lines, rest = text.split("\n")
        for line, content in enumerate(lines, 1):
            try:
                event = parse_line(content.encode())
            except ValueError:
                if content.strip():
                    bad.add(f"{path}:{line}")
                continue
            moment = event.moment if event.moment is not None else moment
            if kind in (None, event.type):
                placed.append((moment, number, line, event.fields()))
        if rest:
            bad.add(f"{path}:{len(lines) + 1}")
    return [fields for *_, fields in sorted(placed, key=lambda one: one[:3])], bad


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(
    logs(),
    st.sampled_from([None, FAILED, "X"]),
    st.sampled_from([20, 100, 250, 400, 2000]),
    st.integers(0, 6),
    st.data(),
)
def test_a_merge_is_all_of_it_sorted(tmp_path, files, kind, block, kept, data):
    paths = []
    for number, text in enumerate(files):
        zipped = data.draw(st.booleans())
        path = tmp_path / f"{number}.jsonl{'.gz' * zipped}"
        path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
        paths.append(str(path))
    expected, bad = whole(list(zip(paths, files, strict=True)), kind)
    reports = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_BLOCK", block)
        patch.setattr(stream, "_KEPT", kept)
        found = [event.fields() for event in stream.merge(paths, reports.append, of_type(kind))]
    assert found == expected
    named = [report.split(": ")[0] for report in reports]
    # A filter passes over most of what is broken, too.
    assert set(named) <= bad if kind == FAILED else set(named) == bad
    assert len(named) == len(set(named))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(logs())
def test_one_file_in_its_own_order(tmp_path, files):
    path = tmp_path / "log.jsonl"
    path.write_text(files[0])
    reports = []
    found = list(stream.read_file(str(path), reports.append))
    lines = files[0].split("\n")
    assert [parse_line(lines[number - 1].encode()) for number, _ in found] == [e for _, e in found]
    expected, bad = whole([(str(path), files[0])], None)
    assert len(found) == len(expected)
    assert {report.split(": ")[0] for report in reports} == bad


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=12), st.integers(1, 40), st.booleans())
@example([b"x" * 300_000, b"\n", b"y"], 4096, False)
def test_lines_with_the_offsets_of_their_ends(tmp_path, pieces, block, zipped):
    text = b"\n".join(pieces)
    path = tmp_path / ("log.gz" if zipped else "log")
    path.write_bytes(gzip.compress(text) if zipped else text)
    rests = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_BLOCK", block)
        found = list(stream.raw_lines(str(path), unfinished=lambda *rest: rests.append(rest)))
        for number, (end, _) in enumerate(found):
            assert list(stream.raw_lines(str(path), end)) == found[number + 1 :]
    ends = [0, *(end for end, _ in found)]
    assert [text[a:b] for a, b in pairwise(ends)] == [line + b"\n" for _, line in found]
    assert rests == ([(ends[-1], text[ends[-1] :])] if text[ends[-1] :] else [])
    assert b"\n" not in text[ends[-1] :]


def ours(number, kind, **more):
    stamp = f"2025-01-11T12:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z"
    event = {"id": str(number), "timestamp": stamp, "type": kind, "event_type": kind, **more}
    return json.dumps(event, separators=(",", ":")) + "\n"


@pytest.mark.parametrize("kind", [None, FAILED])
def test_memory_stays_flat(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(stream, "_KEPT", 50)

    def peak(size):
        path = tmp_path / f"{size}.jsonl"
        path.write_text("".join(ours(number, FAILED, error="x" * 300) for number in range(size)))
        tracemalloc.start()
        try:
            assert sum(1 for _ in stream.merge([str(path)], pytest.fail, of_type(kind))) == size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported and compiled once
    assert peak(3500) < 1.3 * peak(1000)


@pytest.mark.parametrize("kept", [0, 100])
def test_what_is_appended_meanwhile_is_not_part_of_it(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(stream, "_KEPT", kept)
    monkeypatch.setattr(stream, "_BLOCK", 100)
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_text(ours(1, "A") + ours(2, "B"))
    two.write_text(ours(3, "C"))
    events = stream.merge([str(one), str(two)], pytest.fail)
    found = [next(events).type]
    with one.open("a") as log:
        log.write(ours(9, "Late"))
    assert found + [event.type for event in events] == ["A", "B", "C"]


@pytest.mark.parametrize("kept", [0, 100])
def test_of_events_at_one_moment_those_of_the_first_file_come_first(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(stream, "_KEPT", kept)
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_text(ours(2, "B") + ours(3, "D"))
    two.write_text(ours(1, "A") + ours(2, "C"))
    found = stream.merge([str(one), str(two)], pytest.fail)
    assert [event.type for event in found] == ["A", "B", "C", "D"]


@pytest.mark.parametrize("kept", [0, 100])
def test_stamps_that_are_no_dates_are_not_compared_as_text(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(stream, "_KEPT", kept)
    path = tmp_path / "log.jsonl"
    early, late = ours(1, "Early"), ours(1, "Late")
    # The clock takes the 31st of February for the third of March.
    path.write_text(late.replace("01-11", "02-31") + early.replace("01-11", "03-01"))
    found = stream.merge([str(path)], pytest.fail)
    assert [event.type for event in found] == ["Early", "Late"]


def test_an_undated_event_stays_behind_its_neighbour_that_the_filter_drops(tmp_path):
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    undated = json.dumps({"type": FAILED, "x": "undated"}) + "\n"
    one.write_text(ours(1, FAILED, x="1") + ours(5, "Other") + undated + ours(6, "Other"))
    two.write_text(ours(4, FAILED, x="4") + ours(7, FAILED, x="7"))
    found = stream.merge([str(one), str(two)], pytest.fail, of_type(FAILED))
    assert [event.own()["x"] for event in found] == ["1", "4", "undated", "7"]


def test_a_file_that_cannot_be_read_is_named_once_and_the_others_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_KEPT", 0)
    there, cut = tmp_path / "there.jsonl", tmp_path / "cut.jsonl.gz"
    there.write_text(ours(1, "A") + ours(3, "B"))
    cut.write_bytes(gzip.compress(ours(2, "C").encode() + b"x" * 9999)[:-9])
    reports = []
    paths = [str(there), str(tmp_path / "gone.jsonl"), str(cut)]
    assert "A" in [event.type for event in stream.merge(paths, reports.append)]
    assert [report.split(":")[0] for report in reports if "cannot" in report] == [
        paths[1],
        paths[2],
    ]


def test_a_line_that_is_longer_than_many_blocks(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(ours(1, "A") + ours(2, FAILED, content="x" * 5_000_000) + ours(3, "B"))
    assert [e.type for e in stream.merge([str(path)], pytest.fail)] == ["A", FAILED, "B"]
    (found,) = stream.merge([str(path)], pytest.fail, of_type(FAILED))
    assert len(found.own()["content"]) == 5_000_000


def test_the_filter_passes_over_lines_unread(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    path.write_text(
        "".join(ours(number, "AgentStarted") for number in range(50)) + ours(60, FAILED)
    )
    read = []

    def noted(line):
        read.append(line)
        return parse_line(line)

    monkeypatch.setattr(stream, "parse_line", noted)
    assert [event.type for event in stream.merge([str(path)], pytest.fail, of_type(FAILED))] == [
        FAILED
    ]
    assert set(read) == {text.encode() for text in (ours(60, FAILED), ours(60, FAILED).strip())}


ONE = frozenset(["agent-1"])


@pytest.mark.parametrize("name", ["agents", "sessions", "items"])
def test_one_name_is_found_however_it_is_written_and_none_that_is_only_alike(tmp_path, name):
    field = {"agents": "agent_id", "sessions": "session_id", "items": "item_id"}[name]
    lines = [
        ours(1, "A", **{field: "agent-1"}), ours(2, "A", **{field: "agent-10"}),
        ours(3, "A", error="agent-1"), f'{{"type":"B","{field}":"agent\\u002d1"}}\n',
        f'{{"event":{{"event_type":"c","{field}":"agent-1"}}}}\n',
        f'{{"D":{{"{field}":"agent-1"}}}}\n', "{agent-1\n", ours(9, "E"),
    ]  # fmt: skip
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines))
    reports = []
    found = stream.merge([str(path)], reports.append, Selection(**{name: ONE}))
    assert [event.type for event in found] == ["A", "B", "C", "D"]
    assert [report.split(": ")[0] for report in reports] == [f"{path}:7"]


def test_a_stretch_of_time_has_both_its_ends_and_nothing_undated(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(ours(n, f"T{n}") for n in range(6)) + '{"type":"Undated"}\n')
    moments = [e.moment for e in stream.merge([str(path)], pytest.fail)]
    wanted = Selection(since=moments[2], until=moments[4])
    assert [e.type for e in stream.merge([str(path)], pytest.fail, wanted)] == ["T2", "T3", "T4"]
