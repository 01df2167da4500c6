"""Calls of agent programs' hooks, as the programs make them: whole, killed at a system call, again."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prodigy_git.record import detached
from prodigy_git.record.conversations import dispatch, normal_form

CALLS = ("write", "pwrite", "rename", "link", "unlink", "ftruncate", "open", "mkdir", "fsync")
"""The calls of `os` at which a hook can be killed: what changes something, or is about to."""
_KILLED = 77


def payload(program_session: str, event: str, cwd: Path, **fields: Any) -> dict[str, Any]:
    """Return what Claude Code writes to a hook's standard input."""
    return {
        "session_id": program_session,
        "transcript_path": f"/transcripts/{program_session}.jsonl",
        "cwd": str(cwd),
        "hook_event_name": event,
        **fields,
    }


def hear(
    raw: dict[str, Any],
    *,
    program: str = "claude",
    event: str | None = None,
    process: int | None = None,
) -> None:
    """Take a call in, in this process, as if the program were ``process``."""
    heard = normal_form.normal(program, event, raw)
    assert heard is not None
    heard.process = process
    dispatch.heard(heard, os.environ)


def hear_killed(raw: dict[str, Any], at: int) -> bool:
    """Take a call in, in a process that is killed before its system call number ``at``.

    Return whether it was: it may have been through by then.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _kill_at(at)
            hear(raw)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _KILLED), f"the hook failed: {code}"
    return code == _KILLED


def _kill_at(at: int) -> None:
    left = [at]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os._exit(_KILLED)
            return call(*arguments, **named)

        return instead

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


@contextlib.contextmanager
def nothing_in_the_background() -> Iterator[list[list[str]]]:
    """Have each process in the background killed before it does anything; yield what was started."""
    started: list[list[str]] = []

    def start(module: str, arguments: list[str], given: bytes = b"") -> None:
        started.append([module, *arguments])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detached, "start", start)
        yield started


def events(store: Path) -> list[dict[str, Any]]:
    """Return all events of a store, in the order of its files."""
    found = []
    for path in sorted(store.glob("events/*/*/*.jsonl")):
        data = path.read_bytes()
        assert data.endswith(b"\n"), f"unterminated: {path}"
        found += [json.loads(line) for line in data.splitlines()]
    return found


def sessions(store: Path) -> dict[str, dict[str, Any]]:
    """Return the sessions' files by the names of their worktrees' folders.

    Without what a registration has left that was killed: it has no worktree yet.
    """
    found = [json.loads(path.read_text()) for path in store.glob("sessions/*.json")]
    return {
        Path(one["metadata"]["worktree_path"]).name: one
        for one in found
        if one["status"] != "Initializing"
    }
