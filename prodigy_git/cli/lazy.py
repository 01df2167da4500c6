"""A group whose commands are imported when they are called, not before."""

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group that knows where its commands are: ``where`` maps a name to ``module:attribute``.

    ``short`` has their short helps, so that neither a listing nor completion imports them; a command
    that it does not have is imported for its help.
    """

    def __init__(
        self,
        *arguments: Any,
        where: dict[str, str] | None = None,
        short: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Take what click's group takes, ``where`` and ``short``."""
        super().__init__(*arguments, **more)
        self.where = where or {}
        self.short = short or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, those that are here already first."""
        return [*super().list_commands(ctx), *self.where]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command, importing its module if need be."""
        where = self.where.get(name)
        if where is None:
            return super().get_command(ctx, name)
        module, attribute = where.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shorts(self, ctx: click.Context, limit: int = 200) -> list[tuple[str, str]]:
        """Return (name, short help) of each command, the help cut to ``limit`` characters."""
        found = []
        for name in self.list_commands(ctx):
            text = self.short.get(name)
            # A stand-in cuts the text as the command itself would.
            command = (
                self.get_command(ctx, name) if text is None else click.Command(name, help=text)
            )
            if command is not None and not command.hidden:
                found.append((name, command.get_short_help_str(limit)))
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their short helps, as click does."""
        longest = max(map(len, self.list_commands(ctx)), default=0)
        rows = self.shorts(ctx, formatter.width - 6 - longest)
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with ``incomplete``."""
        found = [
            CompletionItem(name, help=text)
            for name, text in self.shorts(ctx)
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]
