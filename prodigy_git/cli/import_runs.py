"""import: what Prodigy left becomes jobs of ours."""

from typing import TYPE_CHECKING, Any

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output

if TYPE_CHECKING:
    from prodigy_git.lifecycle.take_over import Taken


_SHOWN = 5
"""Of how many items a line is printed."""


@click.command("import")
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=completing.jobs)
@click.option(
    "--items",
    "source",
    metavar="FILE|-",
    shell_complete=completing.file_names,
    help="The input of RUN, for data that Prodigy has not kept.",
)
@click.option("--json-path", metavar="EXPR", help="Picks the items out, as '$.files[*]'.")
@click.option(
    "--max-attempts",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="How often an item is tried.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@output.json_option
def import_runs(
    runs: tuple[str, ...],
    source: str | None,
    json_path: str | None,
    max_attempts: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Take over what Prodigy left: its runs become jobs that can go on here.

    Of this repository, or each RUN that is named, by its job or its session. What was done stays done,
    with its commits; what is in Prodigy's queue is in the job's; the rest is pending. Worktrees get
    sessions, which have ended. Nothing of Prodigy's is changed, and what was taken over before is left
    alone. A run that goes on is left, and named. Exits with 1 if something could not be taken over.

    \b
    Example:
      prodigy-git import --dry-run
      prodigy-git import JOB --items items.json --json-path '$[*]'
    """
    from prodigy_git.cli.item_options import text_of
    from prodigy_git.jobs import items
    from prodigy_git.lifecycle import take_over as taking

    if json_path is not None and source is None:
        raise click.UsageError("--json-path goes with --items")
    given = None
    if source is not None:
        given = items.load(text_of(source), json_path, where=source)
    store, _, place, plans = taking.look(gitenv.here(), list(runs), given, output.note)
    failed = False
    shown: list[dict[str, Any]] = []
    repo = taking.key_of(store, place) if any(one.does for one in plans) and not dry_run else ""
    for one in plans:
        done = one
        if one.does and not dry_run:
            done = taking.carry_out(store, repo, one, max_attempts, output.note)
        failed = failed or bool(done.problems)
        shown.append(done.as_json())
        if not as_json:
            _tell(done, did=one.does, dry_run=dry_run)
    if as_json:
        output.emit_json({"dry_run": dry_run, "runs": shown})
    elif not plans:
        output.prose("Prodigy has left no run of this repository")
    return int(failed)


def _tell(done: "Taken", *, did: bool, dry_run: bool) -> None:
    """Say what was done about a run, or would be."""
    job = done.run.job_id
    if done.left is not None:
        output.prose(f"{job}: left, as {done.left}")
        return
    if not did:
        output.prose(f"{job}: nothing to do")
        return
    verb = "would be " if dry_run else ""
    if done.is_new:
        counts = (
            f"{done.count('completed')} completed, {done.count('dead')} in the queue, "
            f"{done.count('pending', 'under_way')} pending"
        )
        output.prose(f"{job}: {verb}taken over as a job: {counts}")
    else:
        output.prose(f"{job}: {verb}taken over")
    if done.adds and not done.is_new:
        output.prose(f"  {verb}given the data of {_some(done.adds)}")
    apart = [one for one in done.items.values() if one.branch is not None and not one.merged]
    for one in apart[:_SHOWN]:
        output.prose(f"  {one.item_id}: its commits are on {one.branch}, which was not merged")
    if len(apart) > _SHOWN:
        output.prose(f"  and so are those of {len(apart) - _SHOWN} more: --json has all")
    for tree in done.trees:
        who = f", for {tree.item_id}" if tree.item_id is not None else ""
        if tree.note is not None:
            output.prose(f"  {tree.worktree}: left, {tree.note}")
        elif tree.session_id is None:
            output.prose(f"  {tree.worktree}: {verb}given a session, {tree.status}{who}")
        else:
            output.prose(f"  {tree.worktree}: session {tree.session_id}, {tree.status}{who}")
    for problem in done.problems:
        output.note(problem)
    _advise(done, dry_run=dry_run)


def _advise(done: "Taken", *, dry_run: bool) -> None:
    """Say how to go on, as far as it is known."""
    run, job = done.run, done.run.job_id
    if run.kind == "Workflow":
        if run.state in ("failed", "interrupted", "open"):
            output.prose(f"  its steps are Prodigy's: 'prodigy resume {job}' goes on with them")
        return
    if done.missing:
        verb = "would be" if dry_run else "is"
        output.prose(
            f"  Prodigy has not kept the data of {_some(done.missing)}: the job {verb} paused. Give "
            f"the run's input: 'prodigy-git import {job} --items FILE --json-path EXPR'. Or go on "
            f"without: 'prodigy-git resume {job}'"
        )
    dead = [one for one in done.items.values() if one.outcome == "dead"]
    if dead:
        given_up = any(one.letter is None or not one.letter.reprocess_eligible for one in dead)
        force = " --force" if given_up else ""
        which = dead[0].item_id if len(dead) == 1 else "--reprocess-all-eligible"
        output.prose(
            f"  'prodigy-git dlq retry --job {job} {which}{force}' tries again what is in the queue"
        )
    if done.count("pending", "under_way") and not done.missing:
        base = f" --base {run.branch}" if run.branch is not None else ""
        output.prose(f"  'prodigy-git run --job {job}{base} --next -- COMMAND' goes on")


def _some(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
