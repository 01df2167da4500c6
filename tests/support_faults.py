"""Faults injected into a process's system calls with strace(1): killed at one, or one that fails."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

KILL = "signal=KILL"


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(
        ["strace", "-o", "/dev/null", "-e", "trace=write", "true"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def strace(name: str, rule: str | None = None, output: str = "/dev/null") -> list[str]:
    """Return a command that traces calls of ``name``, not those of child processes."""
    inject = [] if rule is None else ["-e", f"inject={name}:{rule}"]
    return ["strace", "-y", "-o", output, "-e", f"trace={name}", *inject]


def calls_on(trace: Path, name: str, paths: Iterable[str]) -> list[int]:
    """Return which calls of ``name``, counted from 1, change something below one of ``paths``."""
    calls = [line for line in trace.read_text().splitlines() if re.search(rf"\b{name}\(", line)]
    return [
        at
        for at, line in enumerate(calls, 1)
        if any(path in line for path in paths)
        # Opening a file to read it changes nothing, and a folder is opened to be synced.
        and (name != "openat" or "O_WRONLY" in line or "O_RDWR" in line)
        and "LOCK_UN" not in line
    ]
