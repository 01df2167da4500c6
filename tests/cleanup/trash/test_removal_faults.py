"""A removal killed at each system call that changes something, and each such call failing.

strace injects the fault. After a kill, garbage is collected, and the next command's `take_up` leaves
the worktree either whole where it was or whole in the trash; at no time is a file in neither. After a
call that failed, it is so at once.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support_cli import environment, new, session_file, snapshot
from support_faults import KILL, STOP, calls_on, can_trace, injected, run_traced, strace
from support_removal import (
    collect_garbage,
    commit,
    enrolled,
    existing,
    git,
    named_by,
    salvaged,
    staged_twice,
)

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import entry, removal

CALLS = {
    "openat": "EACCES",
    "write": "ENOSPC",
    "rename": "EIO",
    "mkdir": "ENOSPC",
    "unlink": "EACCES",
    "rmdir": "EACCES",
    "fsync": "EIO",
    "flock": "ENOLCK",
}
"""Each system call that matters, and how it may fail."""
# A kill before a file is opened, synced or locked leaves what one at the call before or behind leaves.
FAULTS = [(name, f"error={error}") for name, error in CALLS.items()] + [
    (name, KILL) for name in CALLS if name not in ("openat", "fsync", "flock")
]

REMOVE = f"""
import sys
from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import removal
from prodigy_git.errors import ProdigyError
from prodigy_git.record import enrolment, gitdir
{STOP}
store, top, branch = sys.argv[1:]
place = gitdir.find(top, {{}})
there = enrolment.read(place.private)
def broken(text):
    print("broken", text)
try:
    removal.remove(
        store, place, there, reasons=["dirty"], touched=True, delete_branch=branch, broken=broken
    )
except (ProdigyError, OSError) as error:
    print("refused", error)
