"""Fitting columns of text to a terminal: which there are, how wide each is, how a cell is shortened.

Names and texts of others are shortened, the widest first, and always so that it shows: a name in its
middle, since its end tells it from its neighbours, a sentence at its end. Numbers and words of ours are
whole. Columns go only where there is no room for what even a shortened one needs.
"""

from collections.abc import Sequence
from typing import NamedTuple

GAP = 2
_LEAST = 4
"""How wide a shortened cell is at least, where there is no room for what is usual."""


class Column(NamedTuple):
    """A column: shortened to ``least`` at the utmost, never where that is 0, ``middle`` or at the end.

    ``weight`` is how much wider than a name it stays.
    """

    heading: str
    least: int = 0
    middle: bool = False
    weight: int = 1


_FOREIGN = {
    **{
        name: Column(name, 10, middle=True)
        for name in ("SESSION", "AGENT", "JOB", "ITEM", "BRANCH", "NAME", "PATH", "REPO", "HOST")
    },
    "TYPE": Column("TYPE", 20, weight=2),
    # What people read the line for.
    "NOTE": Column("NOTE", 24, weight=2),
    "ERROR": Column("ERROR", 16, weight=2),
    "WHAT": Column("WHAT", 16, weight=2),
    "MATCH": Column("MATCH", 16, weight=2),
}


def column(heading: str, *, foreign: bool = False) -> Column:
    """Return the column of a heading; ``foreign``: whatever it is called, it may hold anything."""
    return Column(heading, 8) if foreign else _FOREIGN.get(heading, Column(heading))


def ellipsis_for(encoding: str | None) -> str:
    """Return what stands for what was left out: ``…``, or three dots where there is no such thing."""
    try:
        "…".encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "..."
    return "…"


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, width: int, ellipsis: str, *, middle: bool = False) -> str:
    """Return a text in ``width`` columns at most; what is not whole has the ellipsis in it."""
    if width_of(text) <= width:
        return text
    left = width - len(ellipsis)
    if left < 0:
        return ellipsis[: max(0, width)]
    end = left // 2 if middle else 0
    return _begin(text, left - end) + ellipsis + _end(text, end)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of ``width`` columns, its words whole, so that they can be copied.

    Several blanks stay where the text is not broken.
    """
    lines, at = [""], 0
    for word in text.split(" "):
        length = width_of(word)
        if at and at + 1 + length > width:
            lines.append("")
            at = 0
        lines[-1] += f" {word}" if at else word
        at += length + (1 if at else 0)
    return lines


def _begin(text: str, width: int) -> str:
    kept = ""
    for character in text[: 4 * width + 4]:
        if width_of(kept + character) > width:
            break
        kept += character
    return kept


def _end(text: str, width: int) -> str:
    kept = ""
    for character in reversed(text[-4 * width - 4 :] if width else ""):
        if width_of(character + kept) > width:
            break
        kept = character + kept
    # A mark that goes on the character before it would go on the ellipsis.
    while kept and width_of(kept[0]) == 0:
        kept = kept[1:]
    return kept


def fit(
    columns: Sequence[Column], natural: Sequence[int], width: int, dispensable: Sequence[str]
) -> dict[int, int]:
    """Return {number of a column that is shown: its width}, for a terminal of ``width`` columns.

    ``natural`` is how wide each would be whole. Columns go in the order of ``dispensable``, where even
    shortened ones have no room.
    """
    shown = dict(enumerate(natural))
    going = [
        number for name in dispensable for number, one in enumerate(columns) if one.heading == name
    ]
    while going and _sum(_least(columns, shown)) > width:
        del shown[going.pop(0)]
    least = _least(columns, shown)
    if _sum(least) > width:
        least = _least(columns, shown, utmost=_LEAST)
    for _ in range(_sum(shown) - width):
        able = [number for number in shown if shown[number] > least[number]]
        if not able:
            break
        shown[max(able, key=lambda number: shown[number] / columns[number].weight)] -= 1
    return shown


def _sum(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _least(
    columns: Sequence[Column], natural: dict[int, int], utmost: int | None = None
) -> dict[int, int]:
    least = {}
    for number, whole in natural.items():
        one = columns[number]
        wanted = max(len(one.heading), one.least if utmost is None else utmost)
        least[number] = min(whole, wanted) if one.least else whole
    return least


def line(
    cells: Sequence[str],
    columns: Sequence[Column],
    widths: dict[int, int],
    width: int,
    ellipsis: str,
) -> str:
    """Return a row in the columns of `fit`, never longer than the terminal is wide.

    A cell that may not be shortened, and is wider than those that the columns were made for, moves its
    own row.
    """
    text, at = "", 0
    last = next(reversed(widths))
    for number, wanted in widths.items():
        one, cell = columns[number], cells[number]
        if number == last:
            cell = shortened(cell, max(wanted, width - at), ellipsis, middle=one.middle)
        elif one.least:
            cell = shortened(cell, wanted, ellipsis, middle=one.middle)
        text += " " * (at - width_of(text)) + cell
        at = max(at + wanted, width_of(text)) + GAP
    return shortened(text.rstrip(), width, ellipsis)
