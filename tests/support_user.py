"""An ordinary user beside root, who runs the suite in containers: processes of that user.

pytest's own folders are root's alone, and so may the interpreter be that runs the suite. So the user
has a folder below the system's one for temporary files, and an interpreter that can be reached, with
this environment's packages.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support_cli import PACKAGE_PARENT
from support_forkserver import run_forked
from support_sealed import GIT_CONFIG

UID = 1234
_PACKAGES = os.pathsep.join([PACKAGE_PARENT, sysconfig.get_path("purelib")])
_PROBE = """
import os, sys
import prodigy_git.cli, prodigy_git.model.session, psutil, msgspec, pytest
# As the hooks look at it: a link into root's home can be started in some places, but not be seen.
sys.exit(not os.access(sys.executable, os.X_OK))
"""


def become(uid: int = UID, gid: int | None = None) -> list[str]:
    """Return what a command begins with so that another user runs it; nothing for who is one."""
    if os.geteuid() != 0:
        return []
    return [
        "setpriv",
        f"--reuid={uid}",
        f"--regid={gid or uid}",
        "--clear-groups",
        "--inh-caps=-all",
    ]


@functools.cache
def interpreter() -> str:
    """Return a Python that another user can run, with our packages; skip where there is none."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("another user takes setpriv, which is missing")
    version = f"python3.{sys.version_info.minor}"
    names = (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}")
    for python in filter(os.path.exists, names):
        done = subprocess.run(
            [*become(), python, "-c", _PROBE], cwd="/", capture_output=True, check=False,
            env={"PATH": os.defpath, "PYTHONPATH": _PACKAGES},
        )  # fmt: skip
        if done.returncode == 0:
            return python
    pytest.skip(f"no {version} that another user can run and that has our packages")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return a sealed environment for a user whose home is ``folder/home``."""
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part)
    return {
        **{name: os.environ[name] for name in ("LC_ALL", "TZ") if name in os.environ},
        "PATH": path,
        "PYTHONPATH": _PACKAGES,
        "HOME": f"{folder}/home",
        "PRODIGY_HOME": f"{folder}/store",
        "PRODIGY_RECORD": "wait",
        "XDG_CONFIG_HOME": f"{folder}/home/.config",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": f"{folder}/home/.gitconfig",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        **more,
    }


class User:
    """A user with a folder of one's own, in which are a home, a store and a repository."""

    def __init__(self, folder: Path, uid: int = UID, gid: int | None = None) -> None:
        """Make the home; the folder is there. ``gid`` None is a group of the user's own."""
        self.folder, self.uid, self.gid = folder, uid, gid
        self.store, self.repo = folder / "store", folder / "repo"
        (folder / "home").mkdir()
        # Who trusts whom is not what is tested here: the user trusts nobody, root everybody.
        own = GIT_CONFIG.partition("[safe]")[0]
        (folder / "home" / ".gitconfig").write_text(own)
        if os.geteuid() == 0:
            for path in (folder, folder / "home", folder / "home" / ".gitconfig"):
                os.chown(path, uid, uid)

    def run(
        self, *command: str | Path, cwd: Path | None = None, check: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user; ``prodigy-git`` stands for the program."""
        return self._run(
            become(self.uid, self.gid), command, cwd, check, environment(self.folder, **more)
        )

    def as_root(
        self, *command: str | Path, cwd: Path | None = None, check: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root, with a home of root's own, as `sudo -H` would."""
        environ = environment(self.folder, HOME=os.environ["HOME"], **more)
        environ["GIT_CONFIG_GLOBAL"] = os.environ["GIT_CONFIG_GLOBAL"]
        return self._run([], command, cwd, check, environ)

    def _run(
        self,
        begin: list[str],
        command: tuple[str | Path, ...],
        cwd: Path | None,
        check: bool,
        environ: dict[str, str],
    ) -> subprocess.CompletedProcess[str]:
        words = [*begin, *map(str, command)]
        if command[0] == "prodigy-git":
            words[len(begin) : len(begin) + 1] = [interpreter(), "-m", "prodigy_git"]
        done = run_forked(
            words, cwd=cwd or self.repo, env=environ, stdin=subprocess.DEVNULL,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
        assert done.returncode == 0 or not check, (words, done.stdout, done.stderr)
        return done

    def make_repository(self) -> None:
        """Make the repository, with an old commit, and install the hooks."""
        self.run("git", "init", "-q", self.repo, cwd=self.folder)
        long_ago = "2025-01-11T12:00:00+00:00"
        (self.repo / "README").write_text("a repository\n")
        if os.geteuid() == 0:
            os.chown(self.repo / "README", self.uid, self.uid)
        self.run("git", "add", "README")
        self.run("git", "commit", "-qm", "Start", GIT_COMMITTER_DATE=long_ago)
        self.run("prodigy-git", "install")

    def new(self, name: str) -> Path:
        """Make a worktree; return its folder."""
        return Path(self.run("prodigy-git", "new-worktree", name).stdout.rstrip("\n"))

    def events(self) -> list[dict[str, object]]:
        """Return the events of all jobs."""
        return [
            json.loads(line)
            for path in sorted(self.store.glob("events/*/*/*.jsonl"))
            for line in path.read_text().splitlines()
        ]

    def of_others(self) -> list[str]:
        """Return what in store and repository does not belong to this user."""
        found = set()
        for top in (self.store, self.repo / ".git"):
            for root, folders, names in os.walk(top):
                found.update([root, *(f"{root}/{name}" for name in folders + names)])
        return sorted(
            path for path in found if os.path.lexists(path) and os.lstat(path).st_uid != self.uid
        )
