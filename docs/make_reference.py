"""Make docs/reference/commands/: a page for each command, of what its own --help prints.

`make reference` writes the pages; `tests/docs/test_reference.py` keeps them equal to the help.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

FOLDER = Path(__file__).resolve().parent / "reference" / "commands"
WIDTH = 80
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
    "new-worktree": "../sessions.md",
    "finish": "../sessions.md",
    "worktree": "../sessions.md",
    "sessions": "../sessions.md",
    "status": "../status.md",
    "top": "../status.md",
    "explain": "../explain.md",
    "report": "../report.md",
    "job": "../jobs.md",
    "run": "../run.md",
    "merge": "../merging.md",
    "publish": "../publishing.md",
    "resume": "../jobs.md",
    "dlq": "../dead-letter-queue.md",
    "import": "../../guides/prodigy.md",
    "event": "../api.md",
    "events": "../events.md",
    "otel": "../../guides/telemetry.md",
    "clean": "../cleaning.md",
    "trash": "../trash.md",
    "sync": "../recording.md",
    "verify": "../recording.md",
    "doctor": "../../guides/install.md",
    "statusline": "../../guides/shell.md",
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
        parts = []
        for context in contexts(command, name, root):
            path = context.command_path
            words = path.removeprefix("prodigy-git ")
            mark = "#" if context.command is command else "##"
            more = f"[More about it]({MORE[name]}).\n\n" if context.command is command else ""
            parts.append(
                f"{mark} {words}\n\n{more}```console\n$ {path} --help\n{context.get_help()}\n```\n"
            )
            short = context.command.get_short_help_str(200).replace("|", "\\|")
            anchor = "" if context.command is command else f"#{words.replace(' ', '-')}"
            index += f"| [`{words}`]({name}.md{anchor}) | {short} |\n"
        found[f"{name}.md"] = "\n".join(parts)
    return {"index.md": index, **found}


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
