"""Making space on a disk that has none left: tmpfs and ext4, as root and as somebody else."""

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_cli import environment
from support_forkserver import run_forked
from support_trash import NOBODY, as_user

SIZE = 24  # MiB
OLD = "2025-01-11T12:00:00Z"
FILL = """
import os, sys
at = 0
for size in (1 << 20, 4096, 1):
    try:
        with open(f"{sys.argv[1]}/fill{size}", "wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * size)
    except OSError as error:
        print(error.errno)
"""

pytestmark = pytest.mark.skipif(
    os.getuid() != 0, reason="NOT TESTED: full disks; mounting one takes root"
)


class World:
    """A repository, and a store on a small disk; commands run as ``user``."""

    def __init__(self, top: Path, kind: str, user: int) -> None:
        self.top, self.kind, self.user = top, kind, user
        self.elsewhere = top / "large"
        self.mounts: list[Path] = []
        self.home = top / "home"
        self.home.mkdir()
        shutil.copy(Path(os.environ["HOME"]) / ".gitconfig", self.home)
        os.chown(self.home, user, user)
        self.env = {
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": f"{self.home}/.gitconfig",
            "XDG_CONFIG_HOME": f"{self.home}/.config",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def disk(self, name: str) -> Path:
        """Mount a small disk; return where."""
        folder = self.top / name
        folder.mkdir()
        if self.kind == "tmpfs":
            command = f"mount -t tmpfs -o size={SIZE}m,nr_inodes=1500 none {folder}"
        else:
            image = self.top / f"{name}.img"
            command = (
                f"truncate -s {SIZE}m {image} && mkfs.ext4 -q -m 0 -N 1500 {image} && "
                f"mount -o loop {image} {folder}"
            )
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED: a full {self.kind} ({done.stderr.strip()})")
        self.mounts.append(folder)
        os.chown(folder, self.user, self.user)
        return folder

    def begin(self, store: Path, repo: Path) -> None:
        self.store, self.repo = store / "store", repo / "repo"
        self.env["PRODIGY_HOME"] = str(self.store)
        self.run("git", "init", "-q", self.repo, cwd=repo)
        (self.repo / ".git" / "info" / "exclude").write_text("*.ignored\n")
        self.git("commit", "-q", "--allow-empty", "-m", "Start")
        self.pg("install")

    def run(self, *command: str | Path, cwd: Path, code: int | None = 0):
        done = run_forked(
            [*as_user(self.user), *map(str, command)], cwd=cwd,
            env=environment(**self.env), text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert code in (None, done.returncode), (command, done)
        assert "Traceback" not in done.stderr, done
        assert "internal error" not in done.stderr, done
        return done

    def git(self, *arguments: str, code: int | None = 0) -> str:
        return self.run("git", *arguments, cwd=self.repo, code=code).stdout.strip()

    def pg(self, *arguments: str, code: int | None = 0):
        return self.run(sys.executable, "-m", "prodigy_git", *arguments, cwd=self.repo, code=code)

    def new(self, name: str, size: int = 4, *, ended: bool = True) -> Path:
        """Make a worktree with so many MiB that git ignores."""
        made = Path(self.pg("new-worktree", name, "--job", "j").stdout.strip())
        (made / "big.ignored").write_bytes(os.urandom(size << 20))
        if ended:
            self.pg("finish", name)
        return made

    def removed(self, name: str, size: int = 4) -> None:
        self.new(name, size)
        self.pg("worktree", "clean", name)

    def fill(self) -> None:
        """Use up every byte of each disk."""
        for disk in self.mounts:
            done = self.run(sys.executable, "-c", FILL, disk, cwd=self.top)
            assert str(errno.ENOSPC) in done.stdout.split()
            assert self.free(disk) < 4096

    def free(self, disk: Path) -> int:
        about = os.statvfs(disk)
        return about.f_bavail * about.f_frsize

    def listed(self) -> dict[str, str]:
        rows = json.loads(self.pg("trash", "list", "--json").stdout)
        return {row["session_id"]: row["state"] for row in rows}


def worlds(kind: str, user: int) -> Iterator[World]:
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory(prefix="prodigy-full-") as top:
        os.chmod(top, 0o755)
        made = World(Path(top), kind, user)
        made.elsewhere.mkdir()
        os.chown(made.elsewhere, user, user)
        try:
            yield made
        finally:
            for mount in made.mounts:
                subprocess.run(["umount", "--lazy", mount], check=True)


@pytest.fixture(params=[("tmpfs", 0), ("ext4", NOBODY)], ids=["tmpfs-root", "ext4-user"])
def world(request) -> Iterator[World]:
    yield from worlds(*request.param)


@pytest.fixture(
    params=[("tmpfs", 0, "store"), ("ext4", NOBODY, "one"), ("tmpfs", NOBODY, "two")],
    ids=["tmpfs-root-store", "ext4-user-one", "tmpfs-user-two"],
)
def full(request) -> Iterator[World]:
    """The store's disk will be full: of the store only; of both, which is one disk; or two."""
    kind, user, which = request.param
    for made in worlds(kind, user):
        disk = made.disk("disk")
        repo = {"store": made.elsewhere, "one": disk}.get(which) or made.disk("second")
        made.begin(disk, repo)
        yield made


def test_trash_empty(full):
    full.removed("a")
    full.removed("b")
    full.fill()
    advice = full.pg("doctor", code=1).stdout
    assert (
        "No space left on device ('prodigy-git trash empty' deletes 2 removed worktrees" in advice
    )
    done = full.pg("trash", "empty", "--yes")
    assert "a: deleted for good" in done.stdout
    assert "2 removed worktrees, 8." in done.stderr
    assert full.free(full.mounts[0]) > 8 << 20
    assert full.listed() == {}


@pytest.mark.parametrize("options", [("--trash",), ("--all",), ()])
def test_clean_of_what_has_expired(full, options):
    full.removed("a")
    full.new("b", 1)
    full.git("config", "prodigy.trashRetention", "0s")
    full.fill()
    full.pg("clean", *options, "--yes")
    if options == ():  # in the background
        done = full.pg("trash", "empty", "--yes")
        assert done.stderr
    assert full.free(full.mounts[0]) > 4 << 20
    assert full.listed() == {}


@pytest.mark.parametrize("state", ["clean", "dirty"])
def test_purge(full, state):
    made = full.new("a")
    if state == "dirty":
        (made / "work").write_text("uncommitted\n")
    full.fill()
    kept = full.pg("worktree", "clean", "-f", "a", code=1)
    assert "No space left on device" in kept.stdout
    assert "worktree clean --purge NAME'" in kept.stdout
    assert (made / "big.ignored").exists()
    done = full.pg("worktree", "clean", "-f", "--purge", "--yes", "a")
    assert "a: deleted for good" in done.stdout
    assert not made.exists()
    assert full.free(full.mounts[0]) > 3 << 20
    listed = full.listed()
    assert listed == ({"a": "emptied"} if state == "dirty" else {})
    if state == "dirty":
        (ref,) = full.git("for-each-ref", "--format=%(refname)", "refs/prodigy").split()
        (about,) = (full.repo / ".git" / "prodigy-salvage").glob("*/*/about")
        commit = about.read_text().splitlines()[1].removeprefix("commit ")
        full.env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(about.parent)
        assert full.git("show", f"{commit}:work") == "uncommitted"
        del full.env["GIT_ALTERNATE_OBJECT_DIRECTORIES"]
        assert ref.startswith("refs/prodigy/salvage/a/")
    events = [json.loads(line)["type"] for path in full.store.glob("events/*/j/*.jsonl")
              for line in path.read_text().splitlines()]  # fmt: skip
    assert events.count("WorktreeCleaned") == 1
    full.git("fsck", "--strict")


def test_with_nothing_in_the_trash_doctor_names_what_is_done_with(full):
    made = full.new("a")
    full.new("young")
    session = full.store / "sessions" / "a.json"
    fields = json.loads(session.read_text())
    session.write_text(json.dumps({**fields, "started_at": OLD, "completed_at": OLD}))
    full.fill()
    (line,) = re.findall(r"error  store: .*", full.pg("doctor", code=1).stdout)
    (command,) = re.findall(r"'prodigy-git (.*?)'", line)
    # An ordinary user cannot see whether somebody is in there, where a file is younger than the end.
    assert command == f"worktree clean --purge {'NAME' if full.user else 'a'}"
    full.pg(*shlex.split(command.replace("NAME", "a")), "--yes")
    assert not made.exists()
    assert full.free(full.mounts[0]) > 3 << 20


def test_purge_again_and_again(full):
    """The reserve is made again, out of what it freed."""
    for name in ("a", "b", "c"):
        full.new(name, 3)
    for name in ("a", "b", "c"):
        full.fill()
        full.pg("worktree", "clean", "--purge", "--yes", name)
    assert full.listed() == {}


def test_work_that_finds_no_place_is_not_deleted(world):
    """The salvage ref cannot hold it: refused, in one line that says what to do."""
    disk = world.disk("disk")
    world.begin(disk, disk)
    made = world.new("a", 1)
    (made / "work").write_bytes(os.urandom(3 << 20))
    world.removed("old", 9)  # what is salvaged is there twice for a moment
    world.fill()
    refs = world.git("for-each-ref")
    done = world.pg("worktree", "clean", "-f", "--purge", "--yes", "a", code=1)
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("a: failed (")
    assert len((made / "work").read_bytes()) == 3 << 20
    assert world.git("for-each-ref") == refs
    assert world.run("git", "status", "--porcelain", cwd=made).stdout == "?? work\n"
    # What it says helps.
    (command,) = re.findall(r"'prodigy-git (.*?)'", done.stdout)
    world.pg(*shlex.split(command), "--yes")
    world.pg("worktree", "clean", "-f", "--purge", "--yes", "a")
    world.pg("worktree", "restore", "a")
    assert len((made / "work").read_bytes()) == 3 << 20


def test_without_lock_files(full):
    """They are not there, in a copy of a store say, and cannot be made: no reason not to delete."""
    full.removed("a")
    shutil.rmtree(full.store / "locks")
    full.fill()
    full.pg("trash", "empty", "--yes")
    assert full.listed() == {}


def test_without_inodes(world):
    disk = world.disk("disk")
    world.begin(disk, world.elsewhere)
    world.removed("a", 1)
    world.new("b", 1)
    shutil.rmtree(world.store / "locks")
    world.run(
        sys.executable, "-c",
        "import sys, itertools\n"
        "try:\n"
        "    for n in itertools.count(): open(f'{sys.argv[1]}/{n}', 'x').close()\n"
        "except OSError as error: print(error)",
        disk, cwd=world.top,
    )  # fmt: skip
    assert os.statvfs(disk).f_favail == 0 or world.free(disk) < 65536
    world.pg("worktree", "clean", "--purge", "--yes", "b")
    world.pg("trash", "empty", "--yes")
    assert world.listed() == {}
