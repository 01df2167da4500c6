"""job add: more items for a job, also while it runs."""

import click

from prodigy_git.cli import completing, output
from prodigy_git.cli.item_options import text_of
from prodigy_git.cli.job import here


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.option(
    "--items", "source", metavar="FILE|-", required=True, shell_complete=completing.file_names,
    help="A JSON array, JSON lines, or see --json-path.",
)  # fmt: skip
@click.option("--json-path", metavar="EXPR", help="Picks the items out, as '$.files[*]'.")
@click.option("--skip-known", is_flag=True, help="Pass over ids that the job has already.")
@click.option(
    "--no-order", is_flag=True, help="Items' fields 'priority' and 'after' mean something else."
)
@output.json_option
def add(
    name: str,
    source: str,
    json_path: str | None,
    skip_known: bool,
    no_order: bool,
    as_json: bool,
) -> None:
    """Give a job more items, also while it runs.

    An id is one item: where the job has one of them already, none is added. Prints how many were.

    \b
    Example:
      prodigy-git job add review --items more.jsonl --skip-known
    """
    from prodigy_git.jobs import course, items

    store, repo, known = here(name, take=True)
    found = items.load(text_of(source), json_path, where=source)
    added, skipped = course.add(
        store, repo, known, found, where=source, skip_known=skip_known, ordered=not no_order,
        broken=output.note,
    )  # fmt: skip
    if as_json:
        output.emit_json({"job_id": known, "added": added, "skipped": skipped})
        return
    said = f"{known}: {len(added)} {'item' if len(added) == 1 else 'items'} added"
    output.prose(said + (f", {len(skipped)} known already" if skipped else ""))
