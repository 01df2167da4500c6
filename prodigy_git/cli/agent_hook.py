"""agent-hook: its help, errors and completion; `prodigy_git.record.agent_hook` does the rest."""

import click

from prodigy_git.record import agent_hook as plain
from prodigy_git.record.conversations import normal_form


@click.command("agent-hook")
@click.argument("program", type=click.Choice(normal_form.PROGRAMS))
@click.argument("event", required=False, default="")
def agent_hook(program: str, event: str) -> None:
    """Take in one event of an agent program: what its hooks call.

    Reads one JSON object from standard input, as PROGRAM gives it to its hooks, and notes what it
    says in the session of the worktree that the agent works in. EVENT is the event's name, for
    programs that leave it out of the JSON. Never fails, so that no agent is kept from its work: what
    is wrong is in the store's logs/hook-errors.log.

    \b
    Example:
      echo '{"session_id": "s1"}' | prodigy-git agent-hook claude Stop
    """
    # Who is called by a program does not come here: `__main__` sees to it, without click.
    raise click.exceptions.Exit(plain.take(program, event))
