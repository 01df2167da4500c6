"""The bar for what takes long: on a terminal, past two seconds, and gone when all is done."""

import io

import pytest

from prodigy_git.cli import progress
from prodigy_git.cli.progress import progress_bar


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def late(monkeypatch):
    """Let two seconds have gone by at once."""
    monkeypatch.setattr(progress, "_BAR_AFTER", -1.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_it_goes_when_all_is_done_and_comes_back_for_more(late, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar("copying") as tell:
        tell(1, 3)
        shown = terminal.getvalue()
        tell(3, 3)
        ended = terminal.getvalue()
        assert "\x1b[?25l" in shown  # hides the cursor while it moves
        assert "\x1b[?25h" in ended.removeprefix(shown)
        tell(1, 2)
        assert "\x1b[?25l" in terminal.getvalue().removeprefix(ended)
    assert terminal.getvalue().endswith("\x1b[2K")


def test_what_is_quick_shows_none(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar("copying") as tell:
        tell(1, 3)
        tell(3, 3)
    assert terminal.getvalue() == ""
