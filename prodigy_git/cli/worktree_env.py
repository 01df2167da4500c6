"""worktree env."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.errors import ProdigyError


@click.command()
@click.argument("name", required=False, shell_complete=completing.worktrees)
@output.json_option
def env(name: str | None, as_json: bool) -> None:
    """Print what a command in a worktree finds in its environment, for a shell to evaluate.

    That of NAME (a folder's name, or a session), or of the worktree you stand in: the ids, its paths,
    and its ports. Ten of them are its own as long as it lives, from $PRODIGY_PORT on.

    \b
    Example:
      prodigy-git worktree env login
      eval "$(prodigy-git worktree env)"
    """
    import shlex

    from prodigy_git.lifecycle import locate
    from prodigy_git.record import gitdir
    from prodigy_git.setup import environment

    cwd = gitenv.here()
    store, place, _ = locate.around(cwd)
    if name is not None:
        place = gitdir.find(locate.path_of(store, place, name), {})
    if place is None:
        raise ProdigyError(
            f"{cwd} is not in a git repository: give a NAME, or change into a worktree"
        )
    found = environment.variables(place, output.note)
    if as_json:
        output.emit_json(found)
        return
    for variable, value in found.items():
        output.path(f"export {variable}={shlex.quote(value)}")
