"""Calls of agent programs' hooks, as the programs make them: through the command in their settings."""

import json
import os
import subprocess

from prodigy_git import agent_command
from prodigy_git.record.conversations import activity


def say(program, event, *, cwd, scope="user", session="s1", text=None, environ=None, **fields):
    """Call the hook of ``event`` with its fields, as JSON, or with ``text``; return what it did."""
    raw = {"session_id": session, "hook_event_name": event, "cwd": str(cwd), **fields}
    given = json.dumps(raw).encode() if text is None else text
    return subprocess.run(
        ["/bin/sh", "-c", agent_command.text(program, event, scope)],
        cwd=cwd, env={**os.environ, **(environ or {})}, input=given, capture_output=True, check=False,
    )  # fmt: skip


def lines(store):
    """Return the lines of all activity files, as they were written, of each session on its own."""
    return {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(store.glob("activity/*/*.jsonl"))
    }


def kinds(store, session):
    return [line["kind"] for line in lines(store).get(session, [])]


def states(store, session, repo="repo"):
    return [
        (one.program, one.program_session, one.state)
        for one in activity.tail(str(store), repo, session)
    ]
