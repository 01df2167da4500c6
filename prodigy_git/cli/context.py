"""context: what an agent should know before it begins, for itself or for its program."""

import click

from prodigy_git import gitenv
from prodigy_git.cli import completing, output
from prodigy_git.store import home


@click.command()
@click.argument("session", required=False, shell_complete=completing.sessions)
@click.option(
    "--brief", is_flag=True, help="The work item and who changes the same files, no more."
)
@output.json_option
def context(session: str | None, brief: bool, as_json: bool) -> None:
    """Say what an agent should know of its work and of the others' before it begins.

    That is: the work item and its job, why an attempt before failed, what other agents have changed
    since the base, first of all the files that this one has changed, too, and how to end well. Of the
    worktree you stand in, or of SESSION. It takes two seconds at most and has some KB; foreign text
    in it is quoted. 'git config prodigy.context on' gives it to the agent program at its start.

    \b
    Example:
      prodigy-git context
      prodigy-git context login --json
    """
    from prodigy_git.lifecycle import finish
    from prodigy_git.store import by_name, sessions
    from prodigy_git.views import context as view

    store, cwd = home.here(), gitenv.here()
    name = finish.session_here(cwd) if session is None else by_name.session(store, cwd, session)
    said = view.gather(store, sessions.load(store, name), output.note)
    if as_json:
        output.emit_json(said)
    else:
        for line in view.text(said, brief=brief).split("\n"):
            output.prose(line)
