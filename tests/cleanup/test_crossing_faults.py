"""Removals and restores across filesystems, killed at each system call that changes something.

Either the store is on another filesystem than the repository, or everything is in the lower layer of
overlayfs, where folders have to be copied. After each kill the next command takes it up; then the
worktree is whole in one of the two places, and after a restore it is as it was.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_cli import environment, new
from support_faults import KILL, STOP, can_trace, injected, run_traced
from support_restore import World, bring_back, difference, remove, seen, sh, whole

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.cleanup.trash import entry as entries

SHARED = Path("/dev/shm")
CALLS = ("rename", "mkdir", "rmdir", "unlink", "unlinkat", "link", "symlink")
REMOVE = f"""
import sys
from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import removal
from prodigy_git.record import enrolment, gitdir
{STOP}
place = gitdir.find(sys.argv[2], {{}})
removal.remove(
    sys.argv[1], place, enrolment.read(place.private), reasons=[], touched=True, delete_branch=None,
    broken=print,
)
"""
RESTORE = f"""
import sys
from prodigy_git.cleanup.restore.restore import restore
{STOP}
restore(sys.argv[1], 'w', to=None, broken=print)
"""
CAN_MOUNT = (
    os.geteuid() == 0
    and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
)

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: a crossing that is killed; strace or ptrace is missing"
)


class Apart:
    """The store is a link to another filesystem; its ``trash`` may be a link back to the first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.far = SHARED / f"prodigy-faults-{os.getpid()}"
        self.far.mkdir()

    def keep(self) -> None:
        """Make what there is now what `reset` brings back."""
        sh(self.root, "rm -rf kept; mkdir -p trash kept; cp -a repo store/ trash kept/")
        self.reset()

    def reset(self) -> None:
        erase(str(self.far / "store"))
        sh(self.root, "rm -rf repo store trash; cp -a kept/repo kept/trash .")
        sh(self.root, f"cp -a kept/store {self.far}/store")
        sh(self.root, f"ln -s {self.far}/store store")

    def end(self) -> None:
        erase(str(self.far))


