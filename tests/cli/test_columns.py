"""Columns on a terminal of any width: nothing is longer than it, and nothing cut looks whole."""

import io
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from prodigy_git.cli import columns, output
from prodigy_git.cli.progress import progress_bar

HEADINGS = ("STATE", "AGENT", "LAST", "ITEM", "COMMITS", "BRANCH", "NOTE")
ORDER = ("BRANCH", "COMMITS")
LONG = "feature/the-very-long-name-of-a-branch-that-somebody-has-thought-of-12345"
NAMES = st.text(st.sampled_from("abé日本e\u0301한👩🇩-/"), max_size=90)
ROW = st.tuples(
    st.sampled_from(("dead", "retrying")), NAMES, st.just("59m"), NAMES,
    st.integers(0, 12345).map(str), NAMES, NAMES,
)  # fmt: skip


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def shown(
    monkeypatch, width, rows, headings=HEADINGS, order=ORDER, encoding="utf-8", **environment
):
    """Return the lines that `output.table` prints on a terminal, the headings first."""
    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(Terminal, "encoding", encoding)
        patch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
        patch.setattr("sys.stdout", terminal)
        for name, value in (environment or {"NO_COLOR": "1"}).items():
            patch.setenv(name, value)
        output.table(headings, rows, order)
    return terminal.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("ellipsis", ["…", "..."])
@settings(deadline=None, max_examples=60)
@given(rows=st.lists(ROW, max_size=4))
def test_no_line_is_too_long_and_what_is_cut_says_so(width, ellipsis, rows):
    shape = [columns.column(heading) for heading in HEADINGS]
    natural = [
        max(cell_len(text) for text in (heading, *(row[n] for row in rows)))
        for n, heading in enumerate(HEADINGS)
    ]
    widths = columns.fit(shape, natural, width, ORDER)
    assert HEADINGS.index("NOTE") in widths
    for row in rows:
        line = columns.line(row, shape, widths, width, ellipsis)
        assert cell_len(line) <= width
        whole = [row[number] for number in widths]
        if any(text.strip() not in line for text in whole):
            assert ellipsis in line


@settings(deadline=None, max_examples=200)
@given(text=NAMES, width=st.integers(0, 60), middle=st.booleans())
def test_a_shortened_text_has_its_ends_and_an_ellipsis(text, width, middle):
    cut = columns.shortened(text, width, "…", middle=middle)
    assert cell_len(cut) <= width
    if cut != text and width > 0:
        begin, dots, end = cut.partition("…")
        assert dots
        assert text.startswith(begin)
        assert text.endswith(end)
        assert middle or not end


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_long_branch_costs_no_other_column(monkeypatch, width):
    row = ("dead", "agent-1", "5m", "item-1", "3", LONG, "the worktree is gone")
    heading, line = shown(monkeypatch, width, [row])
    assert "the worktree is" in line
    if width >= 80:
        assert heading.split() == list(HEADINGS)
        assert LONG in line or "…" in line
    assert line.startswith("dead   agent-1  5m    item-1")


def test_columns_go_in_their_order_where_minima_do_not_fit(monkeypatch):
    row = ("dead", "a" * 30, "5m", "i" * 30, "3", "b" * 30, "n" * 60)
    kept = {w: shown(monkeypatch, w, [row])[0].split() for w in (100, 82, 74, 66)}
    assert kept[100] == list(HEADINGS)
    assert [kept[w] for w in (82, 74, 66)] == [
        list(HEADINGS),
        [name for name in HEADINGS if name != "BRANCH"],
        [name for name in HEADINGS if name not in ORDER],
    ]


def test_an_encoding_without_the_ellipsis_has_three_dots(monkeypatch):
    row = ("dead", "日本" * 20, "5m", "item-1", "3", LONG, "a note")
    _, line = shown(monkeypatch, 80, [row], encoding="ascii")
    assert line.isascii()
    assert "..." in line
    assert len(line) <= 80


def test_a_query_may_have_two_columns_of_one_name(monkeypatch):
    lines = shown(monkeypatch, 40, [("a", "b")], headings=("x", "x"), order=())
    assert [line.split() for line in lines] == [["x", "x"], ["a", "b"]]


def test_words_are_broken_by_how_wide_they_are():
    assert columns.wrap("日本 日本 日本", 10) == ["日本 日本", "日本"]
    assert columns.wrap("a " + "b" * 30 + " c", 10) == ["a", "b" * 30, "c"]
    assert columns.wrap("", 10) == [""]
    assert columns.wrap("a  b " + "c" * 7, 10) == ["a  b", "c" * 7]


@pytest.mark.parametrize(
    ("environment", "plain"),
    [
        ({"TERM": "xterm", "NO_COLOR": ""}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, True),
        ({"TERM": "dumb", "NO_COLOR": ""}, True), ({"TERM": "", "NO_COLOR": ""}, True),
    ],
)  # fmt: skip
def test_no_colour_where_nobody_wants_it_or_the_terminal_has_none(monkeypatch, environment, plain):
    lines = shown(monkeypatch, 80, [("dead", *"abcdef")], **environment)
    assert ("\x1b" not in "".join(lines)) == plain
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert output.styled("text", fg="red") == ("text" if plain else "\x1b[31mtext\x1b[0m")
        patch.setattr("sys.stderr", Terminal())
        with progress_bar("deleting") as progress:
            assert (progress is None) == plain
