"""The command that stands in an agent program's settings, and that calls our hook."""

import os
import re
import shlex
from typing import Literal

from prodigy_git import hookfiles
from prodigy_git.record import agent_hook

Scope = Literal["user", "project"]

_SCRIPT = r"(?P<script>.+/agent-hook\.sh'?)"
_PYTHON = "(?P<python>.+)"
_WITHOUT = r"(?:exit [01]|\{ .+; \})"
_WHAT = "(?P<program>[a-z]+) (?P<event>[A-Za-z.]+)"
_FORMS = (
    rf"test -r {_SCRIPT} \|\| {_WITHOUT}; exec sh (?P=script) {_PYTHON} {_WHAT}",
    rf"test -r {_SCRIPT} \|\| {_WITHOUT}; set -- {_PYTHON} {_WHAT} (?P=script); \. (?P=script)",
    rf"command -v prodigy-git >/dev/null 2>&1 (?:\|\| {_WITHOUT}; exec|&&) "
    rf"prodigy-git agent-hook {_WHAT}(?:; exit 0)?",
)
_OF_SH = ("claude", "copilot", "gemini")
"""The programs that call a hook by sh or bash, whatever the user's shell is: they read a script in."""


def text(program: str, event: str, scope: Scope) -> str:
    """Return the command for the hook of ``event``, the program's own name for it.

    For any shell, where a program takes the user's. In a ``user``'s own settings it names interpreter
    and package, as git's hooks do; in a ``project``'s, which are committed, it asks for a `prodigy-git`
    on the PATH. Where there is none (any more), it does nothing; git makes a worktree that the program
    wants of us then. Raises `ProdigyError` where this installation lacks the script.
    """
    if scope == "project":
        command = f"prodigy-git agent-hook {program} {event}"
        if event in agent_hook.ASKING:
            return f"command -v prodigy-git >/dev/null 2>&1 || {_without(event)}; exec {command}"
        return f"command -v prodigy-git >/dev/null 2>&1 && {command}; exit 0"
    script = shlex.quote(hookfiles.source_path("agent-hook"))
    python = shlex.quote(hookfiles.interpreter())
    before = f"test -r {script} || {_without(event)}; "
    if program in _OF_SH:
        return f"{before}set -- {python} {program} {event} {script}; . {script}"
    return f"{before}exec sh {script} {python} {program} {event}"


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
    found = _match(command)
    return None if found is None else (found["program"], found["event"])


def works(command: str) -> bool:
    """Whether what a command of `text` for a user's settings names is still there."""
    found = _match(command)
    if found is None:
        return False
    if "script" not in found.groupdict():
        return True  # a project's
    script, python = _named(found)
    return os.path.isfile(script) and os.access(python, os.X_OK)


def here(command: str) -> str:
    """Return what `text` has in a command's place, where both differ in nothing but the installation.

    Any other command comes back as it is, also one of an installation that is gone. Raises as `text`.
    """
    found = _match(command)
    if found is None or "script" not in found.groupdict() or not works(command):
        return command
    ours = text(found["program"], found["event"], "user")
    mine = _match(ours)
    assert mine is not None  # `text` makes what `read` reads
    (script, python), theirs = _named(mine), _named(found)
    same = ours.replace(shlex.quote(script), shlex.quote(theirs[0]))
    same = same.replace(
        f" {shlex.quote(python)} {found['program']} ",
        f" {shlex.quote(theirs[1])} {found['program']} ",
    )
    return ours if same == command else command


def _named(found: re.Match[str]) -> tuple[str, str]:
    """Return the script and the interpreter that a command names; nothing where they are no words."""
    try:
        (script,), (python,) = shlex.split(found["script"]), shlex.split(found["python"])
    except ValueError:  # edited by hand
        return "", ""
    return script, python


def _match(command: str) -> re.Match[str] | None:
    whole = (re.fullmatch(form, command.strip()) for form in _FORMS)
    return next((found for found in whole if found is not None), None)
