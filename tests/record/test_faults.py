"""The real hook, killed at each system call that changes something, and each such call failing.

strace injects the fault (strace(1), ``inject``). What counts are the calls that touch the store or
git's own directory: those of the interpreter's start come before and change nothing. After a fault
the hook exits with 0 (or was killed), the log parses, and after one more commit each commit is in
the log exactly once.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support_faults import KILL, can_trace, compiled_copy, injected, strace
from support_record import (
    SILENT,
    Templates,
    World,
    commit,
    commits,
    events,
    forked_hook,
    git,
    hookfiles,
    place,
    run,
    start_hook,
    write_hooks,
)

CALLS = {
    "openat": ("EACCES", "EROFS"),
    "write": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC",),
    "rename": ("EACCES", "ENOSPC"),
    "renameat2": ("EACCES",),
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "flock": ("ENOLCK",),
    "mkdir": ("EACCES", "ENOSPC"),
    "link": ("EACCES", "ENOSPC"),
    "linkat": ("EACCES",),
    "unlink": ("EACCES", "EROFS"),
    "ftruncate": ("EIO",),
}
"""Each system call that matters, and how it may fail."""

# A hook that registers makes many more calls, which fail alike: one error each is enough there.
FAULTS = [
    pytest.param(name, fault, fresh, id=f"{name}-{fault}-{'registering' if fresh else 'enrolled'}")
    for fresh in (False, True)
    for name, errors in CALLS.items()
    for fault in (KILL, *(f"error={error}" for error in (errors[-1:] if fresh else errors)))
]


pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: what faults do to a hook; strace or ptrace is missing"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled_copy(tmp_path_factory.mktemp("package"))


@pytest.fixture
def world(sealed: Path, tmp_path: Path, templates: Templates) -> World:
    write_hooks(sealed)
    return templates.copy("main", tmp_path)


def end_burst(top: Path) -> None:
    """Let the next hook write the session's checkpoint, however soon after the last it comes."""
    cursor = place(top).private + "/prodigy-cursor"
    if Path(cursor).exists():
        fields = json.loads(Path(cursor).read_text())
        Path(cursor).write_text(json.dumps({**fields, "noted": 0}) + "\n")


class Subject:
    """Where commits are made, and the hook that is to record each."""

    def __init__(self, world: World, package: str, *, fresh: bool) -> None:
        self.world = world
        self.package = package
        self.fresh = fresh
        self.top = world.top
        self.count = 0
        self.made: list[str] = []
        self.store = world.root / "fresh-store" if fresh else world.store

    def next(self) -> None:
        """Make a commit without the hook; where ``fresh``, in a worktree and a store never used."""
        self.count += 1
        if self.fresh:
            self.top = self.world.root / f"tree{self.count}"
            git("worktree", "add", "-q", self.top, cwd=self.world.top, **SILENT)
            self.store = self.world.root / f"store{self.count}"
            self.made.clear()
        else:
            end_burst(self.top)
        self.commit()

    def commit(self) -> None:
        self.made.append(commit(self.top, f"number {len(self.made)}", **SILENT))

    def hook(self, *traced: str) -> subprocess.CompletedProcess[bytes]:
        return forked_hook(self.top, traced=traced, PRODIGY_HOME=str(self.store))

    def started_hook(self, *before: str) -> subprocess.CompletedProcess[bytes]:
        store = str(self.store)
        return start_hook(self.top, before=before, package=self.package, PRODIGY_HOME=store)

    def check(self, *, start: Counter[str]) -> None:
        """Assert that each commit made is recorded, once, and none besides."""
        assert Counter(commits(self.store)) - start == Counter(self.made)
        ids = [event["id"] for event in events(self.store)]
        assert len(ids) == len(set(ids))


def calls(
    subject: Subject, names: str, scratch: Path, *, start: bool = False
) -> list[tuple[str, bool]]:
    """Return the calls that one hook makes: which, and whether on the store or the git directory.

    With ``start`` those of a process that git started, which `test_through_git` also looks into.
    """
    subject.next()
    output = scratch / "strace.txt"
    hook = subject.started_hook if start else subject.hook
    done = hook(*strace(names, output=str(output)))
    assert done.returncode == 0, done.stderr
    private = git("rev-parse", "--absolute-git-dir", cwd=subject.top)
    ours = (str(subject.store), private, str(subject.top / ".git"))
    return [
        (found[1], any(path in line for path in ours))
        for line in output.read_text().splitlines()
        if (found := re.search(rf"\b({names.replace(',', '|')})\(", line))
    ]


