"""A restore killed at each system call that changes something, and then taken up by the next command.

strace injects the kill (strace(1), ``inject``). Afterwards the worktree is either in the trash, from
where it can be restored, or back; in the end it is as it was, byte for byte, and said so once.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support_cli import environment, new, session_file
from support_faults import KILL, STOP, can_trace, compiled_copy, injected, run_traced
from support_restore import World, bring_back, difference, remove, seen, sh, whole

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import entry as entries

SHARED = Path("/dev/shm")
CALLS = ("rename", "mkdir", "rmdir", "unlink", "write", "utimensat", "chmod", "link")
"""What changes something; a kill at an fsync leaves what one at the next of these leaves."""
PROGRAM = f"""
import sys
sys.path.insert(0, sys.argv[1])
from prodigy_git.cleanup.restore.restore import restore
{STOP}
restore(sys.argv[2], 'w', to=sys.argv[3] or None, broken=print)
"""


pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: a restore that is killed; strace or ptrace is missing"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled_copy(tmp_path_factory.mktemp("package"))


class Subject:
    """A world whose worktree is in the trash, and that can be put back to that as often as wanted."""

    def __init__(self, repo: Path, store: Path, package: str, case: str) -> None:
        self.package = package
        self.case = case
        new(repo, "w", "--job", "j")
        self.world = World(repo, store, store / "worktrees/repo/w")
        script = (
            "git switch -q --detach; git commit -q --allow-empty -m lone; git switch -q -;"
            "printf 'm' >README; printf 's' >s; git add s; printf 'u' >u; mkdir e; ln u h;"
            "touch -d 2001-01-01 ."
        )
        sh(self.world.tree, script)
        self.to = ""
        if case == "another filesystem":
            self.to = str(SHARED / f"prodigy-{os.getpid()}" / "w")
        self.before = seen(self.world)
        self.session = session_file(store, "w")
        found = remove(self.world)
        if case == "emptied":
            shutil.rmtree(found.folder)
            shutil.rmtree(found.git)
            found.state = "emptied"
            entries.write(found)
        if case == "moved":
            sh(repo, "git update-ref refs/heads/prodigy-w main; git worktree add -q ../w")
        self.root = repo.parent
        for name in ("repo", "store"):
            sh(self.root, f"cp -a {name} kept-{name}")

    def reset(self) -> None:
        if self.to:
            shutil.rmtree(Path(self.to).parent, ignore_errors=True)
        sh(self.root, "rm -rf repo store; cp -a kept-repo repo; cp -a kept-store store")

    def run(self, *traced: str) -> subprocess.CompletedProcess[bytes]:
        program = ["-P", "-c", PROGRAM, self.package, str(self.world.store), self.to]
        return run_traced(program, traced, env=environment(), cwd=self.root)

    def points(self, scratch: Path) -> list[tuple[str, int]]:
        """Return (name, number) of the calls of a whole restore that touch the world."""
        output = scratch / "strace.txt"
        done = self.run("strace", "-y", "-o", str(output), "-e", f"trace={','.join(CALLS)}")
        assert done.returncode == 0, done
        found = []
        counts = dict.fromkeys(CALLS, 0)
        for line in output.read_text(errors="replace").splitlines():
            match = re.match(r"(\w+)\(", line)
            if match and match[1] in counts:
                counts[match[1]] += 1
                if f"{self.root}/" in line or (self.to and os.path.dirname(self.to) in line):
                    found.append((match[1], counts[match[1]]))
        return found

    def check(self) -> None:
        """Take up, restore if that took it back, and compare."""
        world, target = self.world, Path(self.to or self.world.tree)
        for text in interrupted.take_up(str(world.store), "repo", print):
            assert "interrupted" in text
        found = entries.entries(str(world.store), print)
        if found:
            assert found[0].state in ("trashed", "emptied")
            assert not (target / ".git").exists()
            bring_back(world, to=self.to or None)
        assert entries.entries(str(world.store), print) == []
        assert not list((world.repo / ".git/objects/pack").glob("*.keep"))
        assert not list((world.repo / ".git").glob("prodigy-salvage-*"))
        assert (world.repo / ".git/prodigy-salvage").exists() == (self.case == "emptied")
        now = World(world.repo, world.store, target)
        assert self.told() == 1
        assert session_file(world.store, "w")["status"] == self.session["status"]
        if self.case == "emptied":
            assert sh(target, "git status --porcelain") == " M README\nA  s\n?? h\n?? u"
            assert sh(target, "git symbolic-ref HEAD") == "refs/heads/prodigy-w"
            assert sh(world.repo, "git for-each-ref refs/prodigy")
            return
        after, before = seen(now), dict(self.before)
        del after["list"], before["list"]
        if self.case != "as it was":
            for one in (after, before):
                one["folder"] = {n: a for n, a in one["folder"].items() if n != b".git"}
                own = (b"HEAD", b"gitdir")
                one["private"] = {n: a for n, a in one["private"].items() if n not in own}
                del one["refs"]
        if self.case != "moved":
            assert sh(target, "git symbolic-ref HEAD") == "refs/heads/prodigy-w"
        assert difference(before, after) == []
        fields = session_file(world.store, "w")
        metadata = {**self.session["metadata"], "worktree_path": str(target)}
        assert {**fields, "updated_at": ""} == {
            **self.session, "metadata": metadata, "updated_at": "",
        }  # fmt: skip
        assert not sh(world.repo, "git for-each-ref refs/prodigy")
        assert not list((world.repo / ".git").glob("prodigy-trash/*"))

    def told(self) -> int:
        lines = [
            json.loads(line)
            for file in (self.world.store / "events/repo/j").glob("*.jsonl")
            for line in file.read_text().splitlines()
        ]
        events: list[Any] = [one for one in lines if one["type"] == "WorktreeRestored"]
        return len(events)


@pytest.mark.parametrize("case", ["as it was", "moved", "another filesystem", "emptied"])
def test_killed_anywhere(case: str, repo: Path, store: Path, package: str, tmp_path: Path) -> None:
    if case == "another filesystem" and not (
        SHARED.is_dir() and SHARED.stat().st_dev != tmp_path.stat().st_dev
    ):
        pytest.skip("NOT TESTED: another filesystem; /dev/shm is none")
    subject = Subject(repo, store, package, case)
    try:
        _kill_everywhere(subject, tmp_path)
    finally:
        subject.reset()


def _kill_everywhere(subject: Subject, tmp_path: Path) -> None:
    points = subject.points(tmp_path)
    subject.check()
    for needed in ("rename", "mkdir", "write", "unlink", "link"):
        assert needed in {name for name, _ in points}, "is the list of calls out of date?"
    for name, number in points:
        subject.reset()
        done = subject.run(*injected(name, f"{KILL}:when={number}"))
        assert done.returncode in (-9, 137), (name, number, done)
        try:
            subject.check()
        except BaseException:
            print(f"killed at {name} number {number}")
            raise
    whole(subject.world.repo)