"""
TAKE_UP = f"""
import sys
from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import removal
{STOP}
print(interrupted.take_up(sys.argv[1], "repo", print))
"""

pytestmark = pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: what faults do to a removal; strace or ptrace is missing"
)


class Subject:
    """A worktree in which work would be lost, and everything that tells of it."""

    def __init__(self, repo: Path, store: Path, name: str) -> None:
        self.repo, self.store, self.name = repo, store, name
        self.top = Path(new(repo, name, "--job", "j")["worktree"])
        self.place, self.enrolment = enrolled(self.top)
        commit(self.top, "mine", f"{name}\n")
        git("update-ref", "refs/worktree/own", commit(self.top, "lost", f"{name}\n"), cwd=self.top)
        git("reset", "-q", "--hard", "HEAD~", cwd=self.top)
        staged_twice(self.top)
        (self.top / "untracked").write_text(f"{name}\n")
        self.branch = f"prodigy-{name}"
        self.named = named_by(self.place)
        self.session = session_file(store, name)["status"]
        self.folder = self._folder(self.top)
        self.refs = self._refs()
        self.look()

    def look(self) -> None:
        """Remember what is in the private directory, which may be a copy."""
        self.private = self._private(self.place.private)

    def keep(self, kept: Path) -> None:
        """Keep all of it, as it is now, for `reset`."""
        kept.mkdir()
        subprocess.run(["cp", "-a", self.repo, self.store, kept], check=True)

    def reset(self, kept: Path) -> None:
        """Put it back to what `keep` has kept."""
        for folder in (self.repo, self.store):
            shutil.rmtree(folder)
        copied = [kept / self.repo.name, kept / self.store.name]
        subprocess.run(["cp", "-a", *copied, self.repo.parent], check=True)
        # An enrolment that names another folder is that of a worktree that was moved.
        path = Path(self.place.private, "prodigy")
        inode = f'"inode":{path.parent.stat().st_ino}'
        path.write_text(re.sub(r'"inode":\d+', inode, path.read_text()))
        self.look()

    def _folder(self, top: Path | str) -> dict[str, object]:
        return {
            os.path.relpath(path, top).replace(entry.DISABLED, ".git"): state
            for path, state in snapshot(Path(top)).items()
        }

    def _private(self, private: str) -> dict[str, object]:
        # The cursor moves on, and only it.
        return {
            os.path.relpath(path, private): state
            for path, state in snapshot(Path(private)).items()
            if not path.endswith(("/prodigy-cursor", "/locked"))
        }

    def _refs(self) -> str:
        return git("for-each-ref", "refs/heads", "refs/prodigy", cwd=self.repo)

    def run(self, script: str, *traced: str) -> subprocess.CompletedProcess[str]:
        program = ["-c", script, str(self.store), str(self.top), self.branch]
        done = run_traced(program, traced, env=environment(), cwd=self.repo)
        texts = (done.stdout.decode(), done.stderr.decode())
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def trash(self) -> list[entry.Entry]:
        said: list[str] = []
        found = entry.entries(str(self.store), said.append, "repo", self.name)
        assert said == []
        return found

    def somewhere(self) -> None:
        """Assert that each file is in the worktree or in the trash."""
        places = [self.top, *self.store.glob(f"trash/repo/{self.name}/*/worktree")]
        assert any(self._folder(place) == self.folder for place in places if place.is_dir())
        privates = [self.place.private, *map(str, self.store.glob(f"trash/repo/{self.name}/*/git"))]
        assert any(
            self._private(place) == self.private for place in privates if os.path.isdir(place)
        )

    def judge(self, events) -> bool:
        """Assert that it is whole in one of the two places; return whether it is in the trash."""
        cleaned = [
            e
            for e in events("j")
            if e["type"] == "WorktreeCleaned" and e["session_id"] == self.name
        ]
        if self.top.exists():
            assert existing(self.repo, self.named) == self.named
            assert self._folder(self.top) == self.folder
            assert self._private(self.place.private) == self.private
            assert not os.path.exists(f"{self.place.private}/locked")
            assert self._refs() == self.refs
            assert list(self.store.glob(f"trash/repo/{self.name}/*")) == []
            assert list(self.repo.glob(f".git/prodigy-salvage*/{self.name}")) == []
            assert list(self.repo.glob(".git/prodigy-salvage-*")) == []
            assert cleaned == []
            assert session_file(self.store, self.name)["status"] == self.session
            assert "README" in git("status", "--porcelain", cwd=self.top)
            return False
        (found,) = self.trash()
        assert (found.state, found.settled) == ("trashed", True)
        assert self._folder(found.folder) == self.folder
        assert self._private(found.git) == self.private
        assert not os.path.exists(self.place.private)
        assert existing(self.repo, self.named, found.salvage_ref) == self.named
        assert list(self.repo.glob(".git/prodigy-salvage-*")) == []
        sha, more = salvaged(self.repo, found.salvage_ref)
        git("rev-list", "--objects", sha, cwd=self.repo, **more)
        assert git("show", f"{sha}:untracked", cwd=self.repo, **more) == self.name
        assert found.branch_deleted == self.branch
        assert self.branch not in self._refs()
        assert [one["salvage_ref"] for one in cleaned] == [found.salvage_ref]
        fields = session_file(self.store, self.name)
        assert fields["metadata"]["trash_path"] == found.path
        assert fields["status"] == "Cancelled"
        commits = [
            e for e in events("j") if e["type"] == "CommitCreated" and e["session_id"] == self.name
        ]
        assert len({one["commit"] for one in commits}) == len(commits) == 2
        return True

    def remove_at_last(self) -> None:
        if self.top.exists():
            assert self.run(REMOVE).stdout == ""


@pytest.fixture
def subjects(repo, store, git, tmp_path):
    """Give a worktree, and the same one again as it was, as often as it is asked for.

    Nothing else names what it names: all that others of its kind held would be safe from git.
    """
    git("config", "prodigy.autoRegister", "false", cwd=repo)
    git("config", "gc.reflogExpire", "never", cwd=repo)  # gc would rewrite the journal
    git("config", "gc.reflogExpireUnreachable", "never", cwd=repo)
    Subject(repo, store, "w0").run(REMOVE)  # so that bytecode and locks are there
    subject = Subject(repo, store, "w1")
    subject.keep(tmp_path / "kept")

    def make() -> Subject:
        subject.reset(tmp_path / "kept")
        return subject

    return make


def occurrences(subject: Subject, name: str, script: str, scratch: Path) -> list[int]:
    output = scratch / "strace.txt"
    done = subject.run(script, *strace(name, output=str(output)))
    assert (done.returncode, done.stderr) == (0, "")
    paths = (str(subject.store), str(subject.top), subject.place.private, subject.place.common)
    return calls_on(output, name, paths)


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_each_call(name, fault, subjects, repo, tmp_path, events):
    points = occurrences(subjects(), name, REMOVE, tmp_path)
    if name not in ("rmdir", "unlink"):
        assert points, f"a removal makes no call of {name}: is the list of calls out of date?"
    ends = set()
    for at in points:
        subject = subjects()
        done = subject.run(REMOVE, *injected(name, f"{fault}:when={at}"))
        assert "Traceback" not in done.stderr, (at, done.stderr)
        if fault == KILL:
            assert done.returncode in (-9, 137), at
            subject.somewhere()
            collect_garbage(repo)
        elif done.stdout.startswith("refused") and "could not be taken back" not in done.stdout:
            assert not subject.judge(events), (at, done.stdout)
            continue
        said: list[str] = []
        interrupted.take_up(str(subject.store), "repo", said.append)
        assert said == [], at
        ends.add(subject.judge(events))
    if name in ("rename", "write") and fault == KILL:
        assert ends == {True, False}


@pytest.mark.parametrize(("name", "points"), [("rename", slice(2, 6)), ("write", slice(3, 5))])
def test_killed_again_while_it_is_taken_up(name, points, subjects, repo, tmp_path, events):
    """The first kill at the renames of private directory, folder, ``.git`` and document."""
    first = occurrences(subjects(), "rename", REMOVE, tmp_path)
    for at in first[points]:
        second = 0
        while True:
            second += 1
            subject = subjects()
            subject.run(REMOVE, *injected("rename", f"{KILL}:when={at}"))
            done = subject.run(TAKE_UP, *injected(name, f"{KILL}:when={second}"))
            subject.somewhere()
            collect_garbage(repo)
            said: list[str] = []
            interrupted.take_up(str(subject.store), "repo", said.append)
            assert said == []
            subject.judge(events)
            if done.returncode == 0:
                break


def test_taken_back_beside_a_successor_of_the_same_name(subjects):
    """A worktree of the same name, made while the private directory was away, keeps its own."""
    found = None
    for at in range(1, 20):
        subject = subjects()
        subject.run(REMOVE, *injected("rename", f"{KILL}:when={at}"))
        (found,) = subject.trash() or [None]
        if found is not None and os.path.isdir(found.git):
            break
    assert found is not None
    other = subject.repo.parent / subject.name
    git("worktree", "add", "-q", "-b", "other", other, cwd=subject.repo)
    assert os.path.isdir(subject.place.private)
    said: list[str] = []
    interrupted.take_up(str(subject.store), "repo", said.append)
    assert said == []
    assert subject._folder(subject.top).keys() == subject.folder.keys()
    for tree, branch in ((subject.top, subject.branch), (other, "other")):
        assert git("branch", "--show-current", cwd=tree) == branch
    place, there = enrolled(subject.top)
    assert place.private != subject.place.private
    removal.remove(
        str(subject.store),
        place,
        there,
        reasons=["x"],
        touched=True,
        delete_branch=None,
        broken=said.append,
    )
    assert said == []
    assert git("status", "--porcelain", cwd=other) == ""
