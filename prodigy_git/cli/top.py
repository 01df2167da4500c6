"""top: what all agents are doing, live."""

import click

from prodigy_git.cli import completing
from prodigy_git.cli.status import meant, stuck_option
from prodigy_git.errors import ProdigyError


@click.command()
@click.option("--all-repos", is_flag=True, help="All repositories in the store.")
@click.option(
    "--job", metavar="JOB", shell_complete=completing.jobs, help="Only this job and its agents."
)
@stuck_option
def top(all_repos: bool, job: str | None, stuck_after: int) -> int:
    """Show agents and events on a full screen, live: trouble first. '?' there explains the keys.

    It follows the log, and changes nothing.

    \b
    Example:
      prodigy-git top --job review
    """
    from prodigy_git.tui import terminal

    problem = terminal.problem()
    if problem is not None:
        raise ProdigyError(f"top {problem}")
    store, _, _, wanted = meant(all_repos=all_repos, job=job)

    from prodigy_git.tui.app import Top
    from prodigy_git.views.overview.repositories import Wish

    app = Top(
        store,
        lambda: meant(all_repos=all_repos, job=job)[1],
        Wish(job=wanted, stuck_after=stuck_after, around=False),
    )
    code = app.run()
    return code if code is not None else app.return_code or 0
