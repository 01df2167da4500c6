"""What an agent program does to have a worktree of us: it starts our entry, and reads the path."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support_cli import PACKAGE_PARENT, Done, environment
from support_forkserver import Forked

CODE = (
    "import sys;sys.path.insert(0,sys.argv.pop(1));"
    "from prodigy_git.__main__ import for_program;for_program()"
)


def started(
    what: str, where: str | Path, about: str | Path | None, **settings: Any
) -> subprocess.Popen[Any]:
    """Start what the entry of the hooks starts, to ``create`` or ``remove``, for who is there."""
    words = [what, "claude", str(os.getpid()), os.fspath(where), os.fspath(about or "")]
    return Forked(
        [sys.executable, "-P", "-c", CODE, PACKAGE_PARENT, *words],
        **{
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "env": environment(), "encoding": "utf-8", "errors": "surrogateescape", **settings,
        },
    )  # fmt: skip


def asked(what: str, where: str | Path, about: str | Path | None, **settings: Any) -> Done:
    with started(what, where, about, **settings) as running:
        out, err = running.communicate(timeout=120)
    return Done(running.returncode, out or "", err or "")


def create(repo: Path, name: str | None = "login", **settings: Any) -> Path:
    """Have a worktree made that must be; return its path."""
    done = asked("create", repo, name, **settings)
    assert (done.code, done.out.count("\n")) == (0, 1), done
    return Path(done.out.removesuffix("\n"))


def remove(repo: Path, path: Path, **settings: Any) -> Done:
    return asked("remove", repo, path, **settings)
