"""hub verify: this host's log and the hub, compared event by event."""

from typing import TYPE_CHECKING

import click

from prodigy_git.cli import completing, output
from prodigy_git.cli.hub_sync import exchange_of

if TYPE_CHECKING:
    from prodigy_git.hub.verifying import Verdict

_SHOWN = 20
_WORDS = {
    "missing_here": "missing here",
    "missing_on_hub": "missing on the hub",
    "different": "not the same here and on the hub",
    "twice": "here more than once",
}


@click.command()
@click.option("--job", metavar="JOB", help="This one job alone.", shell_complete=completing.jobs)
@click.option("--fix", is_flag=True, help="Pull what is missing here, offer the hub what it lacks.")
@output.json_option
def verify(job: str | None, fix: bool, as_json: bool) -> int:
    """Compare the log here with the hub, event by event, and say what is missing where.

    What is still to be shipped or pulled, and what was cleaned away here, is no difference. With
    --fix, all of a job that differs is pulled once more, and all that is here is offered to the hub:
    also events that were removed there because of their age.

    \b
    Example:
      prodigy-git hub verify --job review
    """
    from prodigy_git.hub import verifying

    exchange = exchange_of(job)
    exchange.begin()
    verdicts = []
    for name in exchange.all_jobs():
        where = exchange.where(name)
        verdict = verifying.verify(exchange.conn, where, exchange.number)
        if fix and verdict.differs():
            verifying.mend(exchange.conn, where, exchange.number)
            verdict = verifying.verify(exchange.conn, where, exchange.number)
        verdicts.append(verdict)
    if as_json:
        output.emit_json({"jobs": [one.as_json() for one in verdicts]})
    else:
        _show(verdicts, fix=fix)
    return 1 if any(one.differs() for one in verdicts) else 0


def _show(verdicts: "list[Verdict]", *, fix: bool) -> None:
    headings = (
        "JOB", "HERE", "ON HUB", "TO SHIP", "TO PULL", "CLEANED", "ASIDE", "MISSING HERE",
        "MISSING ON HUB", "DIFFERENT", "TWICE",
    )  # fmt: skip
    output.table(
        headings,
        (
            (
                one.job_id, one.events_here, one.on_hub, one.not_shipped, one.not_pulled, one.cleaned,
                one.set_aside, len(one.missing_here), len(one.missing_on_hub), len(one.different),
                len(one.twice),
            )
            for one in verdicts
        ),
        ("CLEANED", "ASIDE", "TO PULL", "TO SHIP", "TWICE", "ON HUB", "HERE"),
        empty="no jobs on the hub: there is nothing to compare",
    )  # fmt: skip
    for one in verdicts:
        for name, words in _WORDS.items():
            ids: list[str] = getattr(one, name)
            for identity in ids[:_SHOWN]:
                output.note(f"{one.job_id}: {identity} is {words}")
            if len(ids) > _SHOWN:
                output.note(f"{one.job_id}: {len(ids) - _SHOWN} more are {words}; --json names all")
    if not fix and any(one.missing_here or one.missing_on_hub for one in verdicts):
        output.note("'prodigy-git hub verify --fix' brings what is missing, both ways")
