"""worktree restore."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.store import home


@click.command()
@click.argument("name", shell_complete=completing.trashed)
@click.option(
    "--to",
    metavar="PATH",
    shell_complete=completing.folder_names,
    help="Where to. [default: where it was]",
)
@output.json_option
def restore(name: str, to: str | None, as_json: bool) -> None:
    """Bring back the worktree NAME that was cleaned, as it was, and print its path.

    From the trash with everything in it; when that has been emptied, from the salvage what git
    holds: what was committed, staged, modified, or untracked and not ignored. Where its branch has
    moved or is checked out elsewhere, HEAD is detached at its old commit. What is not as it was before
    is said on stderr.
    What another host's session NAME has pushed is fetched, and gets a worktree here.

    \b
    Example:
      prodigy-git worktree restore login
    """
    from prodigy_git.cleanup import interrupted
    from prodigy_git.cleanup.restore.restore import Restored
    from prodigy_git.cleanup.restore.restore import restore as bring_back
    from prodigy_git.errors import ProdigyError
    from prodigy_git.lifecycle import of_other_host
    from prodigy_git.store import by_name

    store = home.here()
    name = by_name.session(store, gitenv.here(), name, trashed=True)
    try:
        done = interrupted.finish(store, name, output.note) or bring_back(
            store, name, to=to, broken=output.note
        )
    except ProdigyError:
        made = of_other_host.worktree(gitenv.here(), name, path=to, broken=output.note)
        if made is None:
            raise
        done = Restored(made.session_id, made.worktree, "pushed")
    for text in done.notes:
        output.note(text)
    if as_json:
        output.emit_json(done.as_json())
    else:
        output.path(done.worktree)
