"""What the command line says: results on stdout, everything else on stderr, nothing raw.

Text from a repository or a log is foreign: `clean` makes its control characters visible before it
reaches a terminal. JSON needs no such care, since its escapes already do that.
"""

import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def clean(text: object) -> str:
    """Return ``text`` on one line, with control, format and surrogate characters shown as escapes."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        c if c == " " or (c.isprintable() and unicodedata.category(c) != "Cf") else _escape(c)
        for c in shown
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def line(text: str) -> None:
    """Print one line of the result."""
    click.echo(clean(text))


def path(text: str) -> None:
    """Print a path as a result: raw, since it is meant for another command, not for eyes."""
    if sys.stdout is None:
        return  # closed by the caller, who then wants no path
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Say something that is not the result."""
    click.echo(f"prodigy-git: {clean(text)}", err=True)


def error(text: str) -> None:
    """Say in one line what is wrong and what to do."""
    click.echo(f"prodigy-git: error: {clean(text)}", err=True)


def emit_json(value: Any) -> None:
    """Print one JSON value on one line, in ASCII, so that any terminal and any parser take it."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), separators=(",", ":"))
    click.echo(text)


def _finite(value: Any) -> Any:
    """Return ``value`` with null for the numbers that JSON has no form for; a log may hold them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    dispensable: Sequence[str] = (),
    *,
    wrap: bool = False,
) -> None:
    """Print rows under headings: aligned and fitted to a terminal, tab-separated elsewhere.

    On a terminal that is too narrow, columns go in the order of ``dispensable``; then the last one is
    shortened, or goes on in the next line with ``wrap``. The others are never cut: they hold names
    that other commands take.
    """
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cleaned:
            click.echo("\t".join(row))
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size().columns
    needed = {
        heading: max(map(cell_len, (heading, *(row[number] for row in cleaned))))
        for number, heading in enumerate(headings)
    }
    for heading in dispensable:
        if sum(needed.values()) + 2 * len(needed) <= width:
            break
        del needed[heading]
    last = list(needed)[-1]
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, length in needed.items():
        least = None if heading == last else length
        cut = least is not None or not wrap
        shown.add_column(heading, no_wrap=cut, overflow="ellipsis", min_width=least)
    kept = [number for number, heading in enumerate(headings) if heading in needed]
    for row in cleaned:
        shown.add_row(*(Text(row[number]) for number in kept))
    Console(width=width, highlight=False, markup=False).print(shown)
