"""The agent programs that we plug into: where their settings are, which of their events we listen to.

What is known of each, and from where: ``docs/reference/agents.md``.
"""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping
from typing import Any, Literal

from prodigy_git.errors import ProdigyError
from prodigy_git.record import files

Scope = Literal["user", "project", "local"]
SCOPES: tuple[Scope, ...] = ("user", "project", "local")
Shape = Literal["groups", "flat", "plugin"]
"""How a program has its hooks: an event's groups of hooks, an event's hooks, or a plugin."""


@dataclasses.dataclass(frozen=True)
class Hook:
    """One event that we listen to: its name, for which tools, how many seconds we may take.

    ``portable`` is whether it stands in a file that a team shares, too.
    """

    event: str
    seconds: int = 10
    matcher: str | None = None
    portable: bool = True


@dataclasses.dataclass(frozen=True)
class Program:
    """One agent program; ``binaries`` are the names by which it is called.

    ``version`` is whether the root of its file says one. Releases before ``since`` ignore all of a
    file, with the permissions that are in it, where an event is one that they do not know.
    """

    name: str
    title: str
    binaries: tuple[str, ...]
    shape: Shape
    hooks: tuple[Hook, ...] = ()
    milliseconds: bool = False
    version: bool = False
    since: tuple[int, int, int] | None = None
    project: str = ""
    local: str = ""
    user: str = ""


# A question to the user is a tool of Claude Code: from its beginning on somebody is waited for.
_QUESTIONS = "AskUserQuestion|ExitPlanMode"

CLAUDE = Program(
    "claude", "Claude Code", ("claude",), "groups",
    (
        Hook("SessionStart"), Hook("UserPromptSubmit"), Hook("PreToolUse", matcher=_QUESTIONS),
        Hook("PermissionRequest"), Hook("PostToolUse"), Hook("PostToolUseFailure"),
        Hook("Notification"), Hook("SubagentStart"), Hook("SubagentStop"), Hook("Stop"),
        Hook("StopFailure"), Hook("CwdChanged"), Hook("SessionEnd"),
        # Where it is and we are not, no worktree can be made: not for a team, of whom some have no
        # prodigy-git. Set-up commands take their time, as an `npm install`.
        Hook("WorktreeCreate", seconds=600, portable=False),
        Hook("WorktreeRemove", seconds=60, portable=False),
    ),
    since=(2, 1, 83),
    user="settings.json", project=".claude/settings.json", local=".claude/settings.local.json",
)  # fmt: skip
CODEX = Program(
    "codex", "Codex", ("codex",), "groups",
    (
        Hook("SessionStart"), Hook("UserPromptSubmit"), Hook("PermissionRequest"),
        Hook("PostToolUse"), Hook("SubagentStart"), Hook("SubagentStop"), Hook("Stop"),
        Hook("Interrupt", seconds=3), Hook("SessionEnd", seconds=3),
    ),
    user="hooks.json", project=".codex/hooks.json",
)  # fmt: skip
GEMINI = Program(
    "gemini", "Gemini CLI", ("gemini",), "groups",
    (
        Hook("SessionStart"), Hook("BeforeAgent"), Hook("AfterTool"), Hook("Notification"),
        Hook("AfterAgent"), Hook("SessionEnd"),
    ),
    milliseconds=True, user="settings.json", project=".gemini/settings.json",
)  # fmt: skip
CURSOR = Program(
    "cursor", "Cursor", ("cursor-agent", "cursor"), "flat",
    (
        Hook("sessionStart"), Hook("beforeSubmitPrompt"), Hook("postToolUse"),
        Hook("postToolUseFailure"), Hook("afterFileEdit"), Hook("afterAgentResponse"),
        Hook("subagentStart"), Hook("subagentStop"), Hook("stop"), Hook("sessionEnd"),
    ),
    version=True, user="hooks.json", project=".cursor/hooks.json",
)  # fmt: skip
COPILOT = Program(
    "copilot", "Copilot CLI", ("copilot",), "flat",
    (
        Hook("sessionStart"), Hook("userPromptSubmitted"), Hook("postToolUse"),
        Hook("postToolUseFailure"), Hook("notification"), Hook("subagentStart"),
        Hook("subagentStop"), Hook("agentStop"), Hook("errorOccurred"), Hook("sessionEnd"),
    ),
    version=True, user="hooks/prodigy-git.json", project=".github/hooks/prodigy-git.json",
    local=".github/copilot/settings.local.json",
)  # fmt: skip
OPENCODE = Program(
    "opencode", "OpenCode", ("opencode",), "plugin",
    user="plugins/prodigy-git.js", project=".opencode/plugins/prodigy-git.js",
)  # fmt: skip

