"""A listing that is longer than memory: shown as it comes, on a terminal in columns all the same."""

import io
import itertools
import os
import shutil

import pytest

from prodigy_git.cli import output


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """Return what `output.listing` shows on a terminal of some columns and five rows, as lines."""

    def show(columns, rows, dispensable=()):
        terminal = Terminal()
        size = os.terminal_size((columns, 5))
        monkeypatch.setattr(shutil, "get_terminal_size", lambda: size)
        monkeypatch.setattr("sys.stdout", terminal)
        output.listing(("ID", "WHO", "WHAT"), rows, dispensable, empty="nothing")
        monkeypatch.undo()
        text = terminal.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
        return [line.rstrip() for line in text.splitlines()]

    return show


def test_the_first_screenful_makes_the_columns_and_nothing_that_names_is_cut(shown):
    rows = [("1", "日本", "x")] * 5 + [("2", "later-and-wider", "y"), ("3", "me", "z" * 99)]
    assert shown(30, rows) == [
        "ID  WHO   WHAT", *["1   日本  x"] * 5,
        "2   later-and-wider  y",
        "3   me    " + "z" * 19 + "…",
    ]  # fmt: skip


def test_columns_that_a_narrow_terminal_has_no_room_for_go(shown):
    assert shown(12, [("1", "somebody", "x")], ("WHO",)) == ["ID  WHAT", "1   x"]
    assert shown(12, [], ("WHO",)) == shown(80, []) == []


def test_lines_are_out_before_the_last_is_known(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    seen = []

    def lines():
        for number in itertools.count():
            if number == 5000:
                return
            seen.append(output.sys.stdout.getvalue().count("\n"))
            yield str(number)

    output.stream(lines())
    assert seen[:2] == [0, 1]
    assert all(number - out <= 1024 for number, out in enumerate(seen))
    assert output.sys.stdout.getvalue().splitlines() == [str(number) for number in range(5000)]


def test_long_lines_do_not_wait_for_many(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    waiting = []

    def lines():
        for number in range(100):
            waiting.append(number * 100_000 - len(output.sys.stdout.getvalue()))
            yield "x" * 99_999

    output.stream(lines())
    assert max(waiting) <= 100_000
