"""The job commands: opened, looked at, its items claimed, its phases, its end."""

import os

import click

from prodigy_git import cli, duration, gitenv, layout
from prodigy_git.cli import at_work, completing, item_options, output
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.cli.when import Duration
from prodigy_git.record import clock
from prodigy_git.store import home

FOREVER = 1 << 62
"""Microseconds: for who waits as long as it takes."""
NONE_LEFT = 3
"""The exit status of `job next` where no item is to be had."""


_ELSEWHERE = {
    "add": "prodigy_git.cli.job_add:add",
    "renew": "prodigy_git.cli.job_ends:renew",
    "done": "prodigy_git.cli.job_ends:done",
} | {
    name: f"prodigy_git.cli.job_course:{name}"
    for name in ("phase", "pause", "resume", "finish", "cancel", "reopen")
}
_SHORT = {
    "add": "Give a job more items, also while it runs.",
    "renew": "Extend the lease of a claim, from now on.",
    "done": "End the claim of an item that no worktree was made for; 'finish' does it for one "
    "that has.",
    "phase": "Take a job to a phase, with a checkpoint of what was before.",
    "pause": "Hand out no more items; those in progress go on.",
    "resume": "Hand out items again; see 'prodigy-git resume' for after a crash.",
    "finish": "End a job whose items are done.",
    "cancel": "End a job before its items are done; what is in progress may still end.",
    "reopen": "Let a job that has ended hand out items again.",
}


_OF_ITEMS = frozenset(
    ("start", "list", "next", "renew", "add", "phase", "pause", "resume", "cancel", "reopen")
)
"""What is about a job's items alone: no commit has to be recorded for it, no recorder is waited for."""


@click.group(cls=LazyGroup, where=_ELSEWHERE, short=_SHORT)
@click.pass_context
def job(context: click.Context) -> None:
    """Jobs: open one with work items, hand the items out, see how far it is.

    \b
    Example:
      prodigy-git job start review --items files.jsonl
      prodigy-git job show review
    """
    if context.invoked_subcommand not in _OF_ITEMS:
        cli.settle()


def here(job_id: str | None, *, take: bool = False) -> tuple[str, str, str]:
    """Return (store, repository key, job id) of a job named or meant where you stand.

    ``take`` is for commands that write, as in `whereabouts.repository`: a run of Prodigy's is none of
    theirs. A job that is not known here is looked for on the hub, if there is one: who writes does that
    in the step. Raises as `whereabouts.job`; `Away`, `Refused`.
    """
    from prodigy_git.lifecycle import whereabouts

    where = whereabouts.job(gitenv.here(), job_id, told=output.note)
    if not take and not any(map(os.path.isdir, (layout.job_log(*where), layout.job_state(*where)))):
        _look_on_the_hub(job_id, where[2])
    if take:
        require_ours(*where)
        whereabouts.job(gitenv.here(), where[2] if job_id is None else job_id, take=True)
    return where


def _look_on_the_hub(job_id: str | None, known: str) -> None:
    from prodigy_git.git import repository
    from prodigy_git.jobs import opening
    from prodigy_git.lifecycle import whereabouts

    cwd = gitenv.here()
    if job_id is not None and "/" in job_id:
        return  # of a repository that one need not stand in
    if os.environ.get("PRODIGY_HUB") or repository.config(cwd, "prodigy.hub"):
        # What is found has to go somewhere.
        opening.found(*whereabouts.job(cwd, known, take=True), output.note)


def require_ours(store: str, repo: str, known: str) -> None:
    """Raise `ProdigyError` where a job is a run of Prodigy's, on which no step is taken here."""
    from prodigy_git.errors import ProdigyError
    from prodigy_git.jobs import prodigy_runs

    run = prodigy_runs.find(store, repo, known, lambda _: None)
    if run is not None:
        raise ProdigyError(prodigy_runs.not_ours(run))


@job.command()
@click.argument("name", metavar="[JOB]", required=False)
@click.option(
    "--items",
    "source",
    metavar="FILE|-",
    shell_complete=completing.file_names,
    help="A JSON array, JSON lines, or see --json-path.",
)
@click.option("--json-path", metavar="EXPR", help="Picks the items out, as '$.files[*]'.")
@click.option(
    "--max-attempts", type=click.IntRange(1, 1000), default=3, show_default=True,
    help="How often an item is tried before it goes into the queue.",
)  # fmt: skip
@click.option(
    "--checkpoint-every", metavar="N|AGE",
    help="Items (as 100) or time (as 5m) between checkpoints. "
    "[default: git config prodigy.checkpointItems, prodigy.checkpointSeconds; else 100, 300]",
)  # fmt: skip
@click.option(
    "--no-order", is_flag=True, help="Items' fields 'priority' and 'after' mean something else."
)
@click.option(
    "--hub", is_flag=True, help="On the hub, too: all hosts that take part in it may work on it."
)
@output.json_option
def start(
    name: str | None,
    source: str | None,
    json_path: str | None,
    max_attempts: int,
    checkpoint_every: str | None,
    no_order: bool,
    hub: bool,
    as_json: bool,
) -> None:
    """Open a job, with its work items, and print its id.

    Items have the id in their field "id", else item-1, item-2 and so on.

    \b
    Example:
      prodigy-git job start review --items files.jsonl
      prodigy-git job start docs --items d.json --json-path '$.files[*]'
      prodigy-git job start review --items files.jsonl --hub
    """
    from prodigy_git import names
    from prodigy_git.jobs import course, items
    from prodigy_git.lifecycle import whereabouts

    if json_path is not None and source is None:
        raise click.UsageError("--json-path goes with --items")
    store, repo = whereabouts.repository(gitenv.here(), take=True)
    every = whereabouts.checkpoint_every(gitenv.here(), checkpoint_every)
    wanted = name or names.fresh("mapreduce")
    given = None
    if source is not None:
        given = items.parse(item_options.text_of(source), json_path, where=source)
    total = course.start(
        store, repo, wanted, given=given, max_attempts=max_attempts,
        checkpoint_items=every[0], checkpoint_seconds=every[1], ordered=not no_order,
        hub=hub, broken=output.note,
    )  # fmt: skip
    if as_json:
        output.emit_json({"job_id": wanted, "repo": repo, "total_items": total})
    else:
        output.line(wanted)


