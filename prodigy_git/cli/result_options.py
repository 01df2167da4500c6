"""What names results on the command line: NAMEs, a job, and the branch that they go into."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from prodigy_git.cli import completing

_Command = TypeVar("_Command", bound=Callable[..., Any])


def results(into: str) -> Callable[[_Command], _Command]:
    """Add ``[NAME|ITEM]...``, ``--job`` and ``--into`` to a command; ``into`` is the help of that."""

    def added(command: _Command) -> _Command:
        for option in (
            click.option(
                "--into", metavar="BRANCH", shell_complete=completing.refs,
                help=f"{into} [default: the one that they began at]",
            ),
            click.option(
                "--job", metavar="JOB", shell_complete=completing.jobs,
                help="All that counts of this job. [default: $PRODIGY_JOB_ID, git config prodigy.job]",
            ),
            click.argument(
                "names", metavar="[NAME|ITEM]...", nargs=-1, shell_complete=completing.explained
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return added