class Layers:
    """Everything is in the lower layer of overlayfs; each reset begins with an empty upper one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounted = False

    def keep(self) -> None:
        sh(self.root.parent, f"rm -rf kept; mkdir kept; cp -a {self.root}/. kept/")
        self.reset()

    def reset(self) -> None:
        self.end()
        above = self.root.parent
        sh(above, "rm -rf up work; mkdir up work")
        layers = f"lowerdir={above}/kept,upperdir={above}/up,workdir={above}/work"
        sh(above, f"mount -t overlay overlay -o {layers} {self.root}")
        self.mounted = True

    def end(self) -> None:
        if self.mounted:
            sh("/", f"umount -l {self.root}")
            self.mounted = False


@pytest.fixture(params=["another filesystem", "overlay"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Apart | Layers]:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("PRODIGY_HOME", str(root / "store"))
    if request.param == "overlay":
        if not CAN_MOUNT:
            pytest.skip("NOT TESTED: overlayfs; this user makes no mounts")
        made: Apart | Layers = Layers(root)
    elif not SHARED.is_dir() or SHARED.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("NOT TESTED: another filesystem; /dev/shm is none")
    else:
        made = Apart(root)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def world(ground: Apart | Layers) -> World:
    repo = ground.root / "repo"
    sh(ground.root, "git init -q repo; cd repo; echo x >README; git add .; git commit -qm 1")
    new(repo, "w", "--job", "j")
    found = World(repo, ground.root / "store", ground.root / "store/worktrees/repo/w")
    sh(found.tree, "printf m >README; printf s >s; git add s; mkdir e; printf u >e/u; ln e/u h")
    return found


def never(text: str) -> None:
    raise AssertionError(text)


def _run(world: World, script: str, *traced: str) -> subprocess.CompletedProcess[bytes]:
    program = ["-P", "-c", script, str(world.store), str(world.tree)]
    return run_traced(program, traced, env=environment(), cwd=world.repo.parent)


def _points(world: World, script: str, scratch: Path) -> list[tuple[str, int]]:
    """Return (name, number) of the calls of a whole run that change something in the world."""
    output = scratch / "strace.txt"
    done = _run(world, script, "strace", "-y", "-o", str(output), "-e", f"trace={','.join(CALLS)}")
    assert (done.returncode, done.stdout) == (0, b""), done
    counts = dict.fromkeys(CALLS, 0)
    found = []
    for line in output.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match and match[1] in counts:
            counts[match[1]] += 1
            # One of four where a whole folder is deleted. A kill where a file is made or written,
            # which these leave out, leaves what one at the next name leaves.
            many = match[1] in ("unlink", "unlinkat", "link") and counts[match[1]] % 4
            if not many and f"{world.repo.parent}/" in line:
                found.append((match[1], counts[match[1]]))
    return found


def _somewhere(world: World) -> str:
    """Return where all of the folder is, whatever else is of it elsewhere."""
    places = [
        world.tree,
        *world.store.glob("trash/repo/w/*/worktree"),
        *world.store.glob("trash/repo/w/*/.prodigy-*"),
        *world.tree.parent.glob(".prodigy-*"),
        *world.repo.glob(".git/prodigy-trash/*-worktree"),
        *world.repo.glob(".git/prodigy-trash/.prodigy-*"),
    ]
    contents = {"README": "m", "s": "s", "e/u": "u", "h": "u"}
    for place in places:
        if all((place / name).is_file() for name in contents):
            assert {name: (place / name).read_text() for name in contents} == contents
            return str(place)
    raise AssertionError(f"in none of {places}")


@pytest.mark.parametrize("what", ["removal", "restore", "emptied"])
def test_killed_anywhere(ground: Apart | Layers, world: World, what: str, tmp_path: Path) -> None:
    if isinstance(ground, Apart) and what != "emptied":
        (ground.root / "trash").mkdir()
        (world.store / "trash").symlink_to(ground.root / "trash")
        ground.keep()
    before = seen(world)
    if what != "removal":
        found = remove(world)
        if what == "emptied":
            shutil.rmtree(found.folder)
            shutil.rmtree(found.git)
            found.state = "emptied"
            entries.write(found)
    ground.keep()
    if what == "removal":
        before = seen(world)  # a copy of it has other times in the private directory
    script = REMOVE if what == "removal" else RESTORE
    points = _points(world, script, tmp_path)
    assert {"rename", "mkdir"} <= {name for name, _ in points}
    if what != "emptied" or isinstance(ground, Apart):  # what is made anew can be renamed
        assert ".copying" in (tmp_path / "strace.txt").read_text(), "nothing crossed"
    ends = set()
    for name, number in points:
        ground.reset()
        done = _run(world, script, *injected(name, f"{KILL}:when={number}"))
        assert done.returncode in (-9, 137), (name, number, done)
        try:
            if what != "emptied":
                _somewhere(world)
            ends.add(_take_up(world, before, what))
        except BaseException:
            print(f"killed at {name} number {number} of {len(points)}")
            raise
    assert ends == {True, False}
    whole(world.repo)


def _take_up(world: World, before: dict[str, object], what: str) -> bool:
    """Take up what was killed, bring the worktree back and compare; return whether it was there."""
    interrupted.take_up(str(world.store), "repo", lambda text: None)
    found = entries.entries(str(world.store), never)
    here = os.path.lexists(world.tree / ".git")
    states = {one.state for one in found}
    assert states <= (set() if here else {"trashed", what} - {"removal", "restore"})
    if not here:
        bring_back(world)
    assert entries.entries(str(world.store), never) == []
    for folder in (
        world.tree.parent, world.repo / ".git" / "worktrees", world.repo / ".git" / "prodigy-trash"
    ):  # fmt: skip
        assert set(os.listdir(folder) if folder.is_dir() else []) <= {"w", ".metadata"}
    if what == "emptied":
        assert sh(world.tree, "git status --porcelain") == " M README\nA  s\n?? e/\n?? h"
    else:
        assert difference(before, seen(world)) == []
    return here
