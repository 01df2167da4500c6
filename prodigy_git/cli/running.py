"""run: a command on a job's items, in worktrees of their own."""

from typing import TYPE_CHECKING

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.cli.job import NONE_LEFT, here
from prodigy_git.cli.when import Duration
from prodigy_git.record import clock

if TYPE_CHECKING:
    from prodigy_git.lifecycle.run import Attempt


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "--job",
    "name",
    metavar="JOB",
    help="[default: $PRODIGY_JOB_ID, git config prodigy.job]",
    shell_complete=completing.jobs,
)
@click.option(
    "--item",
    metavar="ID",
    help="On this item. [default: on the next one]",
    shell_complete=completing.items(completing.PENDING),
)
@click.option(
    "--next", "every", is_flag=True, help="On one item after the other, until none is left."
)
@click.option(
    "--agent",
    help="Who works. [default: a fresh id for each item]",
    shell_complete=completing.agents,
)
@click.option("--timeout", type=Duration(), metavar="AGE", help="End the command after so long.")
@click.option(
    "--attempts",
    type=click.IntRange(1, 1000),
    help="How often to try an item. [default: the job's]",
)
@click.option(
    "--backoff", type=Duration(), default="1s", show_default=True, metavar="AGE",
    help="Before the second try; twice as long before each after that, one minute at most.",
)  # fmt: skip
@click.option("--commit-required", is_flag=True, help="Without a commit, it has failed.")
@click.option(
    "--keep", is_flag=True, help="Keep the worktree, also where its branch has everything."
)
@click.option(
    "--base",
    metavar="REF",
    shell_complete=completing.refs,
    help="Where the branches begin. [default: HEAD]",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    name: str | None,
    item: str | None,
    every: bool,
    agent: str | None,
    timeout: int | None,
    attempts: int | None,
    backoff: int,
    commit_required: bool,
    keep: bool,
    base: str | None,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND on a work item, in a worktree made for it; give '--' before it.

    It finds the item in $PRODIGY_ITEM (JSON) and $PRODIGY_ITEM_ID. The item is completed if the command
    exits with 0; otherwise it is tried again, in a new worktree, until its attempts are used up.
    Passes on the command's exit status, 124 after a timeout; with --next 0 if no item was given up,
    else 1; 3 if there was no item to be had. Started N times with --next it is a pool of N workers.
    """
    from prodigy_git.lifecycle import run as running

    if every and item is not None:
        raise click.UsageError("--item and --next exclude each other")
    store, repo, job = here(name)
    cwd = gitenv.here()
    wish = running.Wish(
        command, agent, None if timeout is None else timeout / clock.SECOND, attempts,
        backoff / clock.SECOND, commit_required, base,
    )  # fmt: skip

    def after(done: "Attempt") -> None:
        output.note(
            f"item {done.item_id}, attempt {done.attempt}: {done.state.replace('_', ' ')} "
            f"(exit status {done.exit_status}, session {done.session_id})"
        )
        # What was given up is for somebody to look at.
        if not keep and done.state not in ("dead", "failed"):
            _tidy(store, cwd, done.session_id)

    if every:
        given_up, signalled = running.until_none_is_left(
            store, repo, job, cwd, wish, after, output.note
        )
        return 128 + signalled if signalled is not None else int(given_up > 0)
    last = running.until_done(store, repo, job, cwd, wish, item, after, output.note)
    if last is None:
        output.note(f"job {job}: no item to be had now")
        return NONE_LEFT
    return last.exit_status


def _tidy(store: str, cwd: str, session: str) -> None:
    """Move a worktree to the trash where nothing is lost by it; its branch stays if it has commits."""
    from prodigy_git.cleanup import worktrees
    from prodigy_git.errors import ProdigyError
    from prodigy_git.store import sessions

    try:
        sessions.load(store, session)
    except ProdigyError:
        return  # it had no worktree
    for outcome in worktrees.clean(store, cwd, [session], worktrees.Options(), output.note):
        if outcome.result != "cleaned":
            output.note(f"worktree {session} is kept: {'; '.join(outcome.reasons)}")
