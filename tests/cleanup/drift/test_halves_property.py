"""Worktrees whose halves go out of sight and come back, while cleans run: every byte is there again.

What is drawn: three worktrees, running or ended, with commits and work in them; what happens to the
places (a folder is moved, a disk goes, the store turns into a link, the repository is cloned anew, git
prunes, a clean runs in a mount namespace that sees less); what is cleaned, how often, how many days
later. Then all is put back, what is in the trash is restored, and compared.

To run more: PRODIGY_TEST_EXAMPLES=1000 pytest tests/cleanup/drift/test_halves_property.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from support_cli import call, ok, rewrite_session
from support_drift import Time
from support_forkserver import run_forked
from support_restore import files_of, sh

from prodigy_git.record import clock

EXAMPLES = 24
WANTED = int(os.environ.get("PRODIGY_TEST_EXAMPLES", EXAMPLES))
NAMES = ("w1", "w2", "w3")

WORK = {
    "none": ":",
    "modified": "echo more >>README",
    "staged": "echo s >s; git add s; echo t >>s",
    "untracked": "mkdir -p u/v; echo u >u/v/u",
    "ignored": "echo secret >x.env",
    "commit": "echo c >c; git add c; git commit -q -m c",
    "detached": "git checkout -q --detach; git commit -q --allow-empty -m alone",
    "conflict": "git checkout -q -b o; echo a >README; git commit -qam a; git checkout -q -;"
    "echo b >README; git commit -qam b; git merge -q o || :",
}

CLEANS = {
    "clean": ("clean", "--yes"),
    "everything": ("clean", "--all", "--all-repos", "--older-than", "0s", "--yes"),
    "worktrees": ("worktree", "clean", "--all"),
    "sessions": ("sessions", "clean", "--older-than", "0s"),
}

# A clean in a process whose clock is ahead; in a namespace of its own, where something is hidden.
# Made here and not by unshare(1), so that it need not be an interpreter that starts: mount(2).
LATER = """
import ctypes, os, sys
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
hidden, passed = os.fsencode(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
for done in (
    libc.unshare(CLONE_NEWNS),
    libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None),
    libc.mount(b"none", hidden, b"tmpfs", ctypes.c_ulong(0), None),
):
    if done:
        sys.exit(f"not hidden: {os.strerror(ctypes.get_errno())}")
from prodigy_git.record import clock
real = clock.now
clock.now = lambda: real() + passed
from prodigy_git import cli
sys.exit(cli.run(sys.argv[3:]))
"""


class World:
    """A repository and a store in a folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repo = root / "repo"
        self.store = root / "store"

    def folder(self, name: str) -> Path:
        return self.store / "worktrees" / "repo" / name

    def private(self, name: str) -> Path:
        return self.repo / ".git" / "worktrees" / name


# Each takes something out of sight, and gives what brings it back.


def moved(world: World) -> Iterator[None]:
    if not world.folder("w1").exists():
        yield
        return
    world.folder("w1").rename(world.root / "away-w1")
    yield
    (world.root / "away-w1").rename(world.folder("w1"))


def unmounted(world: World) -> Iterator[None]:
    parent = world.folder("w1").parent
    parent.rename(world.root / "disk")
    parent.mkdir()
    yield
    back = world.root / "disk"
    for one in parent.iterdir():  # made meanwhile: nothing
        raise AssertionError(one)
    parent.rmdir()
    back.rename(parent)


def linked(world: World) -> Iterator[None]:
    world.store.rename(world.root / "bigdisk")
    world.store.symlink_to(world.root / "bigdisk")
    yield
    world.store.unlink()
    (world.root / "bigdisk").rename(world.store)


def worktrees_linked(world: World) -> Iterator[None]:
    (world.store / "worktrees").rename(world.root / "other disk")
    (world.store / "worktrees").symlink_to(world.root / "other disk")
    yield
    (world.store / "worktrees").unlink()
    (world.root / "other disk").rename(world.store / "worktrees")


def recloned(world: World) -> Iterator[None]:
    world.repo.rename(world.root / "old clone")
    sh(world.root, "git clone -q 'old clone' repo")
    yield
    shutil.rmtree(world.repo)
    (world.root / "old clone").rename(world.repo)


def repository_away(world: World) -> Iterator[None]:
    world.repo.rename(world.root / "repository's disk")
    world.repo.mkdir()
    yield
    world.repo.rmdir()
    (world.root / "repository's disk").rename(world.repo)


def registrations_away(world: World) -> Iterator[None]:
    """As where a container has the repository, without what is below .git/worktrees."""
    there = world.repo / ".git" / "worktrees"
    if not there.exists():
        yield
        return
    there.rename(world.root / "registrations")
    yield
    there.mkdir(exist_ok=True)
    for one in (world.root / "registrations").iterdir():
        assert not (there / one.name).exists()
        one.rename(there / one.name)


