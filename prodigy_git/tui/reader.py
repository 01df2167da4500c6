"""A screen of text to scroll in: a log, a diff, a history. All of it is foreign, none of it markup."""

from collections.abc import Sequence
from typing import ClassVar

from rich.highlighter import Highlighter
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Footer, Log, Static

from prodigy_git.views.harmless import clean
from prodigy_git.views.overview.closeup import bounded

_TAB = 4


def shown(text: str) -> str:
    """Return foreign text as what is shown of it: no control characters, one line."""
    return clean(text.expandtabs(_TAB))


def plain(text: str, style: str = "") -> Text:
    """Return foreign text as `shown` does, for those who would take a string for markup."""
    return Text(shown(text), style=style, no_wrap=True, end="")


class Reader(ModalScreen[None]):
    """Lines under a title, of which the last ones are shown first with ``end``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "app.pop_screen", "Back"),
        Binding("ctrl+c", "app.leave", show=False),
        Binding("home,g", "home", "Top", show=False),
        Binding("end,G", "end", "End", show=False),
    ]
    CSS = """
    Reader #title { text-style: bold; height: 1; background: $panel; padding: 0 1; }
    Reader Log { height: 1fr; }
    """

    def __init__(self, title: str, lines: Sequence[str], *, end: bool = False) -> None:
        """Take the text to be shown."""
        super().__init__()
        self._heading, self._text, self._end = title, lines, end

    def compose(self) -> ComposeResult:
        """Make the title, the text, the keys."""
        yield Static(plain(self._heading), id="title", markup=False)
        yield Log(highlight=True, auto_scroll=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show the text."""
        log = self.query_one(Log)
        log.highlighter = _Diff()
        log.write_lines(map(shown, bounded(self._text or ["(nothing)"])), scroll_end=self._end)
        log.focus()

    def action_home(self) -> None:
        """Go to the first line."""
        self.query_one(Log).scroll_home(animate=False)

    def action_end(self) -> None:
        """Go to the last line."""
        self.query_one(Log).scroll_end(animate=False)


class _Diff(Highlighter):
    """Colours the lines of a diff, when they are drawn; others begin otherwise, as a rule."""

    def highlight(self, text: Text) -> None:
        """Colour one line."""
        text.stylize(_style(text.plain))


def _style(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
