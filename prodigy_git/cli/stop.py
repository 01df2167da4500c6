"""stop: agents that `run` started."""

import click

from prodigy_git.cli import completing, output
from prodigy_git.cli.job import here
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError
from prodigy_git.record import clock


@click.command()
@click.argument("names", metavar="[AGENT|ITEM]...", nargs=-1, shell_complete=completing.agents)
@click.option(
    "--job", "job", metavar="JOB", shell_complete=completing.jobs,
    help="Of this job: those named, or all. [default: all jobs, those named]",
)  # fmt: skip
@click.option("--fail", is_flag=True, help="The items fail. [default: they are given back]")
@click.option(
    "--grace", type=Duration(), default="10s", show_default=True, metavar="AGE",
    help="After so long it is enforced.",
)  # fmt: skip
@output.json_option
def stop(names: tuple[str, ...], job: str | None, fail: bool, grace: int, as_json: bool) -> int:
    """Stop agents that `run` started, wherever its terminal is.

    Their processes are asked to end, after a while made to. The items are given back, which costs them
    no attempt, and the workers take no other; with --fail the attempts fail and the workers go on.
    Only processes that are proven to be theirs are ended; exit status 1 where one could not be.

    \b
    Example:
      prodigy-git stop agent-x2k9p4mz
      prodigy-git stop --job review --grace 1m
    """
    from prodigy_git import gitenv
    from prodigy_git.lifecycle import stop as stopping
    from prodigy_git.lifecycle import whereabouts

    if not names and job is None:
        raise click.UsageError("Give an AGENT or ITEM, or --job for all of a job.")
    if job is not None:
        store, repo, job = here(job)
    else:
        store, repo = whereabouts.repository(gitenv.here())
    agents = stopping.at_work(store, repo, job, output.note)
    failed: list[str] = []

    def refused(text: str) -> None:
        failed.append(text)
        output.error(text)

    chosen = []
    for name in names:
        try:
            chosen.append(stopping.named(agents, name))
        except ProdigyError as error:
            if len(names) == 1:
                raise
            refused(str(error))
    if not names:
        at_work = [one for one in agents if one.alive is not False]
        chosen = [one for one in at_work if one.host is None]
        elsewhere = sorted({one.host for one in at_work if one.host is not None})
        if elsewhere:
            output.note(f"job {job}: others are at work on {', '.join(elsewhere)}: stop them there")
        elif not chosen:
            output.note(f"job {job}: nobody is at work")
    done = stopping.stop(
        store, repo, list(dict.fromkeys(chosen)), fail=fail, grace=grace / clock.SECOND,
        broken=output.note, refused=refused,
    )  # fmt: skip
    if as_json:
        output.emit_json([one.as_json() for one in done])
    over = {one.session_id for one in chosen if one.over}
    for one in [] if as_json else done:
        became = one.state.replace("_", " ")
        if one.state == "pending" and not fail and one.session_id not in over:
            became = "given back"
        how = ", by force" if one.enforced else ""
        output.prose(f"agent {one.agent_id} is stopped{how}; item {one.item_id}: {became}")
    return 1 if failed else 0
