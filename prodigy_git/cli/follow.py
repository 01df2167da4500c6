"""events follow: what happens, as it happens."""

import os
from collections.abc import Callable

import click

from prodigy_git import layout
from prodigy_git.cli import output
from prodigy_git.cli.when import Moment


@click.command()
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="Of this job; may be repeated.")
@click.option("--all-jobs", is_flag=True, help="Of all jobs of all repositories.")
@click.option("--since", metavar="CURSOR|TIME", help="From there on. [default: now]")
@click.option("--type", "kind", metavar="TYPE", help="Only events of this type.")
@click.option("--agent", help="Only an agent's.")
@click.option("--session", help="Only a session's.")
@click.option("--item", help="Only an item's.")
@click.option("--cursor", is_flag=True, help="Say on stderr where to go on, after each batch.")
@output.json_option
def follow(
    jobs: tuple[str, ...],
    all_jobs: bool,
    since: str | None,
    kind: str | None,
    agent: str | None,
    session: str | None,
    item: str | None,
    cursor: bool,
    as_json: bool,
) -> None:
    """Print events as they come, until you interrupt it.

    Of the jobs of this repository, unless told otherwise; new jobs are followed, too. A cursor that was
    printed, or that the JSON bears, goes on from there without loss or repetition.
    """
    from prodigy_git.cli.events import row
    from prodigy_git.model.event import Event, pascal_case
    from prodigy_git.store.follow import Follower

    wanted = None if kind is None else pascal_case(kind)

    def fits(event: Event) -> bool:
        return (
            wanted in (None, event.type)
            and agent in (None, event.agent_id)
            and session in (None, event.session_id)
            and item in (None, event.item_id)
        )

    follower = Follower(
        layout.store_from(os.environ), _selected(jobs, all_jobs), _since(since), output.note
    )
    for found in follower.follow():
        shown = [event for _, _, event in found if fits(event)]
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


def _selected(jobs: tuple[str, ...], all_jobs: bool) -> Callable[[], list[tuple[str, str]]]:
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.store import events

    store = layout.store_from(os.environ)
    if all_jobs:
        return lambda: events.jobs(store)
    if jobs:
        named = [whereabouts.job(os.getcwd(), name)[1:] for name in jobs]
        return lambda: named
    repo = whereabouts.repository(os.getcwd())[1]
    return lambda: events.jobs(store, repo)
