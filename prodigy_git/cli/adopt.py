"""worktree adopt."""

import os

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output


@click.command()
@click.argument("path", required=False, shell_complete=completing.folder_names)
@click.option("--name", help="The session's id. [default: a fresh one]")
@click.option(
    "--job",
    help="The job to work on. [default: $PRODIGY_JOB_ID, git config prodigy.job]",
    shell_complete=completing.jobs,
)
@click.option("--agent", help="The agent that works there.", shell_complete=completing.agents)
@click.option("--item", help="The work item it works on.", shell_complete=completing.items())
@output.json_option
def adopt(
    path: str | None,
    name: str | None,
    job: str | None,
    agent: str | None,
    item: str | None,
    as_json: bool,
) -> None:
    """Give the worktree at PATH (default: where you stand) a session, whoever made it.

    Its commits are recorded from the next one on; what was committed there before is not the session's.

    \b
    Example:
      prodigy-git worktree adopt ../login --agent ada
    """
    from prodigy_git.cli import hooks
    from prodigy_git.lifecycle import adopt as adopting

    where = os.path.abspath(gitenv.here() if path is None else path)
    adopted = adopting.adopt(where, name=name, job=job, agent=agent, item=item, broken=output.note)
    if as_json:
        output.emit_json(adopted.as_json())
    else:
        output.prose(f"{adopted.session_id}: {adopted.worktree}, job {adopted.job_id}")
    hooks.note_if_not_in_effect(adopted.worktree)
