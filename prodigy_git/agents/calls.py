"""The command that a program calls at an event: ours written, and told from what others wrote."""

import json
import re
from typing import Any

from prodigy_git import agent_command
from prodigy_git.agents.programs import ALL, Hook, Program, Scope
from prodigy_git.errors import ProdigyError

_NAMED = rf"(?:{'|'.join(one.name for one in ALL)})\s+[A-Za-z.]+"
# Our script has an interpreter beside the event. Other tools have one of the same name, and no such.
_BY_HAND = re.compile(
    rf"prodigy[-_]git['\"]?\s+agent-hook\b"
    rf"|/agent-hook\.sh['\"]?\s.*\S\s+{_NAMED}"
    rf"|\S\s+{_NAMED}\s.*/agent-hook\.sh",
    re.DOTALL,
)

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*/agent-hook\.sh(?:[^"\\\n]|\\.)*"')


def text(program: Program, hook: Hook, scope: Scope) -> str:
    """Return the command for one event. Raises `ProdigyError` for a path that no JSON text can hold.

    In a file that a team shares it finds prodigy-git by itself, and does nothing where there is none.
    """
    call = agent_command.text(program.name, hook.event, "project" if scope == "project" else "user")
    try:
        json.dumps(call, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ProdigyError(
            f"prodigy-git lies in a folder whose name is not UTF-8 ({call!a}): install it elsewhere"
        ) from None
    return call


def command_of(handler: dict[str, Any]) -> str:
    """Return the command of a handler of ours, of Copilot by its name for it."""
    return str(handler.get("command", handler.get("bash")))


def is_ours(command: object) -> bool:
    """Whether a command is one that we put in, perhaps an earlier version of us, or from elsewhere.

    Its own text is the mark: programs that write their settings anew drop fields that they do not know,
    and Codex refuses them.
    """
    return isinstance(command, str) and agent_command.read(command) is not None


def is_by_hand(command: object) -> bool:
    """Whether a command calls us, but was written, or changed, by somebody else."""
    return (
        isinstance(command, str) and not is_ours(command) and _BY_HAND.search(command) is not None
    )


def as_here(text: str) -> str:
    """Return a settings text with the commands of other installations, that work, as this one has them.

    Raises as `text`.
    """

    def renamed(found: re.Match[str]) -> str:
        try:
            command = json.loads(found[0])
        except ValueError:
            return found[0]
        here = agent_command.here(command)
        return found[0] if here == command else json.dumps(here, ensure_ascii=False)

    return _STRING.sub(renamed, text)


def mentioned(text: str) -> bool:
    """Whether there is anything of ours in a settings file, at a glance."""
    return "agent-hook" in text
