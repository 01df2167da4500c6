"""Our hooks in the ``[hooks]`` of Codex's config.toml: for who has other hooks there. Pure.

Ours are tables at the text's end. All else stays as it is, to the byte; what comes out is read again
before it counts.
"""

import json
import re
import tomllib
from typing import Any

from prodigy_git.agents import calls, entries
from prodigy_git.agents.hooks_in_json import Result
from prodigy_git.agents.programs import CODEX, Scope
from prodigy_git.errors import ProdigyError

_BLOCK = re.compile(
    r"(?:(?<=\n)\r?\n)?^\[\[hooks\.(?P<event>\w+)\]\]\r?\n(?:matcher = [^\r\n]*\r?\n)?"
    r"\[\[hooks\.(?P=event)\.hooks\]\]\r?\n"
    r"type = [^\r\n]*\r?\n(?P<command>command = [^\r\n]*)\r?\ntimeout = [0-9]+(?:\r?\n|\Z)",
    re.MULTILINE,
)


def has_hooks(text: str) -> bool:
    """Whether a config.toml has hooks of its own; no where it cannot be read."""
    return bool(_groups(_read(text)))


def has_ours(text: str) -> bool:
    """Whether hooks of ours are in a config.toml; no where it cannot be read."""
    return calls.mentioned(text) and bool(_ours(_read(text)))


def installed(text: str, scope: Scope, path: str) -> Result:
    """Return a config.toml with our hooks, each once. Raises `ProdigyError` where it cannot be done."""
    wanted = {
        one.event: entries.wanted(CODEX, one, scope) for one in entries.hooks_of(CODEX, scope)
    }
    document = _document(text, path)
    by_hand = _by_hand(document)
    for event in by_hand:
        wanted.pop(event, None)
    complete = {event: [group] for event, group in wanted.items()}
    renewed = _renewed(text, wanted)
    after_it = tomllib.loads(renewed.removeprefix("\ufeff"))
    if _ours(after_it) == complete and _others(after_it) == _others(document):
        return Result(renewed, None, by_hand=by_hand)
    base = _without(text, path)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = []
    for event, group in wanted.items():
        handler = group["hooks"][0]
        lines += ["", f"[[hooks.{event}]]", f"[[hooks.{event}.hooks]]"]
        lines += [f"{key} = {json.dumps(handler[key], ensure_ascii=False)}" for key in handler]
    begin = "" if base.endswith("\n") or not base else end
    added = begin + end.join(lines) + end
    after = base + added
    try:
        right = _ours(tomllib.loads(after.removeprefix("\ufeff"))) == complete
    except tomllib.TOMLDecodeError:
        right = False
    if not right or _others(tomllib.loads(after.removeprefix("\ufeff"))) != _others(document):
        raise ProdigyError(
            f"{path} was left alone: its hooks are written on one line each, and no table can be put "
            "beside them; write them as [[hooks.EVENT]] tables, or move them to hooks.json"
        )
    spans = ((len(base), len(added)),) if base == text else None
    return Result(after, spans, by_hand=by_hand)


def uninstalled(text: str, path: str) -> Result:
    """Return a config.toml without our hooks. Raises `ProdigyError` where it cannot be done."""
    by_hand = _by_hand(_document(text, path))
    return Result(_without(text, path), by_hand=by_hand)


def _document(text: str, path: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ProdigyError(
            f"{path} is no TOML ({error}), and was left alone: mend it first"
        ) from None
    hooks = document.get("hooks", {})
    if not isinstance(hooks, dict):
        raise ProdigyError(
            f'{path} is not as Codex has it: its "hooks" is no table; it was left alone'
        )
    return document


def _read(text: str) -> dict[str, Any]:
    """Return what a config.toml says; nothing where it cannot be read, or its hooks are no table."""
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        return {}
    return document if isinstance(document.get("hooks", {}), dict) else {}


def _without(text: str, path: str) -> str:
    document = _document(text, path)
    if not _ours(document):
        return text

    def left_of(block: re.Match[str]) -> str:
        return "" if calls.is_ours(tomllib.loads(block["command"]).get("command")) else block[0]

    after = _BLOCK.sub(left_of, text)
    left = tomllib.loads(after.removeprefix("\ufeff"))
    if _ours(left) or _others(left) != _others(document):
        raise ProdigyError(
            f"{path} was left alone: the tables of prodigy-git's hooks were changed by hand. Remove "
            "them there: their commands call agent-hook"
        )
    return after


def _renewed(text: str, wanted: dict[str, Any]) -> str:
    """Return a config.toml in which our tables, as far as they are there, are as they are to be now.

    At their places, by which Codex trusts those of others behind them.
    """

    def new_of(block: re.Match[str]) -> str:
        group = wanted.get(block["event"])
        if group is None or not calls.is_ours(tomllib.loads(block["command"]).get("command")):
            return block[0]
        handler = group["hooks"][0]
        lines = block[0].splitlines(keepends=True)
        for number, line in enumerate(lines):
            key = line.partition(" ")[0]
            if key in handler:
                end = line[len(line.rstrip("\r\n")) :]
                lines[number] = f"{key} = {json.dumps(handler[key], ensure_ascii=False)}{end}"
        return "".join(lines)

    return _BLOCK.sub(new_of, text)


def _ours(document: dict[str, Any]) -> dict[str, list[Any]]:
    """Return our groups by event."""
    found: dict[str, list[Any]] = {}
    for event, group in _groups(document):
        if any(
            calls.is_ours(one.get("command")) for one in group["hooks"] if isinstance(one, dict)
        ):
            found.setdefault(event, []).append(group)
    return found


def _by_hand(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                event
                for event, group in _groups(document)
                for one in group["hooks"]
                if isinstance(one, dict) and calls.is_by_hand(one.get("command"))
            }
        )
    )


def _groups(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    hooks = document.get("hooks", {})
    return [
        (event, group)
        for event, groups in hooks.items()
        if isinstance(groups, list)
        for group in groups
        if isinstance(group, dict) and isinstance(group.get("hooks"), list)
    ]


def _others(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without our groups, and without what is empty for it."""
    ours = _ours(document)
    hooks = {}
    for event, groups in document.get("hooks", {}).items():
        if isinstance(groups, list):
            groups = [one for one in groups if one not in ours.get(event, [])]
        if groups:
            hooks[event] = groups
    return {**{key: one for key, one in document.items() if key != "hooks"}, "hooks": hooks}
