"""run: a command on a job's items, in worktrees of their own."""

import re
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import at_work, completing, output
from prodigy_git.cli.job import FOREVER, NONE_LEFT, here
from prodigy_git.cli.when import Duration
from prodigy_git.record import clock

if TYPE_CHECKING:
    from prodigy_git.lifecycle.lease import Terms
    from prodigy_git.lifecycle.run import Attempt, Worker

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


class _Size(click.ParamType[int]):
    """A size in bytes; 0 stands for none."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        from prodigy_git.store.runlog import SMALLEST

        found = re.fullmatch(r"([0-9]{1,12})([kMG]?)B?", str(value))
        size = int(found[1]) * _UNITS[found[2]] if found else -1
        if 0 < size < SMALLEST or size < 0:
            self.fail(
                f"{value!r} is no size: write 500k, 100M or 2G, or 0 for no limit", param, ctx
            )
        return size


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
    "--parallel", type=click.IntRange(1, 256), metavar="N",
    help="N workers in this command, until none is left.",
)  # fmt: skip
@click.option(
    "--fail-fast", type=click.IntRange(1, 10_000), metavar="N",
    help="Stop once N items in a row have failed alike.",
)  # fmt: skip
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
@click.option(
    "--lease", type=Duration(), metavar="AGE",
    help="Of a shared job's item: the claim lives so long, and is renewed each third of it. "
    "[default: git config prodigy.lease, 5m]",
)  # fmt: skip
@click.option(
    "--on-lost-lease", "on_lost", type=click.Choice(["kill", "continue"]),
    help="What becomes of the command when that cannot be renewed. [default: kill]",
)  # fmt: skip
@click.option(
    "--wait", type=Duration(), metavar="[AGE]", is_flag=False, flag_value=FOREVER,
    help="Wait for items that others have, and for a hub that is away, so long at most.",
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
@click.option(
    "--push",
    metavar="REMOTE",
    shell_complete=completing.remotes,
    help="Push the commits of each attempt to a branch of their own there.",
)
@click.option("--no-setup", is_flag=True, help="Worktrees without their set-up commands.")
@click.option("--stdin", is_flag=True, help="Pass on standard input. [default: /dev/null]")
@click.option("--pty", is_flag=True, help="The command gets a terminal; you type into it.")
@click.option(
    "--log-limit", type=_Size(), default="100M", show_default=True, metavar="SIZE",
    help="How much of its output is kept, the beginning and the end; 0: all.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print each attempt's end as a line of JSON; the command's output goes to stderr.",
)  # fmt: skip
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    name: str | None,
    item: str | None,
    every: bool,
    parallel: int | None,
    fail_fast: int | None,
    agent: str | None,
    timeout: int | None,
    attempts: int | None,
    backoff: int,
    lease: int | None,
    on_lost: str | None,
    wait: int | None,
    commit_required: bool,
    keep: bool,
    base: str | None,
    push: str | None,
    no_setup: bool,
    stdin: bool,
    pty: bool,
    log_limit: int,
    as_json: bool,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND on a work item, in a worktree made for it; give '--' before it.

    It finds the item in $PRODIGY_ITEM (JSON) and $PRODIGY_ITEM_ID. The item is completed if the command
    exits with 0; otherwise it is tried again, in a new worktree, until its attempts are used up.
    Passes on the command's exit status, 124 after a timeout; with --next 0 if no item was given up,
    else 1; 3 if there was no item to be had, or the job is paused; 5 after --fail-fast; 6 if a shared
    job's hub is away. Interrupted, it gives the item back. With --parallel each line of output has its
    agent in front; there the first Ctrl-C lets the agents finish, the second ends them.

    \b
    Example:
      prodigy-git run --job review --parallel 4 --timeout 30m -- ./agent.sh
      prodigy-git run --job review --next --wait --push origin -- ./agent.sh
      prodigy-git run --job review -- sh -c 'agent "Review $PRODIGY_ITEM"'
    """
    from prodigy_git.lifecycle import (
        command_environment,
        failing_alike,
        interrupts,
        lease_guard,
        pool,
        preparing,
        pushing_commits,
        ready,
        sinks,
        telling_hub,
    )
    from prodigy_git.lifecycle import run as running

    if item is not None and (every or parallel is not None):
        raise click.UsageError("--item goes neither with --next nor with --parallel")
    if (stdin or pty) and parallel is not None:
        which = "--stdin" if stdin else "--pty"
        raise click.UsageError(f"{which} and --parallel exclude each other: it is for one agent")
    if fail_fast is not None and not every and parallel is None:
        raise click.UsageError("--fail-fast is for several items: give --next or --parallel, too")
    store, repo, job = here(name, take=True)
    cwd = gitenv.here()
    patience = None if wait is None else wait / clock.SECOND
    terms = _terms(store, repo, job, cwd, lease, on_lost, wait)
    destination = None if push is None else pushing_commits.to(store, repo, cwd, push)

    def check() -> None:
        ready.check(store, cwd, base, command[0], command_environment.environment())
        if not no_setup:
            preparing.check(store, repo, cwd, base)

    member = None
    in_a_row = failing_alike.InARow(fail_fast)
    if parallel is not None:
        from prodigy_git.cli import run_pool

        try:
            check()
        except ready.CannotStart as trouble:
            output.error(str(trouble))
            return trouble.exit_status
        lines = run_pool.whole_lines()
        found = run_pool.start(parallel)
        if isinstance(found, pool.Pool):
            return run_pool.attend((store, repo, job), found, in_a_row)
        member, every = found, True
        agent = None if agent is None else f"{agent}-{member.number}"
    wish = running.Wish(
        command, agent, None if timeout is None else timeout / clock.SECOND, attempts,
        backoff / clock.SECOND, commit_required, base, stdin, log_limit, pty, not no_setup, None,
        patience,
    )  # fmt: skip

    teller = None if terms is None else telling_hub.Teller((store, repo, job), output.note)

    def after(done: "Attempt") -> None:
        output.note(
            f"item {done.item_id}, attempt {done.attempt}: {_what_became(done)} "
            f"(exit status {done.exit_status}, session {done.session_id})"
        )
        if as_json:
            output.emit_json(done.as_json())
        if teller is not None:
            teller.tell()
        if member is not None:
            member.ended(signals, done.as_json())
        elif in_a_row.note(done):
            signals.no_more = True
        # What was given up is for somebody to look at.
        if not keep and done.state not in ("dead", "failed"):
            with signals.heeded(earlier_too=False):
                _tidy(store, cwd, done.session_id)

    with ExitStack() as stack:
        if terms is not None and on_lost != "continue":
            # Before there is any thread.
            guard = lease_guard.start()
            stack.callback(guard.close)
            terms = replace(terms, guard=guard)
        wish = replace(wish, terms=terms)
        ours = stack.enter_context(sinks.ours())
        signals = stack.enter_context(interrupts.listening())
        if teller is not None:
            stack.callback(teller.finish, signals)
        if as_json:
            ours = sinks.Ours(ours.err, ours.err, True)
        worker = running.Worker(
            store, repo, job, cwd, wish, signals, ours, output.note, destination, member
        )
        if member is not None:
            worker = replace(worker, whole_lines=lines)
            member.begin()
        try:
            if member is None:
                check()
            status = _work(worker, item, every, after)
            if destination is not None:
                if (
                    pushing_commits.make_up(destination, signals, output.note)
                    and teller is not None
                ):
                    teller.tell()
                signals.check()
            if in_a_row.why is not None:
                output.note(f"{in_a_row.why}: this worker stops")
                return failing_alike.EXIT_STATUS
            return status
        except interrupts.Interrupted as stop:
            output.note(f"interrupted by signal {stop.number}")
            return 128 + stop.number
        except ready.CannotStart as trouble:
            output.error(str(trouble))
            if trouble.session is not None:
                _tidy(store, cwd, trouble.session)
            return trouble.exit_status


