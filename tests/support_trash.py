"""Entries of the trash for tests, made by hand; and what makes deleting them go wrong."""

import functools
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import environment

from prodigy_git.cleanup.trash import emptying, entry
from prodigy_git.record import clock

NOBODY = 65534
DAY = 86400 * clock.SECOND


@functools.cache
def as_user(uid: int) -> list[str]:
    """Return what to put before a command that is to run as another user; skips where it cannot."""
    if uid == os.getuid():
        return []
    prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    tried = [*prefix, sys.executable, "-c", "import prodigy_git.cleanup.trash.emptying"]
    if (
        shutil.which("setpriv") is None
        or subprocess.run(tried, env=environment(), capture_output=True, check=False).returncode
    ):
        pytest.skip(
            "NOT TESTED: as another user; setpriv is missing, or Python not readable to them"
        )
    return prefix


def make(store, repo, git, session="w1", *, age=0, state="trashed", alone=True, key="repo"):
    """Put an entry of the given age (microseconds) into the trash, with a salvage ref.

    ``alone``: the ref holds a commit that nothing else does.
    """
    created = clock.now() - age
    moment = clock.stamp(created).replace("-", "").replace(":", "")
    path = store / "trash" / key / session / moment
    (path / "worktree" / "sub").mkdir(parents=True)
    (path / "worktree" / "sub" / "file").write_text("x" * 5000)
    (path / "git").mkdir()
    (path / "git" / "HEAD").write_text("ref: refs/heads/main\n")
    head = git("rev-parse", "HEAD", cwd=repo)
    salvage = head
    if alone:
        salvage = git("commit-tree", "-p", head, "-m", session + moment, "HEAD^{tree}", cwd=repo)
    ref = f"refs/prodigy/salvage/{session}/{moment.replace('.', '-')}"
    git("update-ref", ref, salvage, cwd=repo)
    made = entry.Entry(
        path=str(path), state=state, repo=key, session=session, settled=True,
        worktree=str(store / "worktrees" / key / session), common=str(repo / ".git"),
        private=str(repo / ".git" / "worktrees" / session), created_at=clock.stamp(created),
        folder=str(path / "worktree"), git=str(path / "git"), head=head, branch="main",
        salvage_ref=ref, session_status="Completed",
    )  # fmt: skip
    entry.write(made)
    # Age is what the document says; every file here is as old as can be, or new.
    for file in (path, *path.iterdir()):
        os.utime(file, (1, 1) if age == 0 else None)
    return made


def state(made):
    return entry.read(made.path).state


def salvage(git, repo):
    return git("for-each-ref", "--format=%(refname)", "refs/prodigy", cwd=repo).split()


def work(store):
    """Do the background process's work here."""
    (store / "locks").mkdir(parents=True, exist_ok=True)
    waiting = os.open(os.devnull, os.O_RDONLY)
    emptying._step_back, step = (lambda: None), emptying._step_back
    try:
        emptying.work(str(store), waiting)
    finally:
        emptying._step_back = step


def hostile(folder: Path, outside: Path) -> None:
    """Fill a folder with what makes deleting go wrong."""
    (folder / "link").symlink_to(outside)
    (folder / "into").symlink_to(outside / "file")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "fifo")
    os.link(outside / "file", folder / "hard")
    with socket.socket(socket.AF_UNIX) as plug:
        before = os.getcwd()
        os.chdir(folder)
        plug.bind("socket")
        os.chdir(before)
    for name in (b"\xff\n", b"-rf", b"*", b" ", b"\\"):
        os.mkdir(os.path.join(os.fsencode(folder), name))
    (folder / "shut" / "in").mkdir(parents=True)
    (folder / "shut" / "in" / "file").write_text("x")
    (folder / "shut" / "in" / "file").chmod(0)
    (folder / "shut" / "in").chmod(0o500)
    (folder / "shut").chmod(0)
