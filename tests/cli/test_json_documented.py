"""What --json prints is what docs/reference/json*.md say: each command's keys, and the type of each."""

import re
from pathlib import Path

import click
from support_filled import filled

from prodigy_git.cli import cli

PAGES = sorted((Path(__file__).parents[2] / "docs" / "reference").glob("json*.md"))
DOCUMENT = "\n".join(page.read_text() for page in PAGES)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PLAIN = {
    "text": lambda v: isinstance(v, str) and not MOMENT.fullmatch(v),
    "moment": lambda v: isinstance(v, str) and MOMENT.fullmatch(v),
    "path": lambda v: isinstance(v, str) and v.startswith("/"),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "any": lambda v: True,
}
EVENTS = {"events ls", "events search", "events follow", "events query"}
"""They print events as they are in the log, and what was asked for."""


def rows(heading):
    """Return the cells of the rows of the first table below each occurrence of a heading's text."""
    found = []
    for part in DOCUMENT.split(heading)[1:]:
        table = re.search(r"^\| ---.*\n((?:\| .*\n)*)", part, re.MULTILINE)
        lines = table[1].splitlines()
        found += [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return found


COMMANDS = {words.strip("`"): kind for words, kind, _ in rows("| command | prints |")}
SHAPES = {
    name: dict(re.findall(r"`(\w+)` ([^`,]+)", keys)) for name, keys in rows("| name | keys |")
}
MEANINGS = [key for key, *_ in rows("## What the keys mean")]


def wrong(value, kind, where, seen):
    """Return what of a value is not as documented; note in ``seen`` the keys that there were."""
    kind = kind.strip().removesuffix(" or absent")
    if kind.startswith("one of "):
        tried = [wrong(value, one, where, set()) for one in kind[7:].split(", ")]
        best = min(range(len(tried)), key=lambda n: len(tried[n]))
        return wrong(value, kind[7:].split(", ")[best], where, seen)
    if kind.endswith(" or null"):
        return [] if value is None else wrong(value, kind.removesuffix(" or null"), where, seen)
    if kind.startswith("list of "):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [w for one in value for w in wrong(one, kind[8:], f"{where}[]", seen)]
    if kind.startswith("map of "):
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        return [w for one in value.values() for w in wrong(one, kind[7:], f"{where}.*", seen)]
    if kind in PLAIN:
        return [] if PLAIN[kind](value) else [f"{where}: {value!r} is no {kind}"]
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind}"]
    shape = SHAPES[kind]
    seen.update((kind, key) for key in value)
    found = [f"{where}.{key}: not documented" for key in value if key not in shape]
    for key, one in shape.items():
        if key in value:
            found += wrong(value[key], one, f"{where}.{key}", seen)
        elif not one.strip().endswith(" or absent"):
            found.append(f"{where}.{key}: missing")
    return found


def test_what_each_command_prints_is_documented(repo, store, monkeypatch):
    said = filled(repo, store, monkeypatch)
    seen, found = set(), []
    for words, values in said.items():
        if words in EVENTS:
            continue
        kind = COMMANDS[f"{words} --dry-run" if words == "otel push" else words]
        if kind.startswith("one a line of "):
            values = [
                o for value in values for o in (value if isinstance(value, list) else [value])
            ]
            kind = kind.replace("one a line of", "one of")
        for value in values:
            found += wrong(value, kind, words, seen)
    assert sorted(set(found)) == [], "\n".join(sorted(set(found)))
    # What no command ever prints is not to be documented, but for what needs a rare mishap to be there.
    rare = {
        "hook-line", "process", "drifted", "deleted", "replacement", "named", "moved", "span-event",
        "shared-file", "pushed", "holder", "prodigy-run",
    }  # fmt: skip
    unseen = {
        (name, key)
        for name, shape in SHAPES.items()
        for key in shape
        if name not in rare and (name, key) not in seen
    }
    assert unseen == set()


def test_every_key_has_a_meaning_and_its_form():
    common = {"job_id", "item_id", "agent_id", "session_id", "repo", "worktree", "trash_path"}
    keys = {key for shape in SHAPES.values() for key in shape}
    assert sorted(f"`{key}`" for key in keys - common) == sorted(MEANINGS)
    for name, shape in SHAPES.items():
        for key, kind in shape.items():
            moment = kind.split(" or ")[0] == "moment"
            assert moment == (key == "at" or key.endswith("_at")), (name, key)
            if key in ("job_id", "item_id", "agent_id", "session_id", "repo"):
                assert kind.split(" or ")[0] == "text", (name, key)
            if key in ("worktree", "trash_path"):
                assert kind.split(" or ")[0] == "path", (name, key)


def _json_commands(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _json_commands(command, (*path, name))
        elif any("--json" in param.opts for param in command.params):
            yield " ".join((*path, name))


def test_every_command_with_json_is_in_the_table():
    listed = {words.removesuffix(" --dry-run") for words in COMMANDS}
    assert set(_json_commands(cli)) - listed - EVENTS - {"worktree list"} == set()
