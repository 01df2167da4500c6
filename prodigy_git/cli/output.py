"""What the command line says: results on stdout, everything else on stderr, nothing raw.

Text from a repository or a log is foreign: `clean` makes its control characters visible before it
reaches a terminal. JSON needs no such care, since its escapes already do that.
"""

import json
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
    click.echo(json.dumps(value, separators=(",", ":")))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings: aligned and fitted to a terminal, tab-separated elsewhere."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cleaned:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        # The first column is the name that other commands take: never shortened.
        shown.add_column(heading, no_wrap=True, overflow="fold" if number == 0 else "ellipsis")
    for row in cleaned:
        shown.add_row(*(Text(cell) for cell in row))
    width = shutil.get_terminal_size().columns
    Console(width=width, highlight=False, markup=False).print(shown)
