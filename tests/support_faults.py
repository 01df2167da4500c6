"""Faults injected into a process's system calls with strace(1): killed at one, or one that fails."""

import compileall
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import support_inject
from support_cli import PACKAGE_PARENT
from support_forkserver import Forked, run_forked
from support_inject import can_inject

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


def compiled_copy(folder: Path) -> str:
    """Copy the package to a folder, compiled, and return that: each run must make the same calls."""
    shutil.copytree(
        Path(PACKAGE_PARENT) / "prodigy_git",
        folder / "prodigy_git",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    compileall.compile_dir(folder, quiet=1)
    return str(folder)


def strace(name: str, rule: str | None = None, output: str = "/dev/null") -> list[str]:
    """Return a command that traces calls of ``name``, not those of child processes.

    With a rule it injects a fault, which `injected` does quicker.
    """
    inject = [] if rule is None else ["-e", f"inject={name}:{rule}"]
    return ["strace", "-y", "-o", output, "-e", f"trace={name}", *inject]


def injected(name: str, rule: str) -> list[str]:
    """Return what `run_traced` takes to inject a fault into calls of ``name``: strace if need be."""
    return [_INJECT, name, rule] if can_inject(name) else strace(name, rule)


_INJECT = "inject"


def run_traced(
    program: list[str], traced: Sequence[str], **settings: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a Python program, from its line ``STOP`` on under ``traced`` if that is given.

    Under strace each call takes many times as long, also those that are not looked at: what comes
    before, importing above all, runs without. And where a fault is `injected`, there is no strace.
    """
    if not traced:
        return run_forked([sys.executable, *(one.replace(STOP, "") for one in program)], **settings)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    inject = traced[:1] == (_INJECT,) or traced[:1] == [_INJECT]
    if inject:
        assert any(STOP in word for word in program), program
        program = [word.replace(STOP, support_inject.program(traced[1])) for word in program]
    with Forked([sys.executable, *program], **pipes, **settings) as child:
        stopped = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped.si_status == signal.SIGSTOP, child.stderr.read()
        if inject:
            support_inject.meet(child.pid, traced[2])
            os.kill(child.pid, signal.SIGCONT)
            out, err = child.communicate()
            return subprocess.CompletedProcess(program, child.returncode, out, err)
        tracing = [*traced, "-p", str(child.pid)]
        with subprocess.Popen(tracing, stderr=subprocess.PIPE) as tracer:
            assert b"attached" in tracer.stderr.readline()
            os.kill(child.pid, signal.SIGCONT)
            out, err = child.communicate()
            tracer.communicate()
    return subprocess.CompletedProcess(program, child.returncode, out, err)


STOP = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\n"


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