def nothing(world: World) -> Iterator[None]:
    yield


AWAY: dict[str, Callable[[World], Iterator[None]]] = {
    one.__name__: one
    for one in (
        moved, unmounted, linked, worktrees_linked, recloned, repository_away, registrations_away,
        nothing,
    )
}  # fmt: skip

cleans = st.lists(
    st.tuples(st.sampled_from(sorted(CLEANS)), st.sampled_from((0.0, 0.6, 1.2, 2.0))),
    min_size=2, max_size=4,
)  # fmt: skip
states = st.fixed_dictionaries(
    {
        "work": st.fixed_dictionaries(
            {n: st.lists(st.sampled_from(sorted(WORK)), max_size=3, unique=True) for n in NAMES}
        ),
        "ended": st.sets(st.sampled_from(NAMES)),
        "seen before": st.booleans(),
        "away": st.lists(st.tuples(st.sampled_from(sorted(AWAY)), cleans), min_size=1, max_size=2),
        "namespace": st.sampled_from(
            ("", "repo/.git/worktrees", "store/worktrees", "store/worktrees/repo")
        ),
    }
)


def _make(world: World, state: dict[str, Any]) -> None:
    world.repo.mkdir()
    sh(
        world.repo,
        "git init -q; echo '*.env' >.gitignore; echo r >README; git add .; git commit -qm start",
    )
    for name in NAMES:
        ok("new-worktree", name, "--job", "j", cwd=world.repo)
        script = "; ".join(WORK[one] for one in state["work"][name])
        sh(world.folder(name), f"exec >/dev/null 2>&1; set +e; {script or ':'}; :")
    for name in NAMES:
        ok("sessions", "show", name, cwd=world.repo)
        if name in state["ended"]:
            rewrite_session(
                world.store, name, status="Completed", completed_at=clock.stamp(clock.now())
            )


def _account(world: World, name: str) -> dict[str, Any]:
    top = world.folder(name)
    index = sh(top, "git ls-files -s; git ls-files -u")
    status = sh(top, "git status --porcelain=v2 --ignored")
    files = {
        path: (about[0], about[2])
        for path, about in files_of(top, skip=(".",)).items()
        if path not in (b".git",)
    }
    return {
        "files": files,
        "index": index,
        "status": status,
        "head": sh(top, "git rev-parse HEAD; git symbolic-ref -q HEAD || :"),
        "reflog": sh(top, "git reflog HEAD --format=%H:%gs"),
    }


def _run(world: World, time: Time, commands: list[tuple[str, float]], hidden: str) -> None:
    for command, days in commands:
        time.pass_days(days)
        cwd = world.repo if (world.repo / ".git").exists() else world.root
        done = call(*CLEANS[command], cwd=cwd)
        assert "internal error" not in done.err, done
        if hidden and (world.root / hidden).is_dir() and os.geteuid() == 0:
            words = [world.root / hidden, time.passed, *CLEANS["everything"]]
            ran = run_forked(
                [sys.executable, "-c", LATER, *map(str, words)],
                cwd=world.root, stdin=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("part", range(2))
def test_every_byte_is_there_again(
    part: int, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(state: dict[str, Any]) -> None:
        note(str(state))
        with monkeypatch.context() as patch:
            world = World(Path(tempfile.mkdtemp(dir=scratch)))
            patch.setenv("PRODIGY_HOME", str(world.store))
            time = Time(patch)
            _make(world, state)
            before = {name: _account(world, name) for name in NAMES}
            if state["seen before"]:
                call("clean", "--worktrees", "--older-than", "99d", "--yes", cwd=world.repo)
            for away, commands in state["away"]:
                undo = AWAY[away](world)
                next(undo)
                _run(world, time, commands, state["namespace"])
                next(undo, None)
            _run(world, time, [("clean", 0.0)], "")
            for name in NAMES:
                working = ["git", "-C", str(world.folder(name)), "status"]
                if (
                    not world.folder(name).exists()
                    or subprocess.run(working, check=False, capture_output=True).returncode
                ):
                    ok("worktree", "restore", name, cwd=world.repo)
                assert _account(world, name) == before[name], name
            sh(world.repo, "git fsck --connectivity-only 2>&1")
            for name in set(NAMES) - state["ended"]:
                assert '"Running"' in (world.store / "sessions" / f"{name}.json").read_text(), name
            shutil.rmtree(world.root)

    fixed = WANTED == EXAMPLES
    drawn = seed(part)(given(states)(check)) if fixed else given(states)(check)
    settings(
        max_examples=max(1, WANTED // 2), deadline=None, phases=[Phase.generate], database=None,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
    )(drawn)()  # fmt: skip
