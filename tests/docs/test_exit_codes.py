"""docs/reference/exit-codes.md has a row for each command."""

import re
import runpy
from pathlib import Path

import click

from prodigy_git.cli import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
CONTEXTS = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["contexts"]


def named(cell):
    """Return the commands of a row's first cell: `job phase\\|pause` are two."""
    for words in re.findall(r"`([^`]+)`", cell.replace("\\|", "/")):
        *group, last = [word for word in words.split() if re.fullmatch(r"[a-z/-]+", word)]
        yield from (" ".join([*group, one]) for one in last.split("/"))


def test_each_command_has_a_row():
    cells = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    told = {command for cell in cells for command in named(cell)}
    there = {
        context.command_path.removeprefix("prodigy-git ")
        for context in CONTEXTS(cli, "prodigy-git")
        if not isinstance(context.command, click.Group)
    }
    assert there - told == {"worktree list"}  # another name of `worktree ls`
