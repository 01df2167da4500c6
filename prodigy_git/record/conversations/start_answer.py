"""What a program's start is answered with, where git config ``prodigy.context`` asks for it.

The text is made by a process with libraries (`views.context`); a start that would have to wait too long
for it goes without.
"""

from __future__ import annotations

import sys

from prodigy_git.record import detached, gitdir, jsonline
from prodigy_git.record.conversations import bindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prodigy_git.record.conversations.normal_form import Heard

PATIENCE = 3.0
"""Seconds that an agent's start waits at most."""
_LONGEST = 9000  # characters: some programs take ten thousand
_MODES = {"on": "on", "true": "on", "yes": "on", "1": "on", "brief": "brief"}
_SPECIFIC = ("claude", "codex", "gemini")
_MAKER = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));"
    "from prodigy_git.views.context import main;main(*sys.argv[1:])"
)


def answer(heard: Heard, store: str, environ: Mapping[str, str]) -> bytes | None:
    """Return the answer to a program's start, in the program's form; None where there is none.

    Raises `OSError`.
    """
    if heard.program not in (*_SPECIFIC, "copilot", "cursor") or heard.program_session is None:
        return None
    bound = bindings.read(store, heard.program, heard.program_session)
    mode = None if bound is None else _mode(bound.worktree)
    if bound is None or mode is None:
        return None
    text = _made(bound.store, bound.session, mode, environ)
    return jsonline.line(_form(heard, text[:_LONGEST])) if text else None


def _mode(worktree: str) -> str | None:
    place = gitdir.find(worktree, {})
    if place is None:
        return None
    status, out = gitdir.ask(place, "config", "--get", "prodigy.context")
    return _MODES.get(out.decode("utf-8", "replace").strip().lower()) if status == 0 else None


def _made(store: str, session: str, mode: str, environ: Mapping[str, str]) -> str:
    """Have the text made, and return it; "" where that takes too long, or fails."""
    import subprocess  # an agent's start, and only where it is asked for

    command = [
        sys.executable,
        "-I",
        "-X",
        "utf8",
        "-c",
        _MAKER,
        detached.package_folder(),
        store,
        session,
        mode,
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=dict(environ), timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def _form(heard: Heard, text: str) -> dict[str, object]:
    if heard.program == "cursor":
        return {"additional_context": text}
    if heard.program == "copilot":
        return {"additionalContext": text}
    return {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": text}}
