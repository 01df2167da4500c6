"""Each command's help has an example that is right, and fits into 80 columns."""

import re
import shlex

import click
import pytest
from support_examples import command_lines, parsed

from prodigy_git.cli import cli


def contexts(command=cli, name="prodigy-git", parent=None):
    """Yield a context of every command there is, as when its help is asked for."""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            yield from contexts(command.get_command(context, one), one, context)


ALL = {context.command_path: context for context in contexts()}
every = pytest.mark.parametrize("path", ALL)


def examples(text):
    """Return the lines of the paragraph of a help that has the examples."""
    found = re.findall(r"^  Example:\n((?:    .+\n)+)", text, re.MULTILINE)
    assert len(found) == 1, text
    return [line.strip() for line in found[0].splitlines()]


@every
def test_each_help_has_examples_that_are_right(path):
    context = ALL[path]
    lines = examples(context.command.get_help(context) + "\n")
    called = [command_lines(line) for line in lines]
    assert all(called), lines
    # The first shows the command itself; one after it may show what goes on from there.
    assert context.command in parsed(called[0][0])
    for words in (one for line in called for one in line):
        parsed(words)


@pytest.mark.parametrize("wrong", ["job shw review", "job show --jsn", "job add review", "job"])
def test_a_wrong_example_would_be_found(wrong):
    with pytest.raises(click.UsageError):
        parsed(shlex.split(wrong))


@every
def test_no_help_is_wider_than_80_columns(path):
    context = ALL[path]
    assert [line for line in context.get_help().splitlines() if len(line) > 80] == []


@every
def test_every_default_is_said(path):
    for option in ALL[path].command.params:
        told = option.default not in (None, False, (), click.Option(["--x"]).default)
        if isinstance(option, click.Option) and told and not option.is_flag:
            assert option.show_default or "default" in (option.help or ""), option.name
