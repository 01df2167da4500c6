"""What the command line says: results on stdout, everything else on stderr, nothing raw.

Text from a repository or a log is foreign: `clean` makes its control characters visible before it
reaches a terminal. JSON needs no such care, since its escapes already do that.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from prodigy_git.errors import ProdigyError
from prodigy_git.views.harmless import clean as clean

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def on_terminal() -> bool:
    """Whether the result is for eyes."""
    return sys.stdout is not None and sys.stdout.isatty()


def is_plain() -> bool:
    """Whether a terminal is to get text alone, without colours, bars and movements of its cursor.

    It can do no more (``TERM=dumb``), or its user wants no more (``NO_COLOR``, https://no-color.org).
    """
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in (None, "", "dumb")


def styled(text: str, **style: Any) -> str:
    """Return a text of ours as `click.style` has it, or as it is where a terminal is to be plain."""
    return text if is_plain() else click.style(text, **style)


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
    """Say something that is not the result; the same is said once in a command."""
    if text not in _said:
        _said.add(text)
        click.echo(f"prodigy-git: {clean(text)}", err=True)


_said: set[str] = set()


def begin() -> None:
    """Forget what the command before has said: a process may run several."""
    _said.clear()


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


_HELD = 1 << 16
"""Characters that wait for others to go out with them: a thousand lines may be gigabytes."""


def stream(lines: Iterable[str]) -> None:
    """Print lines as they come, however many there are.

    The first is out at once; then more and more go out together, since a system call for each would
    cost more than the line.
    """
    if sys.stdout is None:
        return
    batch, size, held = [], 1, 0
    for text in lines:
        batch.append(text)
        held += len(text)
        if len(batch) == size or held > _HELD:
            click.echo("\n".join(batch))
            batch, size, held = [], min(2 * size, 1024), 0
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
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    dispensable: Sequence[str] = (),
    *,
    empty: str,
    foreign: bool = False,
) -> None:
    """Print rows as `table` does, but as they come, however many there are.

    On a terminal its first screenful decides which columns there are and how wide. ``foreign``: the
    columns are somebody else's, and any may be shortened.
    """
    cleaned = ([clean(cell) for cell in row] for row in rows)
    if not on_terminal():
        stream(map("\t".join, cleaned))
        return
    import shutil

    size = shutil.get_terminal_size()
    first = list(itertools.islice(cleaned, size.lines))
    if not first:
        note(empty)
        return
    fitted = _fitted(headings, first, dispensable, size.columns, foreign=foreign)
    click.echo(styled(fitted(headings), bold=True))
    stream(map(fitted, itertools.chain(first, cleaned)))


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    dispensable: Sequence[str] = (),
    *,
    empty: str = "",
) -> None:
    """Print rows under headings: fitted to a terminal (`columns`), whole and tab-separated elsewhere.

    On a terminal that is too narrow names and texts are shortened; where that is not enough, columns go
    in the order of ``dispensable``. Where there is no row, a terminal is told ``empty`` instead.
    """
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not on_terminal():
        stream(map("\t".join, cleaned))
        return
    if empty and not cleaned:
        note(empty)
        return
    import shutil

    fitted = _fitted(headings, cleaned, dispensable, shutil.get_terminal_size().columns)
    click.echo(styled(fitted(headings), bold=True))
    stream(map(fitted, cleaned))


def _fitted(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    dispensable: Sequence[str],
    width: int,
    *,
    foreign: bool = False,
) -> Callable[[Sequence[str]], str]:
    """Return what makes a line of a row, in columns that are right for these rows."""
    from prodigy_git.cli import columns

    ellipsis = columns.ellipsis_for(sys.stdout.encoding)
    shape = [columns.column(heading, foreign=foreign) for heading in headings]
    natural = [
        max(map(columns.width_of, (heading, *(_shown(row[number]) for row in rows))))
        for number, heading in enumerate(headings)
    ]
    widths = columns.fit(shape, natural, width, dispensable)
    return lambda row: columns.line(list(map(_shown, row)), shape, widths, width, ellipsis)


def _shown(text: str) -> str:
    """Return a text as the terminal will get it, where its encoding lacks some characters."""
    if text.isascii():
        return text
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def fit_line(text: str) -> str:
    """Return foreign text on one line of a terminal, shortened at its end where it is too long."""
    import shutil

    from prodigy_git.cli import columns

    width = shutil.get_terminal_size().columns
    return columns.shortened(_shown(clean(text)), width, columns.ellipsis_for(sys.stdout.encoding))


def definitions(headings: tuple[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    """Print words with a text about each, as `table` does, but the texts go on in the next line."""
    from prodigy_git.cli import columns

    rows = [[clean(cell) for cell in pair] for pair in pairs]
    if not on_terminal():
        stream(map("\t".join, rows))
        return
    first = max(columns.width_of(word) for word, _ in (headings, *rows)) + columns.GAP
    click.echo(styled(f"{headings[0]:<{first}}{headings[1]}", bold=True))
    for word, text in rows:
        for number, part in enumerate(wrapped(text, first)):
            click.echo(f"{'' if number else word:<{first}}{part}")


def prose(text: str) -> None:
    """Print a line: on a terminal broken at its width, the rest of it two columns further in."""
    shown = clean(text)
    if not on_terminal() or fit_line(shown) == shown:
        click.echo(shown)
        return
    indent = len(shown) - len(shown.lstrip(" "))
    for number, part in enumerate(wrapped(shown, indent + 2)):
        click.echo(f"{' ' * (indent + 2 * bool(number))}{part.lstrip()}")


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Break a text at a terminal's width, less ``indent``, words whole; elsewhere it is one line."""
    import shutil

    from prodigy_git.cli import columns

    if not on_terminal():
        return [text]
    return columns.wrap(text, max(24, shutil.get_terminal_size().columns - indent))
