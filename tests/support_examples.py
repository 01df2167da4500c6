"""Calls of ours in lines of shell, and whether there are such commands and options."""

import re
import shlex

import click

from prodigy_git.cli import cli

OPERATORS = re.compile(r"[|&;<>]+")
IN_SHELL = re.compile(r"\$\((prodigy-git [^)]*)\)")


def command_lines(line):
    """Return the words of each call of ours in a line of shell, without our name."""
    words = []
    for part in IN_SHELL.findall(line) or [line]:
        lexer = shlex.shlex(part, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        ours = [[]]
        for word in lexer:
            if OPERATORS.fullmatch(word):
                ours.append([])
            else:
                ours[-1].append(word)
        words += [one[1:] for one in ours if one and one[0] == "prodigy-git"]
    return words


def parsed(words):
    """Return the commands, outermost first, that words call. Raises `click.UsageError`."""
    context = cli.make_context("prodigy-git", list(words))
    chain = [cli]
    while isinstance(context.command, click.Group):
        first = getattr(context, "_protected_args", None) or context.protected_args  # click 8.1
        name, command, left = context.command.resolve_command(context, [*first, *context.args])
        chain.append(command)
        context = command.make_context(name, left, parent=context)
    return chain
