"""A sealed world for the hook tests: real git, a stub of the package that writes down its calls."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prodigy_git import install

BIN = Path(sys.executable).parent

# What a hook starts, reduced to writing down that it was started, and how.
_STUB = """
import os, signal, sys
def main(hook, arguments, installed=""):
    if "STUB_INTERRUPT" in os.environ:
        os.kill(os.getpid(), signal.SIGINT)
    line = "|".join([hook, installed, *arguments])
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "calls"), "a") as log:
        log.write(line + "\\n")
    os._exit(int(os.environ.get("STUB_EXIT", "0")))
"""


class World:
    """One sealed HOME with one repository in it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root.mkdir()
        self.root = root
        self.monkeypatch = monkeypatch
        self.package = root / 'it\'s a "package"'
        stub = self.package / "prodigy_git" / "record"
        stub.mkdir(parents=True)
        (stub.parent / "__init__.py").touch()
        (stub / "__init__.py").touch()
        (stub / "hook.py").write_text(_STUB)
        self.ran = root / "ran"
        for name in list(os.environ):
            if name.startswith(("GIT_", "PRODIGY_", "PRE_COMMIT", "PREK", "LEFTHOOK")):
                monkeypatch.delenv(name)
        home = root / "home"
        home.mkdir()
        for name, value in {
            "HOME": home, "PRODIGY_HOME": root / "store", "XDG_CONFIG_HOME": home / "config",
            "XDG_CACHE_HOME": home / "cache", "GIT_CONFIG_NOSYSTEM": 1,
            "GIT_CONFIG_GLOBAL": home / "gitconfig", "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org", "NO_COLOR": 1,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, str(value))
        self.repo = root / 'a repo\'s "folder"'
        self.git("init", "-q", "-b", "main", str(self.repo), cwd=root)
        self.hooks = self.repo / ".git" / "hooks"
        shutil.rmtree(self.hooks)
        self.hooks.mkdir()
        self.commit()

    def run(
        self, *command: str, cwd: Path | None = None, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=cwd or self.repo, env={**os.environ, **env}, check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def git(
        self, *arguments: str, cwd: Path | None = None, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run("git", *arguments, cwd=cwd, check=check, **env)

    def commit(self, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return self.git("commit", "-q", "--allow-empty", "-m", "x", cwd=cwd, **env)

    def install(self, cwd: Path | None = None, *, force: bool = False) -> install.Report:
        return install.install(cwd or self.repo, force=force, package=str(self.package))

    def calls(self) -> list[str]:
        """Return and forget what our part was called with, without the time of the install."""
        lines = self._take(self.package / "calls")
        return ["|".join([line.split("|")[0], *line.split("|")[2:]]) for line in lines]

    def others(self) -> list[str]:
        """Return and forget which other hooks ran."""
        return self._take(self.ran)

    @staticmethod
    def _take(path: Path) -> list[str]:
        if not path.exists():
            return []
        lines = path.read_text().splitlines()
        path.unlink()
        return lines

    def own(self, hook: str = "post-commit", body: str = "", name: str = "own") -> Path:
        """Write a hook of the user's own, which notes ``name`` and then does ``body``."""
        path = self.hooks / hook
        path.write_text(f"#!/bin/sh\necho {name} >> '{self.ran}'\n{body}\n")
        path.chmod(0o755)
        return path

    def snapshot(self, folder: Path | None = None) -> dict[str, tuple[int, bytes]]:
        return {
            path.name: (path.lstat().st_mode, os.readlink(path).encode() if path.is_symlink()
                        else path.read_bytes())
            for path in sorted((folder or self.hooks).iterdir())
        }  # fmt: skip
