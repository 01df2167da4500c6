"""The one JSON object that a hook reads from its standard input: however it is cut, whatever comes."""

import itertools
import json
import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodigy_git.record.conversations import first_object
from prodigy_git.record.conversations.first_object import End, Unreadable

TEXTS = st.text() | st.text('{}[]"\\,: \n\t\0', max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=5)
BEFORE = st.sampled_from([b"", b" \n", b"\xef\xbb\xbf", b"\0", b"\xef\xbb\xbf\r\n"])
BEHIND = st.sampled_from([b"", b"\n", b' {"a": 1}', b"}}", b'"', b"\\"])


def cut(data, places):
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


def heard(pieces, *, ends=True):
    """Return what is read of a pipe that these pieces are written into, one after the other."""
    reading, writing = os.pipe()

    def write():
        try:
            for piece in pieces:
                os.write(writing, piece)
        except BrokenPipeError:
            pass
        if ends:
            os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return first_object.read(reading)
    finally:
        os.close(reading)
        writer.join()
        if not ends:
            os.close(writing)


@given(OBJECTS, st.booleans(), BEFORE, BEHIND, st.lists(st.integers(0, 10**6), max_size=6))
@settings(deadline=None)
def test_any_object_is_read_however_it_is_cut(value, ascii_only, before, behind, places):
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    # A stream that stays open, so that nothing but the object's own end can tell.
    got, trouble = heard(cut(before + data + behind, places), ends=False)
    assert trouble == ""
    assert json.dumps(got) == json.dumps(json.loads(json.dumps(value)))


@given(OBJECTS, st.booleans(), st.integers(1, 20))
@settings(deadline=None)
def test_the_end_is_in_the_piece_that_has_the_last_brace(value, ascii_only, size):
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    end = End()
    pieces = [data[at : at + size] for at in range(1, len(data), size)]
    assert [end.is_in(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(st.binary(max_size=200) | st.text('{}[]"\\:,a1 ').map(str.encode), st.integers(0, 200))
@settings(deadline=None)
def test_garbage_is_an_error_or_an_object(data, place):
    try:
        got, _ = heard(cut(data, [place]))
    except Unreadable:
        return
    assert isinstance(got, dict)


@pytest.mark.parametrize(
    "text", ["", "\n", "[]", "null", "x", '"a"', "{", '{"a":', '{"a": 1]', "{]"]
)
def test_what_is_no_whole_object(text):
    with pytest.raises(Unreadable):
        heard([text.encode()])


def test_every_half_of_an_object_is_none():
    data = json.dumps({"a": ['"\\', {"b": "}"}], "c": "é"}, ensure_ascii=False).encode()
    for length in range(len(data)):
        with pytest.raises(Unreadable):
            heard([data[:length]] if length else [])


def test_bytes_that_are_no_utf_8_and_raw_control_characters_do_no_harm():
    got, _ = heard([b'{"a": "\xff\n\0", "b": 1}'])
    assert got == {"a": "\udcff\n\0", "b": 1}


def test_a_stream_that_stalls_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(first_object, "STALL", 0.05)
    with pytest.raises(Unreadable, match="did not come"):
        heard([b'{"a": 1'], ends=False)
    with pytest.raises(Unreadable, match="did not come"):
        heard([], ends=False)


def test_a_stream_that_trickles_for_ever_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(first_object, "PATIENCE", 0.2)
    reading, writing = os.pipe()
    over = threading.Event()

    def trickle():
        os.write(writing, b'{"a": "')
        while not over.wait(0.01):
            os.write(writing, b"x")

    writer = threading.Thread(target=trickle)
    writer.start()
    with pytest.raises(Unreadable, match="did not come"):
        first_object.read(reading)
    over.set()
    writer.join()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    "body", ["x" * 64, '\\"' * 32, "\\\\" * 32, "\\u00e9" * 10, "{[" * 32], ids=range(5)
)
def test_megabytes_are_read_in_a_time_that_grows_with_them(body):
    """Told by the time of the processor, of one run against another that is a tenth as long."""

    def taken(size):
        data = ('{"a":"' + body * (size // len(body)) + '"}').encode()
        begin = time.thread_time()
        got, _ = heard(cut(data, range(0, size, 65536)), ends=False)
        assert len(got["a"]) > size // 10
        return time.thread_time() - begin

    short = min(taken(500_000) for _ in range(3))
    assert taken(5_000_000) < 40 * short + 0.5  # squared, it would be a hundred times as long


def test_of_an_object_that_is_too_long_what_came_before_is_used(monkeypatch):
    monkeypatch.setattr(first_object, "LARGEST", 200_000)
    data = json.dumps({"event": "Tool", "id": {"a": [1]}, "output": "x" * 400_000, "last": 1})
    got, trouble = heard(cut(data.encode(), range(0, 400_000, 60_000)))
    assert got == {"event": "Tool", "id": {"a": [1]}}
    assert "longer than" in trouble


def test_who_writes_an_object_that_is_too_long_gets_rid_of_all_of_it(monkeypatch):
    monkeypatch.setattr(first_object, "LARGEST", 100_000)
    reading, writing = os.pipe()
    data = json.dumps({"event": "Tool", "output": "x" * 1_000_000}).encode()
    written = []
    writer = threading.Thread(
        target=lambda: written.extend(
            os.write(writing, one) for one in cut(data, range(0, 10**6, 9999))
        )
    )
    writer.start()
    got, _ = first_object.read(reading)
    writer.join()  # it would wait for ever for somebody to take in the rest
    assert got == {"event": "Tool"}
    assert sum(written) == len(data)
    os.close(reading)
    os.close(writing)


def test_what_is_nested_too_deeply_is_refused():
    for text in ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a":' * 300 + "1" + "}" * 300):
        with pytest.raises(Unreadable):
            heard(cut(text.encode(), [7, 65536]))
