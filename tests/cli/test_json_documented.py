"""What --json prints is what docs/reference/json*.md say: each command's keys, and the type of each."""

import click
from support_filled import filled
from support_json_documented import COMMANDS, HUB, MEANINGS, SHAPES, wrong

from prodigy_git.cli import cli

EVENTS = {"events ls", "events search", "events follow", "events query"}
"""They print events as they are in the log, and what was asked for."""


ELSEWHERE = {"host", "host_id", "hosts"}
"""Printed only where a hub has other hosts: what `test_hosts_in_lists`, `test_agents_elsewhere` see."""


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
        "shared-file", "pushed", "holder", "prodigy-run", "held-elsewhere",
    }  # fmt: skip
    unseen = {
        (name, key)
        for name, shape in SHAPES.items()
        for key in shape
        if not (key in ELSEWHERE and shape[key].strip().endswith(" or absent"))
        and name not in rare
        and (name, key) not in seen
        and f"| {name} |" not in HUB
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
