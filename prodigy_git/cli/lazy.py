"""A group whose commands are imported when they are called, not before."""

import importlib
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows where its commands are: ``where`` maps a name to ``module:attribute``."""

    def __init__(self, *arguments: Any, where: dict[str, str] | None = None, **more: Any) -> None:
        """Take what click's group takes, and ``where``."""
        super().__init__(*arguments, **more)
        self.where = where or {}

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
