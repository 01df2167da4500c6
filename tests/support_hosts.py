"""Hosts of a job, on one machine: each with a name, a home, a store, a clone and a wire of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from support_cli import Done, environment
from support_forkserver import Forked, run_forked
from support_host_name import HOST
from support_proxy import Proxy
from support_sealed import GIT_CONFIG

_EXECUTE = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


class Host:
    """A machine with a clone of a repository, as far as a process on it can tell."""

    def __init__(self, folder: Path, name: str, origin: Path, to: int | None = None) -> None:
        """Make it in ``folder/name``, which is not there; `wire` leads to the server's port ``to``."""
        self.name, self.folder = name, folder / name
        self.store, self.clone = self.folder / "store", self.folder / "clone"
        (self.folder / "home").mkdir(parents=True)
        (self.folder / "home" / ".gitconfig").write_text(GIT_CONFIG)
        self.wire = None if to is None else Proxy(to)
        self.git("clone", "-q", str(origin), str(self.clone), cwd=self.folder)

    def close(self) -> None:
        """End the wire."""
        if self.wire is not None:
            self.wire.close()

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a process on this host finds in its environment."""
        return environment(**{
            "HOME": f"{self.folder}/home",
            "PRODIGY_HOME": str(self.store),
            "XDG_CONFIG_HOME": f"{self.folder}/home/.config",
            "GIT_CONFIG_GLOBAL": f"{self.folder}/home/.gitconfig",
            HOST: self.name,
            **more,
        })  # fmt: skip

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, check: bool = True, **more: str
    ) -> Done:
        """Run `prodigy-git` on it, in the clone; ``more`` is its environment's."""
        command = [sys.executable, "-m", "prodigy_git", *map(str, arguments)]
        return self._done(command, cwd, check, more)

    def ok(self, *arguments: str | Path, cwd: Path | None = None, **more: str) -> Any:
        """Run `prodigy-git … --json` on it; return what it answers."""
        return self.run(*arguments, "--json", cwd=cwd, **more).json

    def start(
        self, *arguments: str | Path, cwd: Path | None = None, **settings: Any
    ) -> "subprocess.Popen[str]":
        """Start `prodigy-git` on it; its streams are pipes."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return Forked(
            [sys.executable, "-m", "prodigy_git", *map(str, arguments)],
            **{"cwd": cwd or self.clone, "text": True, "env": self.environment(), **pipes, **settings},
        )  # fmt: skip

    def git(
        self, *arguments: str | Path, cwd: Path | None = None, check: bool = True, **more: str
    ) -> str:
        """Run git on it, in the clone; return its stdout without the last newline."""
        done = self._done(["git", *map(str, arguments)], cwd, check, more)
        return done.out.rstrip("\n")

    def sh(self, script: str, *arguments: str, cwd: Path | None = None, **more: str) -> Done:
        """Run a script with sh on it, in the clone."""
        return self._done(["sh", "-ec", script, "sh", *arguments], cwd, True, more)

    def _done(
        self, command: list[str], cwd: Path | None, check: bool, more: dict[str, str]
    ) -> Done:
        if command[0] != sys.executable:
            # A fork becomes the host quicker than an interpreter that is started for it.
            command = [sys.executable, "-c", _EXECUTE, *command]
        done = run_forked(
            command, cwd=cwd or self.clone, env=self.environment(**more),
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        assert done.returncode == 0 or not check, (self.name, command, done.stdout, done.stderr)
        return Done(done.returncode, done.stdout, done.stderr)
