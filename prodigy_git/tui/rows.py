"""The table of agents: which rows there are, in what order, and what has changed in them."""

from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable
from textual.widgets.data_table import CellDoesNotExist, RowDoesNotExist

from prodigy_git.tui.reader import plain
from prodigy_git.views.overview import words
from prodigy_git.views.overview.agents import Agent, by_trouble

COLUMNS = (
    "STATE", "AGENT", "HOST", "LAST", "ITEM", "NOTE", "TRY", "BASE", "COMMITS", "DIRTY", "BRANCH",
)  # fmt: skip
"""What people look for comes first: a narrow terminal has the rest to the right. HOST is there only
where an agent is on another host."""
SORTS = ("trouble", "last event", "name", "item")
_STYLES = {
    "waiting": "bold magenta", "dead": "bold red", "failed": "red", "stuck": "bold yellow",
    "retrying": "yellow", "running": "green", "idle": "dim", "finished": "dim",
}  # fmt: skip
_LONGEST = 40  # columns of the terminal, of a cell
_NAMES = ("AGENT", "HOST", "ITEM", "BRANCH")
_AROUND = 25  # what STATE, LAST and the gaps take beside AGENT, ITEM and NOTE


class _Cell(Text):
    """A cell that knows its row: the table sorts by cells."""

    key: str = ""


def cells(one: Agent, now: int) -> dict[str, str]:
    """Return what an agent's row says, by column; foreign text as it is."""
    return {
        "STATE": one.state,
        "AGENT": "your own" if one.persons else one.name,
        "HOST": words.host_of(one),
        "LAST": words.age(one.last, now),
        "ITEM": one.item_id or "-",
        "NOTE": words.note(one, now),
        "TRY": str(one.attempt or "-"),
        "BASE": words.against_base(one),
        "COMMITS": "-" if one.commits is None else str(one.commits),
        "DIRTY": words.changes(one),
        "BRANCH": one.branch or "-",
    }


def limits(width: int, *, hosts: bool = False) -> dict[str, int]:
    """Return how wide a column's cells are at most, so that NOTE is seen on a terminal of ``width``.

    ``hosts``: there is one more column of names.
    """
    name = max(9, min(_LONGEST, (width - _AROUND) // (5 if hosts else 4)))
    note = max(12, min(_LONGEST, width - _AROUND - (3 if hosts else 2) * name))
    return {column: name if column in _NAMES else note for column in COLUMNS}


def shortened(text: str, limit: int, *, middle: bool) -> str:
    """Return a text in ``limit`` columns; what is cut has an ellipsis, a name in its middle."""
    if cell_len(text) <= limit:
        return text
    end = text[-(limit // 2) :] if middle else ""
    while cell_len(end) > limit // 2:
        end = end[1:]
    begin = text[:limit]
    while cell_len(begin) > limit - 1 - cell_len(end):
        begin = begin[:-1]
    return f"{begin}…{end}"


def ordered(everybody: Iterable[Agent], sort: str) -> list[Agent]:
    """Return the agents in one of the orders `SORTS`."""
    keys: dict[str, Any] = {
        "trouble": by_trouble,
        "last event": lambda one: (-(one.last or 0), one.key),
        "name": lambda one: (one.name, one.key),
        "item": lambda one: (one.item_id or "", one.key),
    }
    return sorted(everybody, key=keys[sort])


def fits(one: Agent, wanted: str) -> bool:
    """Whether every word of ``wanted`` stands somewhere in an agent's row."""
    texts = (
        one.state, one.name, one.session_id, one.item_id, one.job_id, one.repo, one.branch,
        None if one.host is None else one.host.name,
        words.note(one), None if one.activity is None else one.activity.program,
    )  # fmt: skip
    row = "\n".join(filter(None, texts)).casefold()
    return all(word in row for word in wanted.casefold().split())


class Rows:
    """What the table shows; `show` changes only what is different."""

    def __init__(self, table: DataTable[Text]) -> None:
        """Give an empty table its columns."""
        self._table = table
        self._shown: dict[str, dict[str, str]] = {}
        self._limits: dict[str, int] = {}
        self._columns: tuple[str, ...] = ()
        self._begin(hosts=False)

    def _begin(self, *, hosts: bool) -> None:
        """Begin anew, with the columns that there are to be."""
        self._table.clear(columns=True)
        self._shown.clear()
        self._columns = tuple(name for name in COLUMNS if hosts or name != "HOST")
        for name in self._columns:
            self._table.add_column(Text(name), key=name)

    def show(self, some: list[Agent], now: int, width: int) -> None:
        """Show these agents in this order, on a terminal of ``width``.

        The cursor stays with its agent as long as that is there.
        """
        at = self.selected()
        hosts = any(one.host for one in some)
        if hosts != ("HOST" in self._columns):
            self._begin(hosts=hosts)
        now_wide = limits(width, hosts=hosts)
        resized, self._limits = self._limits != now_wide, now_wide
        wanted = {one.key: cells(one, now) for one in some}
        for key in self._shown.keys() - wanted.keys():
            self._table.remove_row(key)
            del self._shown[key]
        for key, row in wanted.items():
            before = self._shown.get(key)
            if before is None:
                self._table.add_row(
                    *(self._cell(key, name, row[name]) for name in self._columns), key=key
                )
            else:
                for name in self._columns:
                    text = row[name]
                    if resized or before[name] != text:
                        self._table.update_cell(
                            key, name, self._cell(key, name, text), update_width=True
                        )
            self._shown[key] = row
        self._put_in_order(list(wanted))
        if at is not None and at in self._shown and self.selected() != at:
            self._table.move_cursor(row=self._table.get_row_index(at), animate=False)

    def _put_in_order(self, order: list[str]) -> None:
        there = [str(row.key.value) for row in self._table.ordered_rows]
        if there != order:
            place = {key: number for number, key in enumerate(order)}
            self._table.sort("STATE", key=lambda cell: place[cell.key])

    def selected(self) -> str | None:
        """Return the key of the agent that the cursor is on."""
        try:
            at = self._table.coordinate_to_cell_key(self._table.cursor_coordinate)
        except (CellDoesNotExist, RowDoesNotExist):
            return None
        return at.row_key.value

    def _cell(self, key: str, name: str, text: str) -> _Cell:
        found = _Cell("", no_wrap=True, end="")
        # A megabyte of an error is not gone through for a line.
        some = text if name in _NAMES else text[: 4 * _LONGEST]
        said = plain(some, _STYLES.get(text, "") if name == "STATE" else "")
        said.plain = shortened(said.plain, self._limits[name], middle=name in _NAMES)
        found.append_text(said)
        found.key = key
        return found
