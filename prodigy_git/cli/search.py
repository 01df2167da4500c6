"""events search: the events that say something."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from prodigy_git.cli import output
from prodigy_git.cli.events import matching, row
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.errors import ProdigyError

if TYPE_CHECKING:
    from prodigy_git.views.search import Match

_BEFORE = 30  # characters shown before a match


@click.command()
@click.argument("regex")
@filters()
@click.option("--field", metavar="FIELD", help="Only in this field, as 'error' or 'subject'.")
@click.option("-i", "--ignore-case", is_flag=True, help="Take capitals and small letters as one.")
@click.option("--json", "as_json", is_flag=True, help="Print one event per line, as JSON.")
def search(regex: str, wanted: Wanted, field: str | None, ignore_case: bool, as_json: bool) -> None:
    """List the events that REGEX, of Python's kind, matches in; in time order.

    Each of an event's values is looked at, as it reads, not as JSON escapes it. Exits with 0 also where
    nothing is found.

    \b
    Example:
      prodigy-git events search -i 'time.?out' --field error
    """
    from prodigy_git.views import search as views
    from prodigy_git.views.exporting import line

    try:
        pattern = views.compiled(regex, ignore_case=ignore_case)
    except ProdigyError as error:
        raise click.UsageError(f"{error}.") from error
    needed = views.literal(pattern, field)
    if needed:  # then most lines need not be read
        wanted = replace(wanted, selection=replace(wanted.selection, text=needed))
    found = views.matching(matching(wanted), pattern, field)
    if as_json:
        output.stream(line(one.event) for one in found)
        return
    headings = ("TIME", "TYPE", "JOB", "SESSION", "AGENT", "MATCH")
    output.listing(headings, _rows(found), ("JOB", "AGENT", "SESSION"), empty="no event matches")


def _rows(found: "Iterator[Match]") -> "Iterator[tuple[str, ...]]":
    for one in found:
        begin = max(0, one.start - _BEFORE)
        shown = ("…" if begin else "") + one.text[begin : one.end + 1000]
        yield (*row(one.event)[:-1], f"{one.field}: {shown}")