@job.command("list")
@click.option("--all-repos", is_flag=True, help="Those of all repositories in the store.")
@output.json_option
def list_(all_repos: bool, as_json: bool) -> None:
    """List jobs, with how far they are.

    \b
    Example:
      prodigy-git job list
    """
    from prodigy_git.cli import job_text
    from prodigy_git.errors import ProdigyError
    from prodigy_git.jobs import prodigy_runs, summary
    from prodigy_git.lifecycle import whereabouts

    store = home.here()
    try:
        repos = (
            sorted({*whereabouts.repositories(store), *prodigy_runs.keys(store)})
            if all_repos
            else [whereabouts.repository(gitenv.here())[1]]
        )
    except ProdigyError as error:
        raise ProdigyError(f"{error}, or give --all-repos") from error
    rows = []
    for repo in repos:
        for one in summary.known(store, repo):
            try:
                row = summary.line(store, repo, one, output.note)
            except (ProdigyError, OSError) as error:
                output.note(str(error))
                continue
            if not summary.is_sessions_own(store, row):
                rows.append(row)
    if as_json:
        output.emit_json(rows)
        return
    headings = ("JOB", "STATUS", "PHASE", "DONE", "TOTAL", "RUNNING", "PENDING", "DEAD", "UPDATED")
    output.table(
        headings,
        (
            (
                row["job_id"], job_text.status(row), row["phase"], row["completed"], row["total_items"],
                row["in_progress"], row["pending"], row["dead"] + row["failed"],
                duration.moment(row["updated_at"]),
            )
            for row in rows
        ),
        ("UPDATED", "PENDING", "RUNNING"),
        empty="no jobs: 'prodigy-git job start' opens one",
    )  # fmt: skip


@job.command()
@click.argument("name", metavar="[JOB]", required=False, shell_complete=completing.jobs)
@click.option(
    "--items", "with_items", is_flag=True,
    help="List its items instead: state, attempts, branch, and what was changed.",
)  # fmt: skip
@output.json_option
def show(name: str | None, with_items: bool, as_json: bool) -> None:
    """Show a job: how far it is, who works on what, what failed.

    \b
    Example:
      prodigy-git job show review
      prodigy-git job show review --items
    """
    from prodigy_git.cli import job_text
    from prodigy_git.jobs import summary

    where = here(name)
    if with_items:
        from prodigy_git.cli import job_items

        job_items.show(*where, as_json=as_json)
        return
    found = job_text.with_usage(*where, summary.whole(*where, output.note))
    if as_json:
        output.emit_json(found)
        return
    job_text.tell(found)


@job.command("next")
@click.argument("name", metavar="[JOB]", required=False, shell_complete=completing.jobs)
@click.option(
    "--agent",
    help="Who will work on it. [default: $PRODIGY_AGENT_ID, a fresh id]",
    shell_complete=completing.agents,
)
@click.option(
    "--item", help="This one, not the next.", shell_complete=completing.items(completing.PENDING)
)
@click.option(
    "--owner-pid", type=click.IntRange(1), metavar="PID",
    help="The claim lives as long as this process; where nobody can see it, as --lease says, or a day.",
)  # fmt: skip
@click.option(
    "--lease", type=Duration(), metavar="AGE",
    help="The claim lives so long, unless 'job renew' extends it. [default: 30m; with --owner-pid 1d, "
    "of a shared job 30m]",
)  # fmt: skip
@click.option(
    "--wait", type=Duration(), metavar="[AGE]", is_flag=False, flag_value=FOREVER,
    help="Where the job's hub is not reached, wait for it, so long at most. [default: exit with 6]",
)  # fmt: skip
def next_(
    name: str | None,
    agent: str | None,
    item: str | None,
    owner_pid: int | None,
    lease: int | None,
    wait: int | None,
) -> int:
    """Claim an item for an agent, and print it as JSON; exit status 3 when none is to be had.

    \b
    Example:
      prodigy-git job next review --agent ada --lease 10m
      prodigy-git job next review --wait
    """
    from prodigy_git import names
    from prodigy_git.cli import answering
    from prodigy_git.jobs import claims, hub_waits, owner

    answering.require_stdout()
    store, repo, known = here(name, take=True)
    who = agent or os.environ.get("PRODIGY_AGENT_ID") or names.fresh("agent")
    held = None if owner_pid is None else owner.of_process(owner_pid).as_json()
    if owner_pid is None and lease is None:
        lease = 30 * 60 * clock.SECOND
    made = hub_waits.outlast(
        lambda: claims.claim(
            store, repo, known, agent=who, item=item, owner=held, lease=lease, broken=output.note
        ),
        wait, output.note,
    )  # fmt: skip
    if made is None:
        left = claims.waiting(store, repo, known, output.note)
        output.note(f"job {known}: no item to be had now{at_work.why_none(left)}")
        return NONE_LEFT
    answering.tell(store, repo, made)
    return 0
