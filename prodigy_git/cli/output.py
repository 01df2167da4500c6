"""What the command line says: results on stdout, everything else on stderr, nothing raw.

Text from a repository or a log is foreign: `clean` makes its control characters visible before it
reaches a terminal. JSON needs no such care, since its escapes already do that.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from prodigy_git.errors import ProdigyError
from prodigy_git.views.foreign import clean as clean

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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


def require_terminal() -> None:
    """Raise `click.UsageError` where there is nobody to ask before something is cleaned."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: give --yes, or --dry-run to look.")


def confirm(question: str) -> None:
    """Ask before something is done. Raises `ProdigyError` at a no, and as `require_terminal`."""
    require_terminal()
    if not click.confirm(clean(question), err=True):
        raise ProdigyError("nothing was changed")


def emit_json(value: Any) -> None:
    """Print one JSON value on one line, in ASCII, so that any terminal and any parser take it."""
    click.echo(json_text(value))


def json_text(value: Any) -> str:
    """Return a JSON value on one line, in ASCII; null for numbers that JSON has no form for."""
    from prodigy_git.model import jsontext

    return jsontext.text(value)


def stream(lines: Iterable[str]) -> None:
    """Print lines as they come, however many there are.

    The first is out at once; then more and more go out together, since a system call for each would
    cost more than the line.
    """
    if sys.stdout is None:
        return
    batch, size = [], 1
    for text in lines:
        batch.append(text)
        if len(batch) == size:
            click.echo("\n".join(batch))
            batch, size = [], min(2 * size, 1024)
    if batch:
        click.echo("\n".join(batch))


def csv(pieces: Iterable[str]) -> None:
    """Print a CSV file: as it is, but on a terminal with nothing raw in it."""
    if sys.stdout is None:
        return
    shown = sys.stdout.isatty()
    for text in pieces:
        click.echo("\n".join(map(clean, text.split("\r\n"))) if shown else text, nl=False)


def listing(
    headings: Sequence[str], rows: Iterable[Sequence[object]], dispensable: Sequence[str] = ()
) -> None:
    """Print rows as `table` does, but as they come, however many there are.

    On a terminal its first screenful decides which columns there are and how wide; a cell that turns
    out wider later on moves its own row only.
    """
    cleaned = ([clean(cell) for cell in row] for row in rows)
    if sys.stdout is None or not sys.stdout.isatty():
        stream(map("\t".join, cleaned))
        return
    import shutil

    from rich.cells import cell_len, set_cell_size

    width, height = shutil.get_terminal_size()
    first = list(itertools.islice(cleaned, height))
    needed = _columns(headings, first, dispensable, width)
    *kept, last = [number for number, heading in enumerate(headings) if heading in needed]

    def fitted(row: Sequence[str]) -> str:
        text = ""
        for number in kept:
            length = needed[headings[number]]
            text += row[number] + " " * (max(0, length - cell_len(row[number])) + 2)
        left = max(8, width - cell_len(text))
        wide = cell_len(row[last]) > left
        return text + (set_cell_size(row[last], left - 1) + "…" if wide else row[last])

    click.echo(click.style(fitted(headings).rstrip(), bold=True))
    stream(map(fitted, itertools.chain(first, cleaned)))


def _columns(
    headings: Sequence[str], rows: Sequence[Sequence[str]], dispensable: Sequence[str], width: int
) -> dict[str, int]:
    """Return the columns that a terminal has room for, and how wide each has to be."""
    from rich.cells import cell_len

    needed = {
        heading: max(map(cell_len, (heading, *(row[number] for row in rows))))
        for number, heading in enumerate(headings)
    }
    for heading in dispensable:
        if sum(needed.values()) + 2 * len(needed) <= width:
            break
        del needed[heading]
    return needed


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
    import shutil

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size().columns
    needed = _columns(headings, cleaned, dispensable, width)
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
