"""A man page for each command, made of its help where the wheel is built (pyproject.toml)."""

import inspect
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DOCS = Path(__file__).resolve().parent


def escaped(text: str) -> str:
    r"""Return text as roff takes it: no escapes, no requests, and ``-`` as it is typed."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in text.split("\n"))


def paragraphs(text: str) -> list[str]:
    r"""Return the lines of roff of a help text; a paragraph with ``\b`` before it stays as it is."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.split("\n")[1:]
            found += [".PP", escaped(title), ".nf", *map(escaped, lines), ".fi"]
        else:
            found += [".PP", escaped(paragraph)]
    return found


def page(context: click.Context, version: str) -> str:
    """Return the man page of a command."""
    command, path = context.command, context.command_path
    name = path.replace(" ", "-")
    short = command.get_short_help_str(200).rstrip(".")
    lines = [f'.TH "{escaped(name.upper())}" "1" "" "prodigy\\-git {version}"']
    lines += [".SH NAME", f"{escaped(name)} \\- {escaped(short)}"]
    usage = " ".join(command.collect_usage_pieces(context))
    lines += [".SH SYNOPSIS", f".B {escaped(path)}", escaped(usage)]
    lines += [".SH DESCRIPTION", *paragraphs(command.help or "")]
    lines.append(".SH OPTIONS")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            lines += [".TP", f"\\fB{escaped(record[0])}\\fR", escaped(record[1]) or "\\&"]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for one in command.list_commands(context):
            found = command.get_command(context, one)
            if found is not None and not found.hidden:
                see = f"\\fB{escaped(name)}\\-{escaped(one)}\\fR(1)"
                lines += [".TP", see, escaped(found.get_short_help_str(200))]
    if context.parent is not None:
        above = context.parent.command_path.replace(" ", "-")
        lines += [".SH SEE ALSO", f"\\fB{escaped(above)}\\fR(1)"]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return {file name: text} of all man pages; of all libraries only click is imported for it."""
    sys.path[:0] = [str(DOCS.parent), str(DOCS)]
    from make_reference import contexts

    from prodigy_git import __version__
    from prodigy_git.cli import cli

    found = contexts(cli, "prodigy-git")
    return {
        f"{context.command_path.replace(' ', '-')}.1": page(context, __version__)
        for context in found
    }


class ManPages(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the man pages into the wheel, from a folder that is there while it is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write them; not for an editable installation."""
        if version == "editable":
            return
        self.folder = Path(tempfile.mkdtemp(prefix="prodigy-git-man-"))
        for name, text in pages().items():
            (self.folder / name).write_text(text, encoding="utf-8")
        build_data["shared_data"][str(self.folder)] = "share/man/man1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder."""
        del build_data, artifact_path
        if version != "editable":
            shutil.rmtree(self.folder)
