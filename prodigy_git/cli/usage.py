"""What is said of wrong usage: one line, in whole sentences, the last of which names the help.

click's own messages differ in their form, from release to release too, and some have several lines.
"""

import difflib
import re
from collections.abc import Sequence

import click

from prodigy_git.cli import output

_NO_COMMAND = re.compile(r"No such command ['\"](.*)['\"]\.?", re.DOTALL)
_NO_NUMBER = re.compile(r"(.*) is not (?:a valid integer(?: range)?|in the range .*?)\.", re.DOTALL)
_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)", re.DOTALL)
_BARE_OPTION = re.compile(r"Invalid value for (-[\w-]+):")


def say(error: click.UsageError, root: click.Group, arguments: Sequence[str]) -> None:
    """Say what is wrong, or of a group without a command its help. ``arguments`` of ``root``."""
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.1 has no such thing
        click.echo(error.format_message(), err=True)
    else:
        output.error(_line(error, root, arguments))


def _line(error: click.UsageError, root: click.Group, arguments: Sequence[str]) -> str:
    """Return what is wrong, and which help says how it is right, on one line."""
    text = _said(error)
    if not text.endswith((".", "?", "!")):
        text += "."
    context = error.ctx or _context(root, arguments)
    return f"{text} Try '{context.command_path} --help'."


def _said(error: click.UsageError) -> str:
    if isinstance(error, click.MissingParameter):
        return _missing(error)
    if isinstance(error, click.NoSuchOption):
        guesses = sorted(error.possibilities or (), key=len)
        return f"No such option '{error.option_name}'.{_guess(guesses)}"
    if (command := _NO_COMMAND.fullmatch(error.message)) is not None and error.ctx is not None:
        group = error.ctx.command
        names = group.list_commands(error.ctx) if isinstance(group, click.Group) else []
        return (
            f"No such command '{command[1]}'.{_guess(difflib.get_close_matches(command[1], names))}"
        )
    text = re.sub(r"\s*\n\s*", " ", error.format_message().strip())
    if (extra := _EXTRA.fullmatch(text)) is not None:
        return f"Too many arguments: {extra[1]}."
    if isinstance(error, click.BadParameter):
        text = _number(text, error.param)
    return _BARE_OPTION.sub(r"Invalid value for '\1':", text)


def _missing(error: click.MissingParameter) -> str:
    name = error.param.get_error_hint(error.ctx) if error.param is not None else "a value"
    kind = error.param.param_type_name if error.param is not None else "parameter"
    text = f"Missing {kind} {name}"
    if error.param is not None and isinstance(error.param.type, click.Choice):
        return f"{text}: {_either(list(map(str, error.param.type.choices)))}."
    return f"{text}."


def _number(text: str, parameter: click.Parameter | None) -> str:
    found = _NO_NUMBER.fullmatch(text)
    kind = parameter.type if parameter is not None else None
    if found is None or not isinstance(kind, click.types.IntRange):
        return text
    least, most = kind.min, kind.max
    limits = f" from {least}" if least is not None else ""
    limits += f" to {most}" if most is not None else " on" if limits else ""
    return f"{found[1]} is no whole number{limits}."


def _guess(names: Sequence[str]) -> str:
    return f" Did you mean {_either([repr(name) for name in names])}?" if names else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _context(root: click.Group, arguments: Sequence[str]) -> click.Context:
    """Return the context of the command that the arguments name: some errors come without theirs."""
    context = click.Context(root, info_name="prodigy-git")
    for word in arguments:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, click.Group) else None
        if command is None:
            break
        context = click.Context(command, info_name=word, parent=context)
    return context