def occurrences(subject: Subject, name: str, scratch: Path, *, start: bool = False) -> list[int]:
    """Return which calls of ``name`` that one hook makes touch the store or the git directory."""
    found = calls(subject, name, scratch, start=start)
    return [at for at, (_, ours) in enumerate(found, 1) if ours]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_fork_makes_the_calls_of_a_hook(
    fresh: bool, world: World, package: str, tmp_path: Path
) -> None:
    subject = Subject(world, package, fresh=fresh)
    # Of two hooks one may come when a file is to be opened once more: what is the same is so mostly.
    for _ in range(4):
        started, forked = (
            [name for name, ours in calls(subject, ",".join(CALLS), tmp_path, start=start) if ours]
            for start in (True, False)
        )
        assert len(started) > 10
        if forked == started:
            return
    assert forked == started


def judge(done: subprocess.CompletedProcess[bytes], fault: str) -> None:
    if fault == KILL:
        assert done.returncode in (-9, 137), done
    else:
        assert done.returncode == 0, done
        assert done.stderr.count(b"\n") <= 1, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "fault", "fresh"), FAULTS)
def test_each_call(
    name: str, fault: str, fresh: bool, world: World, package: str, tmp_path: Path
) -> None:
    subject = Subject(world, package, fresh=fresh)
    start = Counter() if fresh else Counter(commits(world.store))
    points = occurrences(subject, name, tmp_path)
    if name in ("openat", "write", "rename", "flock", "fsync"):
        assert points, f"the hook makes no call of {name}: is the list of calls out of date?"
    for at in points:
        subject.next()
        done = subject.hook(*injected(name, f"{fault}:when={at}"))
        judge(done, fault)
        events(subject.store)  # parses
        subject.commit()
        done = subject.hook()
        assert (done.returncode, done.stderr) == (0, b"")
        subject.check(start=start)


@pytest.mark.parametrize("name", ["openat", "write", "rename", "flock", "fsync"])
def test_killed_again_while_catching_up(
    name: str, world: World, package: str, tmp_path: Path
) -> None:
    """A kill at every pair of calls of one name, with another writer's event in between."""
    subject = Subject(world, package, fresh=False)
    start = Counter(commits(world.store))
    points = occurrences(subject, name, tmp_path)
    for first in points[-4:]:
        for second in points[-4:]:
            subject.next()
            judge(subject.hook(*injected(name, f"{KILL}:when={first}")), KILL)
            log = next((world.store / "events").glob("*/*/*.jsonl"))
            with log.open("a") as stream:
                other = {"id": f"{first} {second} {subject.count}", "type": "Other"}
                stream.write(json.dumps(other) + "\n")
            subject.commit()
            end_burst(subject.top)
            killed = subject.hook(*injected(name, f"{KILL}:when={second}"))
            assert killed.returncode in (-9, 137, 0)
            subject.commit()
            assert subject.hook().returncode == 0
            subject.check(start=start)


@pytest.mark.parametrize("fault", [KILL, "error=EIO"])
@pytest.mark.parametrize("name", ["flock", "write", "rename", "fsync"])
def test_through_git(
    name: str, fault: str, world: World, package: str, sealed: Path, tmp_path: Path
) -> None:
    subject = Subject(world, package, fresh=False)
    at = occurrences(subject, name, tmp_path, start=True)[-1]
    python = tmp_path / "python"
    traced = strace(name, f"{fault}:when={at}")
    words = " ".join(f"'{word}'" for word in (*traced, sys.executable))
    python.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    python.chmod(0o755)
    hook = sealed.parent / "hooks" / "post-commit"
    whole = hook.read_bytes()
    hook.write_bytes(
        hookfiles.render("post-commit", [], hookfiles.Runtime(str(python), package, 1))
    )
    before = git("rev-parse", "HEAD", cwd=world.top)
    done = run("git", "commit", "-qm", "one", "--allow-empty", cwd=world.top, check=False)
    assert done.returncode == 0
    assert git("rev-parse", "HEAD^", cwd=world.top) == before
    assert b"Traceback" not in done.stderr
    hook.write_bytes(whole)
    commit(world.top, "two")
    assert [row.split("<")[0] for row in world.rows()] == [
        "commit number 0", "commit one", "commit two",
    ]  # fmt: skip
