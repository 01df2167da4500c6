"""A store and a repository in use, and commands that are run in it, whatever became of their files.

The world is made once and kept beside itself: `World.renew` puts back what a case has changed, in
place, since a private git directory that is copied is another one to the store.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from support_cli import environment
from support_forkserver import Forked
from support_sealed import GIT_CONFIG

from prodigy_git.record import files

PATIENCE = 120
"""Seconds after which a command hangs: it takes a hundredth of that."""


MEMORY = 4 << 30
"""Bytes of address space of a command: git reads a device that never ends into memory."""


_LIMITED_COMMAND = f"""\
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
from prodigy_git import cli
sys.exit(cli.run(sys.argv[1:]))
"""


class Ran(NamedTuple):
    """What a command left; ``status`` is negative where a signal ended it."""

    status: int
    said: str


class World:
    """The paths, and the environment that leads to them."""

    def __init__(self, top: Path) -> None:
        """Make it: jobs, sessions in every state, trash, archives, a queue, checkpoints, logs."""
        self.top = top
        self.repo, self.store, self.outside = top / "live/repo", top / "live/store", top / "outside"
        self.saved = top / "saved"
        home = top / "home"
        for folder in (home, self.outside / "inner", top / "live"):
            folder.mkdir(parents=True)
        (home / ".gitconfig").write_text(GIT_CONFIG)
        (self.outside / "inner/file").write_text("not ours\n")
        (self.outside / "events-20200101.jsonl").write_text("not ours\n")
        self.environ = environment(
            HOME=str(home), PRODIGY_HOME=str(self.store), GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_GLOBAL=str(home / ".gitconfig"), GIT_CEILING_DIRECTORIES=str(top),
            GIT_TERMINAL_PROMPT="0", GIT_EDITOR="true", LC_ALL="C.UTF-8", TZ="UTC",
            PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"],
        )  # fmt: skip
        for name in [one for one in self.environ if one.startswith(("XDG_", "PRODIGY_JOB"))]:
            del self.environ[name]
        self._build()
        self.tree = self.store / "worktrees/repo/w1"
        shutil.copytree(top / "live", self.saved, symlinks=True)
        shutil.copytree(self.outside, top / "outside.saved", symlinks=True)
        self.look_outside()

    def _build(self) -> None:
        self.git("init", "-q", self.repo, cwd=self.top)
        (self.repo / "file").write_text("a\n")
        self.git("add", ".")
        self.git("commit", "-qm", "Start", GIT_COMMITTER_DATE="2025-01-01T00:00:00Z")
        self.must("install")
        items = self.top / "items"
        items.write_text(json.dumps([{"id": f"i{n}", "n": n} for n in range(6)]))
        for job in ("j", "old"):
            self.must("job", "start", job, "--items", str(items), "--max-attempts", "1")
        work = "echo out; git commit -q --allow-empty -m work; test $PRODIGY_ITEM_ID != i1"
        for _ in range(3):
            self.call("run", "--job", "j", "--", "sh", "-c", work)
        self.must("job", "next", "j", "--agent", "a1")
        self.must("job", "cancel", "old")
        for name in ("w1", "w2", "w3", "w4"):
            self.must("new-worktree", name, *(("--job", "j") if name == "w1" else ()))
            tree = self.store / f"worktrees/repo/{name}"
            (tree / "new").write_text(name)
            self.git("add", ".", cwd=tree)
            for number in range(2):
                self.git("commit", "-q", "--allow-empty", "-m", f"{name} {number}", cwd=tree)
            (tree / "loose").write_text("uncommitted")
        self.must("finish", "w2")
        for name in ("w3", "w4"):
            self.must("worktree", "clean", name, "-f")
        self.must("trash", "empty", "w4", "--yes")
        self.must("clean", "--events", "--archive", "--older-than", "0s", "--yes")
        self.must("event", "add", "--type", "Note", "--job", "w2")
        self.must("verify")

    def git(self, *arguments: str | Path, cwd: Path | None = None, **more: str) -> str:
        """Run git; it must end well."""
        return subprocess.run(
            ["git", *arguments], cwd=cwd or self.repo, env=self.environ | more, check=True,
            capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    def must(self, *arguments: str, check: bool = True) -> None:
        """Run one of our commands while the world is made."""
        ran = self.call(*arguments)
        assert ran.status == 0 or not check, (arguments, ran)

    def call(self, *arguments: str, cwd: Path | None = None) -> Ran:
        """Run one of our commands in a process of its own."""
        said = self.top / "said"
        with said.open("wb") as stream:
            running = Forked(
                [sys.executable, "-c", _LIMITED_COMMAND, *arguments], cwd=cwd or self.repo,
                env=self.environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        try:
            status = running.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            status = -signal.SIGALRM
        return Ran(status, said.read_text(errors="replace"))

    def commit(self, *options: str, cwd: Path) -> Ran:
        """Make a commit, as a user does, in a process of its own."""
        running = subprocess.Popen(
            ["git", *options, "commit", "-q", "--allow-empty", "-m", "one more"], cwd=cwd,
            env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            preexec_fn=_limited,
        )  # fmt: skip
        try:
            out, _ = running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            out, _ = running.communicate()
            return Ran(-signal.SIGALRM, out)
        return Ran(running.returncode, out)

    def renew(self) -> None:
        """Put back what a case has changed."""
        _sync(self.saved, self.top / "live")
        _sync(self.top / "outside.saved", self.outside)
        self.look_outside()

    def look_outside(self) -> None:
        """Remember what is outside; git itself may have written there, through a link."""
        self.canary = _tree(self.outside)

    def trace(self) -> str:
        """Return the end of what was reported last, which has the traceback of an internal error."""
        with contextlib.suppress(OSError):
            data = files.read(str(self.store / "logs/hook-errors.log"))
            return data.rstrip(b"\n").rpartition(b"\n")[2][-700:].decode("utf-8", "replace")
        return ""

    def unharmed(self) -> bool:
        """Whether what lies outside is as it was."""
        return _tree(self.outside) == self.canary


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _tree(top: Path) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    start = len(f"{top}/")
    for root, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = os.path.join(root, name)
            about = os.lstat(path)
            found[path[start:]] = (
                about.st_mode, about.st_size if not stat.S_ISDIR(about.st_mode) else 0,
                about.st_mtime_ns if stat.S_ISREG(about.st_mode) else 0,
            )  # fmt: skip
    return found


def remove(path: Path) -> None:
    """Remove what is there, a folder or not; of a link the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync(source: Path, target: Path) -> None:
    wanted, there = _tree(source), _tree(target)
    for name in sorted(there, reverse=True):
        kind = wanted.get(name, (0,))[0] & 0o170000
        if kind != there[name][0] & 0o170000 and os.path.lexists(target / name):
            remove(target / name)
    for name, about in sorted(wanted.items()):
        # Nearly all is as it was, and a `Path` costs more than the look.
        if there.get(name) == about and os.path.exists(f"{target}/{name}"):
            continue
        one, other = source / name, target / name
        if stat.S_ISDIR(about[0]):
            other.mkdir(exist_ok=True)
            other.chmod(stat.S_IMODE(about[0]))
        elif stat.S_ISLNK(about[0]):
            if not other.is_symlink():
                other.symlink_to(os.readlink(one))
        else:
            if other.exists():
                other.unlink()
            shutil.copy2(one, other)
