"""Helpers of the tests that work as an ordinary user while the suite itself runs as root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_forkserver import Forked
from support_sealed import GIT_CONFIG

UID = 61234
"""Of nobody on any machine."""

_AS_USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]


class Ordinary:
    """A user with a HOME, a store and a repository in ``folder``, where root may look as well."""

    def __init__(self, folder: Path) -> None:
        """Take an empty folder that everybody may enter."""
        self.folder = folder
        self.home = folder / "home"
        self.repo = folder / "repo"
        self.store = folder / "store"
        self.env = {
            **os.environ,
            "HOME": str(self.home),
            "PRODIGY_HOME": str(self.store),
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_CEILING_DIRECTORIES": str(folder),
        }

    def start(self, *command: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a command as the user."""
        return Forked(
            [*_AS_USER, *map(str, command)], cwd=cwd or self.repo, env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(
        self, *command: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user; it may fail."""
        with self.start(*command, cwd=cwd) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess([*map(str, command)], process.returncode, out, err)

    def prodigy(
        self, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run prodigy-git as the user; it may fail."""
        return self.run(sys.executable, "-m", "prodigy_git", *arguments, cwd=cwd)

    def ok(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run prodigy-git as the user, and return its output."""
        done = self.prodigy(*arguments, cwd=cwd)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture
def ordinary() -> Iterator[Ordinary]:
    """Give an ordinary user's world: a repository with one commit, hooks installed."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    # Not below pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="prodigy-ordinary-"))
    try:
        user = Ordinary(folder)
        user.home.mkdir()
        (user.home / ".gitconfig").write_text(GIT_CONFIG)
        user.repo.mkdir()
        for path in (folder, user.home, user.home / ".gitconfig", user.repo):
            os.chown(path, UID, UID)
        folder.chmod(0o755)
        if user.run(sys.executable, "-c", "import prodigy_git.cli", cwd=folder).returncode != 0:
            pytest.skip("the interpreter is not for other users")
        (user.repo / "README").write_text("a repository\n")
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Start")):
            done = user.run("git", *words)
            assert done.returncode == 0, done
        user.ok("install")
        yield user
    finally:
        shutil.rmtree(folder, ignore_errors=True)
