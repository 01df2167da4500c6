"""job renew, job done: who has an item keeps it, or ends it."""

import os

import click

from prodigy_git.cli import completing, item_options, output
from prodigy_git.cli.job import here
from prodigy_git.cli.when import Duration
from prodigy_git.record import clock

_LATE = 4


_attempt_option = click.option(
    "--attempt", type=click.IntRange(1), metavar="N",
    help="Only this attempt, as 'job next' printed it; needed from the item's second on.",
)  # fmt: skip


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.argument("item", shell_complete=completing.items(completing.IN_PROGRESS))
@click.option(
    "--agent", help="Refuse where another agent has the item.", shell_complete=completing.agents
)
@_attempt_option
@click.option("--lease", type=Duration(), default="30m", show_default=True, metavar="AGE")
@output.json_option
def renew(
    name: str, item: str, agent: str | None, attempt: int | None, lease: int, as_json: bool
) -> None:
    """Extend the lease of a claim, from now on.

    \b
    Example:
      prodigy-git job renew review item-7 --attempt 1
    """
    from prodigy_git.jobs import claims

    store, repo, known = here(name, take=True)
    until = claims.renew(store, repo, known, item, agent, lease, output.note, number=attempt)
    if as_json:
        output.emit_json({"job_id": known, "item_id": item, "lease_ends_at": until})
    else:
        output.line(until)


@click.command()
@click.argument("name", metavar="JOB", shell_complete=completing.jobs)
@click.argument("item", shell_complete=completing.items(completing.IN_PROGRESS))
@click.option(
    "--agent",
    help="The agent that had it. [default: whoever has it]",
    shell_complete=completing.agents,
)
@_attempt_option
@click.option("--failed", is_flag=True, help="The work failed.")
@click.option("--error", metavar="TEXT", help="Why; only with --failed.")
@click.option("--no-retry", is_flag=True, help="Into the queue at once; only with --failed.")
@click.option(
    "--backoff", type=Duration(), metavar="AGE",
    help="How long a failed item waits for its second try; twice as long after each more, one minute "
    "at most. [default: 1s]",
)  # fmt: skip
@click.option("--commit", "commits", multiple=True, metavar="SHA", help="A commit that it made.")
@click.option(
    "--result", metavar="JSON|@FILE", help="What the item yielded: it is kept with its end."
)
@click.option(
    "--log",
    "log_path",
    metavar="PATH",
    shell_complete=completing.file_names,
    help="The agent's own log.",
)
@output.json_option
def done(
    name: str,
    item: str,
    agent: str | None,
    attempt: int | None,
    failed: bool,
    error: str | None,
    no_retry: bool,
    backoff: int | None,
    commits: tuple[str, ...],
    result: str | None,
    log_path: str | None,
    as_json: bool,
) -> int:
    """End the claim of an item that no worktree was made for; 'finish' does it for one that has.

    A failed item is pending again until its attempts are used up, then in the queue. Where others have
    the item by now, the end is recorded as late, changes nothing, and the exit status is 4. Prints what
    was ended.

    \b
    Example:
      prodigy-git job done review item-7 --result '{"ok": true}'
      prodigy-git job done review item-7 --failed --error 'no key'
    """
    from dataclasses import asdict

    from prodigy_git.jobs import checked_input, claims, endings

    if (error is not None or no_retry or backoff is not None) and not failed:
        raise click.UsageError("--error, --no-retry and --backoff go with --failed")
    if result is not None and failed:
        raise click.UsageError("--result goes with an item that was done well, not with --failed")
    made = checked_input.commits(commits)
    yielded = item_options.read(result)
    store, repo, known = here(name, take=True)
    held = claims.claim_now(store, repo, known, item, agent, attempt, output.note)
    path = None if log_path is None else os.path.abspath(log_path)
    if failed:
        wait = None
        if backoff is not None:
            wait = endings.backoff(held.tried, backoff / clock.SECOND)
        ended = claims.fail(
            store, repo, known, held, error=error or "the work failed", retry=not no_retry,
            backoff_ms=wait, log_path=path, session=held.worktree, broken=output.note,
        )  # fmt: skip
    else:
        ended = claims.complete(
            store, repo, known, held, commits=made, result=yielded, log_path=path,
            session=held.worktree, broken=output.note,
        )  # fmt: skip
    if ended.late:
        output.note(f"item {item} is not agent {held.agent_id}'s any more: recorded as late")
    if as_json:
        whose = {"agent_id": held.agent_id, "session_id": held.worktree}
        output.emit_json({"job_id": known, **asdict(ended), **whose})
    else:
        text = f"{item}: {ended.state.replace('_', ' ')}, attempt {ended.attempt}, "
        text += f"agent {held.agent_id}"
        output.prose(text + (f", session {held.worktree}" if held.worktree else ""))
    return _LATE if ended.late else 0
