"""Lengths of time and moments have one form in every text for people."""

import re
from pathlib import Path

import pytest

import prodigy_git
from prodigy_git import duration
from prodigy_git.record import clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"), (0, "0s"), (0.999, "0s"), (59.9, "59s"), (60, "1m 00s"), (3599, "59m 59s"),
        (3600, "1h 00m"), (3900, "1h 05m"), (86399, "23h 59m"), (86400, "1d 00h"),
        (400 * 86400 + 3600 * 5, "400d 05h"),
    ],
)  # fmt: skip
def test_a_length_of_time_in_its_two_largest_units(seconds, text):
    assert duration.text(int(seconds * clock.SECOND)) == text
    assert duration.seconds(seconds) == text


def test_a_moment_to_the_second_in_utc():
    assert duration.moment("2025-01-11T12:00:00.123456789Z") == "2025-01-11T12:00:00Z"
    assert duration.moment("2025-01-11T12:00:00+02:00") == "2025-01-11T10:00:00Z"
    assert duration.moment("2025-01-11T12:00:00Z") == "2025-01-11T12:00:00Z"
    assert duration.moment(None) == duration.moment("") == "-"


def test_nobody_makes_a_form_of_its_own():
    own = re.compile(r'\[:19\]|// 60\}|// 3600\}|\} min\b|\} s["\s,]')
    places = Path(prodigy_git.__file__).parent
    found = [
        f"{path.relative_to(places)}: {line.strip()}"
        for room in ("cli", "views", "cleanup", "lifecycle", "doctor", "jobs", "tui")
        for path in sorted((places / room).rglob("*.py"))
        for line in path.read_text().splitlines()
        if own.search(line)
    ]
    assert found == []
