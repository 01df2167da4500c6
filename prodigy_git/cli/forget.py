"""worktree forget: for a worktree that should not have been enrolled."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError


@click.command()
@click.argument("path", required=False, shell_complete=completing.folder_names)
@click.option("--all", "every", is_flag=True, help="All enrolled worktrees of this repository.")
@click.option("--anew", is_flag=True, help="Let the next commit begin a new session.")
@output.json_option
def forget(path: str | None, every: bool, anew: bool, as_json: bool) -> int:
    """Stop recording the worktree at PATH (default: where you stand); what is recorded stays.

    For what was enrolled by accident, as by a core.hooksPath for all repositories, or in a store that
    is gone. Its session ends as Cancelled. Without --anew, no hook enrols a worktree of this repository
    again: git config prodigy.autoRegister is false from then on.

    \b
    Example:
      prodigy-git worktree forget ../login
    """
    from prodigy_git.lifecycle import forget as forgetting

    if every and path is not None:
        raise click.UsageError("Give either PATH or --all.")
    paths = forgetting.of_repository(gitenv.here()) if every else [path or gitenv.here()]
    done, failed = [], False
    for one in paths:
        try:
            done.append(forgetting.forget(one, anew=anew, broken=output.note))
        except ProdigyError as error:
            if not every:
                raise
            output.note(str(error))
            failed = True
    if as_json:
        output.emit_json([one.as_json() for one in done])
    else:
        for found in done:
            output.prose(f"{found.worktree}: forgotten, its session was {found.session_id}")
    if done and not anew:
        output.note(
            "hooks enrol no worktree of this repository any more; "
            "'git config --unset prodigy.autoRegister' lets them again"
        )
    return 1 if failed else 0
