"""Whether a person has trusted our hooks in Codex, which runs no other ones and says nothing of it.

Codex notes in its config.toml, ``[hooks.state."FILE:EVENT:GROUP:PLACE"]``, the hash of what was trusted
(codex-rs/hooks/src/engine/discovery.rs, `hook_hash`; seen in 0.171). We look, and never write there: to
trust a command is the person's part.
"""

import collections
import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from prodigy_git import digest
from prodigy_git.agents import calls, settings_file
from prodigy_git.agents.entries import NAME
from prodigy_git.errors import ProdigyError

HOW = "start codex, type /hooks, and trust the hooks of prodigy-git there"
_SHORT = ("session_end", "interrupt")
"""Events whose hooks have one second where none is asked for, and three at most."""
_NO_MATCHER = ("user_prompt_submit", "stop", "interrupt")


def unheeded(home: str, path: str, hooks: Any) -> tuple[list[str], list[str], list[str]]:
    """Return the events of ours that nobody has trusted, those trusted in another form, those put off.

    ``home`` is Codex's folder of settings, ``hooks`` what the file ``path`` has under that name.
    """
    states = _states(home)
    fresh: list[str] = []
    changed: list[str] = []
    off: list[str] = []
    for one in _handlers(path, hooks):
        if not calls.is_ours(one.handler.get("command")):
            continue
        state = states.get(one.key, {})
        trusted = state.get("trusted_hash") if isinstance(state, dict) else None
        if isinstance(state, dict) and state.get("enabled") is False:
            off.append(one.event)
        elif trusted is None:
            fresh.append(one.event)
        elif trusted != one.hash():
            changed.append(one.event)
    return fresh, changed, off


def distrusted(home: str, path: str, before: str, after: str) -> list[str]:
    """Return the events of others' hooks that Codex runs with one text of a file, and not with another.

    They are behind what was taken out, and have another place now.
    """
    states = _states(home)

    def trusted(text: str) -> collections.Counter[str]:
        return collections.Counter(
            one.event
            for one in _handlers(path, _hooks(path, text))
            if not calls.is_ours(one.handler.get("command"))
            and isinstance(state := states.get(one.key), dict)
            and state.get("trusted_hash") == one.hash()
        )

    return sorted(trusted(before) - trusted(after))


def knows_plugin(home: str) -> bool:
    """Whether somebody has trusted a hook of a plugin of ours; which ones, only Codex knows."""
    return any(key.partition("@")[0] == NAME for key in _states(home))


def config(home: str) -> dict[str, Any]:
    """Return the settings in a folder of Codex, as `toml` does."""
    return toml(f"{home}/config.toml")


def toml(path: str) -> dict[str, Any]:
    """Return what a TOML file says; empty where there is none, or where it cannot be read."""
    try:
        text = settings_file.look(path).text()
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (ProdigyError, tomllib.TOMLDecodeError):
        return {}


@dataclasses.dataclass(frozen=True)
class _Handler:
    """A command at an event: the ``key`` under which Codex notes what it knows of it."""

    event: str
    key: str
    matcher: object
    handler: dict[str, Any]

    def hash(self) -> str:
        return _hash(_label(self.event), self.matcher, self.handler)


def _hooks(path: str, text: str) -> Any:
    try:
        plain = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
    except ValueError:  # Codex runs none of them
        return None
    return plain.get("hooks") if isinstance(plain, dict) else None


def _handlers(path: str, hooks: Any) -> Iterator[_Handler]:
    # The folder is named without links, the file in it as it is.
    source = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    for event, groups in hooks.items() if isinstance(hooks, dict) else ():
        for number, group in enumerate(groups if isinstance(groups, list) else ()):
            inner = group.get("hooks") if isinstance(group, dict) else None
            for place, handler in enumerate(inner if isinstance(inner, list) else ()):
                if isinstance(handler, dict):
                    key = f"{source}:{_label(str(event))}:{number}:{place}"
                    yield _Handler(str(event), key, group.get("matcher"), handler)


def _states(home: str) -> dict[str, Any]:
    hooks = config(home).get("hooks")
    states = hooks.get("state") if isinstance(hooks, dict) else None
    return states if isinstance(states, dict) else {}


def _label(event: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", event).lower()


def _hash(label: str, matcher: object, handler: dict[str, Any]) -> str:
    short = label in _SHORT
    timeout = handler.get("timeout", 1 if short else 600)
    if isinstance(timeout, int):
        timeout = min(3, max(1, timeout)) if short else max(1, timeout)
    plain: dict[str, Any] = {
        "type": "command",
        "command": handler.get("command"),
        "timeout": timeout,
        "async": handler.get("async", False),
    }
    if "statusMessage" in handler:
        plain["statusMessage"] = handler["statusMessage"]
    whole: dict[str, Any] = {"event_name": label, "hooks": [plain]}
    if matcher is not None and label not in _NO_MATCHER:
        whole["matcher"] = matcher
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{digest.sha256_hex(text.encode())}"
