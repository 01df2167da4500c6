"""events follow: what happens, as it happens."""

import click

from prodigy_git.cli import output
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.cli.when import Moment


@click.command()
@filters("since", "until", unborn=True)
@click.option("--since", metavar="CURSOR|TIME", help="From there on. [default: now]")
@click.option("--cursor", is_flag=True, help="Say on stderr where to go on, after each batch.")
@output.json_option
def follow(wanted: Wanted, since: str | None, cursor: bool, as_json: bool) -> None:
    """Print events as they come, until you interrupt it.

    Of the jobs of this repository, unless told otherwise; new jobs are followed, too. A cursor that was
    printed, or that the JSON bears, goes on from there without loss or repetition.
    """
    from prodigy_git.cli.events import row
    from prodigy_git.store.follow import Follower

    follower = Follower(wanted.store, wanted.jobs, _since(since), output.note)
    for found in follower.follow():
        shown = [event for _, _, event in found if wanted.selection.fits(event)]
        for number, event in enumerate(shown, 1):
            if as_json:
                last = {"cursor": follower.cursor()} if number == len(shown) else {}
                output.emit_json({**event.fields(), **last})
            else:
                output.line("  ".join(row(event)))
        if cursor and shown:
            output.note(f"cursor: {follower.cursor()}")


def _since(text: str | None) -> str | int | None:
    if text is None:
        return None
    try:
        return Moment().convert(text, None, None)
    except click.BadParameter:
        return text  # the follower says whether it is a cursor
