"""Streams of hook calls as the real programs made them (`tests/streams/`), and replaying them.

A stream is a file of JSON lines. ``{"environment": {...}}`` is what the program sets for the hooks
behind it. ``{"event", "cwd", "stdin"}`` is one call: the event it is installed for, the process's
folder, the object on its standard input. ``{"commit": subject}`` is a commit that the agent makes at
that moment. ``{tree}`` stands for the worktree, ``{home}`` for the user's folder, ``{made}`` for the
worktree that the last WorktreeCreate has made.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support_agents import lines
from support_forkserver import Forked

from prodigy_git import agent_command

FOLDER = Path(__file__).parent / "streams"
NAMES = {
    "claude": "claude", "claude-terminal": "claude", "claude-worktrees": "claude", "codex": "codex",
    "copilot": "copilot", "copilot-with-claude-settings": "claude", "cursor": "cursor",
    "gemini": "gemini", "opencode": "opencode",
}  # fmt: skip
"""The program in whose settings the command stands, by the stream's name."""
ANSWERS = {"gemini": b"{}\n", "cursor": b"{}\n"}
BIG = "x" * 99 + "\n"


class Call(NamedTuple):
    """One call of a hook."""

    program: str
    event: str
    cwd: str
    given: dict[str, Any]
    environment: dict[str, str]

    @property
    def data(self) -> bytes:
        return json.dumps(self.given).encode()

    @property
    def answer(self) -> bytes:
        return ANSWERS.get(self.program, b"")


class Commit(NamedTuple):
    """A commit of the agent's, in the worktree."""

    subject: str


def load(name: str, tree: Path, made: Path | None = None) -> Iterator[Call | Commit]:
    """Yield the steps of a stream, for an agent that works in ``tree``."""
    places = {"{tree}": str(tree), "{home}": os.environ["HOME"], "{made}": str(made or "/nowhere")}
    environment: dict[str, str] = {}
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        for mark, place in places.items():
            line = line.replace(mark, json.dumps(place)[1:-1])
        step = json.loads(line)
        if "environment" in step:
            environment = step["environment"]
        elif "commit" in step:
            yield Commit(step["commit"])
        else:
            yield Call(NAMES[name], step["event"], step["cwd"], step["stdin"], environment)


def begin(call: Call, *, by_command: bool = False) -> subprocess.Popen[bytes]:
    """Begin a call, whose standard input stays open; ``by_command`` as it stands in the settings."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    cwd = call.cwd if os.path.isdir(call.cwd) else os.environ["HOME"]
    environment = {**os.environ, **call.environment, "PWD": cwd}
    if by_command:
        command = agent_command.text(call.program, call.event, "user")
        return subprocess.Popen(["/bin/sh", "-c", command], cwd=cwd, env=environment, **pipes)
    entry = [sys.executable, "-m", "prodigy_git", "agent-hook", call.program, call.event]
    return Forked(entry, cwd=cwd, env=environment, **pipes)


def make(call: Call, data: bytes | None = None, *, by_command: bool = False) -> None:
    """Make a call to its end; it has done nothing but what the program expects of it."""
    with begin(call, by_command=by_command) as process:
        out, err = process.communicate(call.data if data is None else data, timeout=120)
    assert (process.returncode, out, err) == (0, call.answer, b""), call


def replay(
    steps: list[Call | Commit], tree: Path, git: Callable[..., str], *, by_command: bool = False
) -> None:
    """Make every step, one after the other."""
    for step in steps:
        if isinstance(step, Call):
            make(step, by_command=by_command)
        else:
            commit(step.subject, tree, git)


def commit(subject: str, tree: Path, git: Callable[..., str]) -> None:
    with (tree / "work.txt").open("a") as file:
        file.write("work\n")
    git("add", "-A", cwd=tree)
    git("commit", "-q", "-m", subject, cwd=tree)


def swollen(value: Any, size: int = 5_000_000) -> Any:
    """Return what a tool has given, with an output of ``size`` bytes in it."""
    text = BIG * (size // len(BIG))
    if isinstance(value, dict):
        inner = next((name for name in ("stdout", "content", "llmContent", "textResultForLlm")
                      if name in value), "output")  # fmt: skip
        return {**value, inner: text}
    return text


def heard(store: Path, session: str) -> list[str]:
    """Return what the session's activity has heard, a word an event; of subagents behind a dot."""
    return [
        ("." if line.get("subagent") else "") + line["kind"]
        for line in lines(store).get(session, [])
    ]
