"""The command that stands in an agent program's settings, and that calls our hook."""

import os
import re
import shlex
from typing import Literal

from prodigy_git import hookfiles
from prodigy_git.record import agent_hook

Scope = Literal["user", "project"]

_OURS = re.compile(
    r"(?:/agent-hook\.sh'? \S.*|\bprodigy-git agent-hook) ([a-z]+) ([A-Za-z.]+)(?:; exit 0)?$"
)


def text(program: str, event: str, scope: Scope) -> str:
    """Return the command for the hook of ``event``, the program's own name for it.

    For any shell: a program takes the user's. In a ``user``'s own settings it names interpreter and
    package, as git's hooks do; in a ``project``'s, which are committed, it asks for a `prodigy-git` on
    the PATH. Where there is none (any more), it does nothing; git makes a worktree that the program
    wants of us then. Raises `ProdigyError` where this installation lacks the script.
    """
    if scope == "project":
        command = f"prodigy-git agent-hook {program} {event}"
        if event in agent_hook.ASKING:
            return f"command -v prodigy-git >/dev/null 2>&1 || {_without(event)}; exec {command}"
        return f"command -v prodigy-git >/dev/null 2>&1 && {command}; exit 0"
    script = shlex.quote(hookfiles.source_path("agent-hook"))
    python = shlex.quote(hookfiles.interpreter())
    return f"test -r {script} || {_without(event)}; exec sh {script} {python} {program} {event}"


def _without(event: str) -> str:
    """Return what a command does for a program where we are not there (any more)."""
    if event == "WorktreeCreate":
        return (
            "{ d=$(git rev-parse --show-toplevel)/.claude/worktrees/agent-$$ && git worktree add -q "
            '-b worktree-agent-$$ "$d" >&2 && echo "$d"; exit; }'
        )
    return f"exit {1 if event in agent_hook.ASKING else 0}"


def read(command: str) -> tuple[str, str] | None:
    """Return the program and the event of a command that `text` made, of any release; else None."""
    found = _OURS.search(command.strip())
    return None if found is None else (found[1], found[2])


def works(command: str) -> bool:
    """Whether what a command of `text` for a user's settings names is still there."""
    try:
        words = shlex.split(command.replace(";", " ; "))
    except ValueError:
        return False
    if "sh" not in words:
        return True  # a project's
    script, python = words[words.index("sh") + 1 :][:2]
    return os.path.isfile(script) and os.access(python, os.X_OK)
