"""Make docs/reference/commands/: a page for each command, of what its own --help prints.

The commands of a group are on its page; where that would be too long, each has its own.

`make reference` writes the pages; `tests/docs/test_reference.py` keeps them equal to the help.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

FOLDER = Path(__file__).resolve().parent / "reference" / "commands"
WIDTH = 80
LONG = 250  # lines
HEAD = """\
# Commands

Each command has a page here. It is what `prodigy-git COMMAND --help` prints.
`prodigy-git --help` lists the commands on a terminal; `man prodigy-git-COMMAND` has the same text
where the wheel is installed in a place that `man` looks into.

| command | what it does |
| --- | --- |
"""

MORE = {
    "install": "../hooks.md",
    "uninstall": "../hooks.md",
    "hooks": "../hooks.md",
    "agents": "../agents.md",
    "new-worktree": "../sessions.md",
    "setup": "../setup-commands.md",
    "finish": "../sessions.md",
    "worktree": "../sessions.md",
    "sessions": "../sessions.md",
    "status": "../status.md",
    "top": "../status.md",
    "explain": "../explain.md",
    "logs": "../logs.md",
    "diff": "../merging.md",
    "report": "../report.md",
    "job": "../jobs.md",
    "run": "../run.md",
    "conflicts": "../conflicts.md",
    "stop": "../run.md",
    "merge": "../merging.md",
    "publish": "../publishing.md",
    "resume": "../jobs.md",
    "dlq": "../dead-letter-queue.md",
    "import": "../../guides/prodigy.md",
    "hub": "../hub.md",
    "event": "../api.md",
    "events": "../events.md",
    "otel": "../../guides/telemetry.md",
    "clean": "../cleaning.md",
    "trash": "../trash.md",
    "sync": "../recording.md",
    "verify": "../recording.md",
    "doctor": "../../guides/install.md",
    "statusline": "../../guides/shell.md",
    "agent-hook": "../agent-hook.md",
    "context": "../context.md",
    "shell-init": "../../guides/shell.md",
    "completion": "../../guides/shell.md",
}
"""The page that says more about a command than its help: each command has one."""


def contexts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Yield the context of a command and of every one below it."""
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            found = command.get_command(context, one)
            if found is not None and not found.hidden:
                yield from contexts(found, one, context)


def pages() -> dict[str, str]:
    """Return {file name: text} of all pages."""
    from prodigy_git.cli import cli

    found = {}
    index = HEAD
    root, *_ = contexts(cli, "prodigy-git")
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        if command is None or command.hidden:
            continue
        helps = list(contexts(command, name, root))
        parts = [_part(context, name, "##") for context in helps]
        apart = sum(part.count("\n") + 1 for part in parts) > LONG
        for context, part in zip(helps, parts, strict=True):
            words = context.command_path.removeprefix("prodigy-git ")
            own = words.replace(" ", "-")
            page = f"{own if apart else name}.md"
            if apart:
                part = _part(context, name, "#")
                links = [f"[{one.info_name}]({name}-{one.info_name}.md)" for one in helps[1:]]
                if context is helps[0]:
                    part += f"\nIts commands: {', '.join(links)}.\n"
            found[page] = f"{found[page]}\n{part}" if page in found else part
            short = context.command.get_short_help_str(200).replace("|", "\\|")
            anchor = f"#{own}" if own not in (name, page.removesuffix(".md")) else ""
            index += f"| [`{words}`]({page}{anchor}) | {short} |\n"
    return {"index.md": index, **found}


def _part(context: click.Context, name: str, mark: str) -> str:
    """Return what a page says of a command; ``mark`` is a heading's, below that of ``name``."""
    words = context.command_path.removeprefix("prodigy-git ")
    heading = "#" if words == name else mark
    more = f"[More about it]({MORE[name]}).\n\n" if heading == "#" else ""
    return (
        f"{heading} {words}\n\n{more}"
        f"```console\n$ {context.command_path} --help\n{context.get_help()}\n```\n"
    )


def main() -> int:
    """Write the pages, and remove those of commands that are no more; return an exit status."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.iterdir():
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{FOLDER}: {len(made)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
