"""event add: an event from outside into a job's log."""

import sys
from typing import Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output


@click.group()
def event() -> None:
    """Put events of your own into a job's log.

    \b
    Example:
      prodigy-git event add --type Note --content 'tests pass'
    """


@event.command()
@click.argument("source", metavar="[-]", required=False)
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    help="As ClaudeMessage, or a type of your own.",
    shell_complete=completing.types,
)
@click.option("--content", help="The field 'content'.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE",
    help="Another field; a VALUE that is JSON is taken as such.",
)  # fmt: skip
@click.option(
    "--job",
    "name",
    metavar="JOB",
    help="[default: this worktree's, $PRODIGY_JOB_ID]",
    shell_complete=completing.jobs,
)
@click.option("--session", help="[default: this worktree's]", shell_complete=completing.sessions)
@click.option(
    "--agent",
    help="[default: this worktree's, $PRODIGY_AGENT_ID]",
    shell_complete=completing.agents,
)
@click.option(
    "--item", help="[default: this worktree's, $PRODIGY_ITEM_ID]", shell_complete=completing.items()
)
@output.json_option
def add(
    source: str | None,
    kind: str | None,
    content: str | None,
    fields: tuple[str, ...],
    name: str | None,
    session: str | None,
    agent: str | None,
    item: str | None,
    as_json: bool,
) -> None:
    """Record an event, or with '-' one for each JSON line of stdin, all of them or none.

    Prints their ids. Known types are checked; unknown fields and types are kept.

    \b
    Example:
      prodigy-git event add --type Note --content 'tests pass'
      prodigy-git event add - < events.jsonl
    """
    from prodigy_git.lifecycle import whereabouts
    from prodigy_git.store import outside_events

    if (source == "-") == (kind is not None) or source not in (None, "-"):
        raise click.UsageError("Give either --type TYPE or '-' for JSON lines on stdin.")
    if source == "-" and (content is not None or fields):
        raise click.UsageError("--content and --field go with --type.")
    store, repo, job = whereabouts.job(gitenv.here(), name, own=True, take=True, told=output.note)
    known = whereabouts.identity(gitenv.here(), session, agent, item)
    if kind is not None:
        given = [{"type": kind, **_fields(fields)}]
        if content is not None:
            given[0]["content"] = content
    else:
        given = _lines(sys.stdin.buffer.read())
    ids = outside_events.record(store, repo, job, [{**known, **one} for one in given])
    if as_json:
        output.emit_json({"job_id": job, "event_ids": ids})
    else:
        for one in ids:
            output.line(one)


def _fields(given: tuple[str, ...]) -> dict[str, Any]:
    from prodigy_git.record import jsonline

    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--field")
        try:
            found[name] = jsonline.decode(value)
        except ValueError:
            found[name] = value
    return found


def _lines(text: bytes) -> list[dict[str, Any]]:
    from prodigy_git.errors import ProdigyError
    from prodigy_git.record import jsonline

    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            try:
                found.append(jsonline.decode_object(line))
            except ValueError as error:
                raise ProdigyError(f"line {number}: {error}: nothing was recorded") from error
    if not found:
        raise ProdigyError("no event on stdin")
    return found
