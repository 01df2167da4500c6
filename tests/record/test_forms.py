"""Times, JSON and names, written out by hand for speed, against what they stand in for."""

import datetime
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodigy_git import names
from prodigy_git.record import clock, gitdir, jsonline

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
moments = st.datetimes(min_value=datetime.datetime(1970, 1, 1), timezones=st.just(datetime.UTC))
scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
values = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def micros(moment: datetime.datetime) -> int:
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


@given(moments)
def test_stamp_is_what_datetime_writes(moment: datetime.datetime) -> None:
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert clock.stamp(micros(moment)) == text
    assert clock.parse(text) == micros(moment)


@given(moments, st.integers(-14 * 60, 14 * 60), st.integers(0, 9), st.sampled_from(["T", "t", " "]))
def test_parse_reads_any_offset_and_precision(
    moment: datetime.datetime, offset: int, decimals: int, letter: str
) -> None:
    zone = datetime.timezone(datetime.timedelta(minutes=offset))
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        return
    fraction = f"{local.microsecond:06}000"[:decimals]
    exact = micros(local.replace(microsecond=int(fraction[:6].ljust(6, "0"))))
    text = local.strftime(f"%Y-%m-%d{letter}%H:%M:%S")
    if local.year < 1000:  # strftime does not pad
        return
    text += "." + fraction if fraction else ""
    text += f"{'+' if offset >= 0 else '-'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    assert clock.parse(text) == exact


@given(st.text(alphabet="0123456789-T:.Z+ é", max_size=30))
def test_parse_never_raises(text: str) -> None:
    assert clock.parse(text) is None or isinstance(clock.parse(text), int)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2025", "2025-01-01", "2025-13-01T00:00:00Z", "2025-01-32T00:00:00Z",
        "2025-01-01T00:00:00X", "2025-01-01T00:00Z",
    ],
)  # fmt: skip
def test_parse_refuses(text: str) -> None:
    assert clock.parse(text) is None


@given(values)
def test_encode_is_json_on_one_line(value: object) -> None:
    text = jsonline.encode(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert text.isascii()
    assert "\n" not in text
    assert jsonline.decode(text) == value


@given(values, st.sampled_from(["", " ", "\n", "\t\r\n "]), st.booleans())
def test_decode_reads_what_json_writes(value: object, space: str, ascii_only: bool) -> None:
    text = space + json.dumps(value, ensure_ascii=ascii_only, indent=1) + space
    assert jsonline.decode(text) == value


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u \n') | st.text())
def test_decode_refuses_what_json_refuses(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            jsonline.decode(text)
    else:
        assert repr(jsonline.decode(text)) == repr(expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_encode_refuses_what_is_no_json_number(value: object) -> None:
    with pytest.raises(ValueError):
        jsonline.encode(value)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), [object()]])
def test_encode_refuses_other_types(value: object) -> None:
    with pytest.raises(TypeError):
        jsonline.encode(value)


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b"", b"\xff", b'{"a":1}x', b"[" * 100_000])
def test_decode_object_refuses(data: bytes) -> None:
    with pytest.raises(ValueError):
        jsonline.decode_object(data)


SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@given(st.from_regex(SAFE, fullmatch=True) | st.text(max_size=140)
       | st.text(alphabet="aZ0._-/é\n ", max_size=140))  # fmt: skip
def test_is_safe_is_the_regular_expression(name: str) -> None:
    assert names.is_safe(name) == bool(SAFE.fullmatch(name))


@pytest.mark.parametrize(
    ("length", "safe"), [(0, False), (1, True), (127, True), (128, True), (129, False)]
)
def test_is_safe_up_to_128(length: int, safe: bool) -> None:
    assert names.is_safe("a" * length) is safe


@given(st.text())
def test_repository_stem_is_safe(folder: str) -> None:
    assert names.is_safe(names.repository_stem(folder))


@given(st.binary())
def test_a_commit_object_of_any_bytes_is_parsed_or_refused(data: bytes) -> None:
    try:
        commit = gitdir.Commit(data)
    except ValueError:
        return
    assert "\n" not in commit.subject
