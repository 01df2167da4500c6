"""Which agent program calls a hook that stands in the settings of Claude Code.

Other programs run what is in a repository's `.claude`, too: Copilot CLI always, Cursor where its user
wants it, Gemini CLI once its user has migrated them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MARKS = {"copilot": "COPILOT_CLI", "cursor": "CURSOR_VERSION", "gemini": "GEMINI_SESSION_ID"}
"""What each has set for its hooks."""
_OURS = ((b"test -r ", b"/agent-hook.sh"), (b"prodigy", b" agent-hook "))
"""What is in a file that has our commands; other tools have a script of that name, too."""
_LARGEST = 1 << 20
"""How much of a settings file is read."""


def caller(environ: Mapping[str, str]) -> str | None:
    """Return which program calls a hook of Claude Code's, where that has not set CLAUDECODE.

    What the others set is handed down to a Claude Code in their shell. None: a program that calls its
    own hook of ours as well, so that each event would be heard twice.
    """
    for other, mark in _MARKS.items():
        if environ.get(mark):
            return None if any(map(_has_ours, _settings(other, environ))) else other
    return "claude"


def _settings(program: str, environ: Mapping[str, str]) -> list[str]:
    """Return the files in which `agents install` puts a program's own hooks."""
    user = environ.get("HOME", "")
    if program == "copilot":
        folder = environ.get("COPILOT_HOME") or f"{user}/.copilot"
        project = environ.get("COPILOT_PROJECT_DIR", "")
        inside = (".github/hooks/prodigy-git.json", ".github/copilot/settings.local.json")
        return [f"{folder}/hooks/prodigy-git.json", *(f"{project}/{name}" for name in inside)]
    if program == "gemini":
        home, project = environ.get("GEMINI_CLI_HOME"), environ.get("GEMINI_PROJECT_DIR", "")
        return [f"{home or user}/.gemini/settings.json", f"{project}/.gemini/settings.json"]
    return [
        f"{user}/.cursor/hooks.json",
        f"{environ.get('CURSOR_PROJECT_DIR', '')}/.cursor/hooks.json",
    ]


def _has_ours(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        text = os.read(descriptor, _LARGEST)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return any(all(part in text for part in parts) for parts in _OURS)
