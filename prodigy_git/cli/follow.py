"""events follow: what happens, as it happens."""

import time
from typing import TYPE_CHECKING

import click

from prodigy_git.cli import output
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.cli.when import Moment

if TYPE_CHECKING:
    from prodigy_git.store.follow import Follower

_SHARE = 100  # working out cursors may take one part in so many of the time


@click.command()
@filters("since", "until", unborn=True)
@click.option("--since", metavar="CURSOR|TIME", help="From there on. [default: now]")
@click.option(
    "--cursor", is_flag=True, help="Say on stderr where to go on: at once, and after each batch."
)
@output.json_option
def follow(wanted: Wanted, since: str | None, cursor: bool, as_json: bool) -> None:
    """Print events as they come, until you interrupt it.

    Of the jobs of this repository, unless told otherwise; new jobs are followed, too. A cursor that was
    printed, or that the JSON bears, goes on from there without loss or repetition.

    \b
    Example:
      prodigy-git events follow --job review --json
    """
    from prodigy_git.cli.events import row
    from prodigy_git.store.follow import Follower
    from prodigy_git.views.exporting import line

    follower = Follower(wanted.store, wanted.jobs, _since(since), output.note, wanted.means)
    cursors = _Cursors(follower)
    for found in follower.follow(rounds=True):
        shown = [event for _, _, event in found if wanted.selection.fits(event)]
        if found:
            cursors.due = True
        if shown and as_json:
            lines = list(map(line, shown))
            if (text := cursors.next()) is not None:
                lines[-1] = output.json_text({**shown[-1].fields(), "cursor": text})
            click.echo("\n".join(lines))
        elif shown:
            click.echo("\n".join(output.clean("  ".join(row(event))) for event in shown))
        # Also where the filter lets nothing through: nobody is to read all that again.
        if cursor and not found and cursors.due and (text := cursors.next()) is not None:
            output.note(f"cursor: {text}")
            cursors.due = False


class _Cursors:
    """Cursors, as often as they may be had: one names each file of each of thousands of jobs."""

    def __init__(self, follower: "Follower") -> None:
        self.due = True
        self._follower = follower
        self._next = 0.0

    def next(self) -> str | None:
        """Return where to go on; None where the last cursor was made too short a time ago."""
        begin = time.monotonic()
        if begin < self._next:
            return None
        text = self._follower.cursor()
        end = time.monotonic()
        self._next = end + _SHARE * (end - begin)
        return text


def _since(text: str | None) -> str | int | None:
    if text is None:
        return None
    try:
        return Moment().convert(text, None, None)
    except click.BadParameter:
        return text  # the follower says whether it is a cursor
