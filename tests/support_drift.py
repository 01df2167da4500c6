"""Helpers of the tests on drift: looking, mending, time that passes, a kill at each step."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import rewrite_session, session_file

from prodigy_git.cleanup.drift import mending
from prodigy_git.cleanup.drift.leftovers import Finding
from prodigy_git.cleanup.trash import entry
from prodigy_git.cleanup.trash.entry import Entry
from prodigy_git.record import clock

LONG_AGO = "2025-01-11T12:00:00.000000Z"
DAY = 86400 * clock.SECOND


def find(store: Path, cwd: Path | None = None) -> list[Finding]:
    found = mending.find(str(store), None if cwd is None else str(cwd), pytest.fail)
    return [one for one in found if one.kind != "unknown"]


def repair(store: Path) -> list[Finding]:
    return [one for one in mending.repair(str(store), find(store), pytest.fail) if one.repairable]


def entries(store: Path) -> list[Entry]:
    return entry.entries(str(store), pytest.fail)


def gone() -> int:
    """Return the id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def make_old(store: Path, name: str) -> None:
    rewrite_session(store, name, started_at=LONG_AGO, updated_at=LONG_AGO, metadata={"pid": gone()})
    fields = session_file(store, name)
    fields["metadata"].pop("pid_started", None)
    (store / "sessions" / f"{name}.json").write_text(json.dumps(fields))


def private_of(git: Callable[..., str], path: Path) -> Path:
    return Path(git("rev-parse", "--absolute-git-dir", cwd=path))


def without_memory(seen: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot without what cleans remember: each may write it."""
    return {path: about for path, about in seen.items() if not path.endswith("/halves.json")}


class Time:
    """Lets this process believe that time has passed; files keep their times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() + self.passed)

    def pass_days(self, days: float) -> None:
        self.passed += int(days * DAY)


CHANGING = ("rename", "unlink", "rmdir", "mkdir", "link", "write", "fsync")


def killed_before(call: int, do: Callable[[], Any]) -> bool:
    """Run ``do`` in a process that kills itself before its n-th call that changes something.

    Return whether it came to its end.
    """
    child = os.fork()
    if child == 0:
        left = call

        def counted(real: Any) -> Any:
            def made(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return made

        try:
            for name in CHANGING:
                setattr(os, name, counted(getattr(os, name)))
            do()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