ALL = (CLAUDE, CODEX, GEMINI, CURSOR, COPILOT, OPENCODE)
BY_NAME = {one.name: one for one in ALL}


def home(program: Program, environ: Mapping[str, str]) -> str:
    """Return the folder of a program's settings for this user, which may not be there.

    Raises `ProdigyError` where the environment names none.
    """
    user = os.path.expanduser("~")
    named = {
        "claude": environ.get("CLAUDE_CONFIG_DIR") or f"{user}/.claude",
        "codex": environ.get("CODEX_HOME") or f"{user}/.codex",
        # The program makes its folder inside of what this names.
        "gemini": f"{environ.get('GEMINI_CLI_HOME') or user}/.gemini",
        "cursor": f"{user}/.cursor",  # CURSOR_CONFIG_DIR moves other files alone
        "copilot": environ.get("COPILOT_HOME") or f"{user}/.copilot",
        "opencode": environ.get("OPENCODE_CONFIG_DIR")
        or f"{environ.get('XDG_CONFIG_HOME') or user + '/.config'}/opencode",
    }[program.name]
    if not named.startswith("/"):
        raise ProdigyError(
            f"{program.title} would keep its settings in {named!r}: set HOME, or the variable that "
            "moves them, to an absolute path"
        )
    return named


def settings_file(
    program: Program, scope: Scope, top: str | None, environ: Mapping[str, str]
) -> str:
    """Return the path of the file that our hooks belong in; ``top`` is the worktree's folder.

    Raises `ProdigyError` where the program has no such file, or there is no worktree.
    """
    if scope == "user":
        return f"{home(program, environ)}/{program.user}"
    inside = program.project if scope == "project" else program.local
    if not inside:
        raise ProdigyError(
            f"{program.title} has no settings of one worktree alone: give --project for all who "
            "work on this repository, or --user"
        )
    if top is None:
        raise ProdigyError(
            f"--{scope} is about a repository: call it in a worktree, or give --user"
        )
    return f"{top}/{inside}"


def binary(program: Program, environ: Mapping[str, str]) -> str | None:
    """Return the path by which a program is called here, None where there is none."""
    found = (shutil.which(name, path=environ.get("PATH")) for name in program.binaries)
    return next(filter(None, found), None)


def is_found(program: Program, environ: Mapping[str, str]) -> bool:
    """Whether a program is on this machine: it can be called, or has a folder of settings."""
    try:
        return binary(program, environ) is not None or os.path.isdir(home(program, environ))
    except ProdigyError:
        return False


def version(program: Program, environ: Mapping[str, str]) -> str | None:
    """Return a program's version where its place tells it: asking the program takes a second."""
    named = binary(program, environ)
    if named is None:
        return None
    real = os.path.realpath(named)
    if re.fullmatch(r"\d+\.\d+[\w.-]*", os.path.basename(real)):
        return os.path.basename(real)
    folder = os.path.dirname(real)
    for _ in range(3):  # as npm has it: PACKAGE/bin/NAME
        try:
            value: Any = json.loads(files.read(f"{folder}/package.json", 1 << 20))
        except (OSError, ValueError):
            value = None
        # Its own, not one of a folder in which a script is that calls it.
        if isinstance(value, dict) and program.name in str(value.get("name")):
            said = value.get("version")
            return said if isinstance(said, str) and value.get("private") is not True else None
        folder = os.path.dirname(folder)
    return None


def outgrown(program: Program, environ: Mapping[str, str], path: str) -> str | None:
    """Return why a program that is here is too old for our hooks, None where it is not known to be."""
    said = version(program, environ)
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", said or "")
    if program.since is None or numbers is None:
        return None
    if tuple(map(int, numbers.groups())) >= program.since:
        return None
    least = ".".join(map(str, program.since))
    return (
        f"{program.title} {said} ignores all of {path} where our hooks are in it, since it does not "
        f"know their events: update it to {least} or later"
    )