def _terms(
    store: str, repo: str, job: str, cwd: str, lease: int | None, on_lost: str | None,
    wait: int | None,
) -> "Terms | None":  # fmt: skip
    """Return on which terms a job's items are claimed; None: it is not shared."""
    from prodigy_git.jobs import hub_waits, leases
    from prodigy_git.lifecycle.lease import Terms, length

    def look() -> bool:
        return leases.is_shared(store, repo, job, output.note)

    if hub_waits.outlast(look, wait, output.note):
        return Terms(length(cwd, lease), None)
    for name, given in (("--lease", lease), ("--on-lost-lease", on_lost)):
        if given is not None:
            raise click.UsageError(f"{name} is for a job that hosts share, and {job} is not one")
    return None


def _work(worker: "Worker", item: str | None, every: bool, after: Any) -> int:
    from prodigy_git.jobs import claims
    from prodigy_git.lifecycle import item_after_item

    if every:
        given_up, left = item_after_item.until_none_is_left(worker, after)
        stopped = left.status in ("paused", "cancelled", "failed") and left.pending > 0
        if stopped:
            output.note(
                f"job {worker.job} is {left.status}, with {left.pending} items left: this worker stops"
            )
        if left.stuck:
            output.note(f"job {worker.job}: no item is left{at_work.why_none(left)}")
        return 1 if given_up else NONE_LEFT if stopped or left.stuck else 0
    last = item_after_item.until_done(worker, item, after)
    if last is None:
        left = claims.waiting(worker.store, worker.repo, worker.job, worker.broken)
        output.note(f"job {worker.job}: no item to be had now{at_work.why_none(left)}")
        return NONE_LEFT
    return last.exit_status


def _what_became(done: "Attempt") -> str:
    if done.state == "pending" and done.interrupted is not None:
        return "interrupted, given back"
    return done.state.replace("_", " ")


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
