"""A branch that is removed alone: by compare-and-swap, held until its time is over, at any kill."""

import os
from pathlib import Path

import pytest
from support_cli import environment, new, ok
from support_faults import KILL, STOP, calls_on, can_trace, injected, run_traced, strace
from support_removal import commit, git

from prodigy_git.cleanup import interrupted
from prodigy_git.cleanup.trash import branch_removal, emptying, entry, expiry, together
from prodigy_git.errors import ProdigyError
from prodigy_git.store import sessions


class Left:
    """A session that has ended, and its branch, that no other ref reaches."""

    def __init__(self, repo: Path, store: Path, name: str) -> None:
        self.repo, self.store, self.name = repo, store, name
        top = Path(new(repo, name, "--job", "j")["worktree"])
        self.tip = commit(top, "mine", f"{name}\n")
        ok("finish", name, cwd=repo)
        git("worktree", "remove", "--force", top, cwd=repo)
        self.branch, self.common = f"prodigy-{name}", f"{repo}/.git"
        self.session = sessions.load(str(store), name)

    def remove(self, tip: str | None = None) -> entry.Entry:
        return branch_removal.remove(
            str(self.store), self.session, self.common, self.branch, tip or self.tip, ["old"],
            pytest.fail,
        )  # fmt: skip

    def entries(self) -> list[entry.Entry]:
        return entry.entries(str(self.store), pytest.fail, "repo", self.name)

    def is_there(self) -> bool:
        ref = f"refs/heads/{self.branch}"
        return git("for-each-ref", "--format=%(objectname)", ref, cwd=self.repo) == self.tip

    def kept(self) -> list[Path]:
        refs = git("for-each-ref", f"refs/prodigy/salvage/{self.name}/", cwd=self.repo)
        folders = list(self.repo.glob(f".git/prodigy-salvage*/{self.name}"))
        return [*folders, *self.repo.glob(f".git/prodigy-salvage-{self.name}-*")] + (
            [Path(refs)] if refs else []
        )

    def judge(self) -> bool:
        """Assert that it is where it was, or removed and held; return whether it is removed."""
        if self.is_there():
            assert self.entries() == []
            assert self.kept() == []
            return False
        (found,) = self.entries()
        assert (found.state, found.settled, found.branch_deleted) == ("trashed", True, self.branch)
        git("reflog", "expire", "--expire=now", "--all", cwd=self.repo)
        git("gc", "-q", "--prune=now", cwd=self.repo)
        ok("worktree", "restore", self.name, cwd=self.repo)
        assert self.is_there()
        assert self.kept() == []
        return True


@pytest.fixture
def left(repo, store):
    return Left(repo, store, "w1")


def test_one_that_has_moved_or_is_checked_out_stays(left, tmp_path):
    tree = git("rev-parse", f"{left.tip}^{{tree}}", cwd=left.repo)
    moved = git("commit-tree", "-m", "more", "-p", left.tip, tree, cwd=left.repo)
    with pytest.raises(ProdigyError, match="was not deleted"):
        left.remove(moved)
    assert not left.judge()
    git("worktree", "add", "-q", tmp_path / "out", left.branch, cwd=left.repo)
    with pytest.raises(ProdigyError, match="checked out"):
        left.remove()
    assert not left.judge()


def test_it_is_in_the_trash_and_no_push_publishes_it(left, tmp_path):
    found = left.remove()
    assert found.branch_only
    (shown,) = ok("trash", "list", "--json", cwd=left.repo).json
    assert (shown["branch"], shown["branch_only"], shown["state"]) == (
        left.branch, True, "trashed",
    )  # fmt: skip
    git("clone", "-q", "--mirror", f"file://{left.repo}", tmp_path / "mirror.git", cwd=tmp_path)
    known = git("cat-file", "--batch-all-objects", "--batch-check", cwd=tmp_path / "mirror.git")
    assert left.tip not in known
    assert left.judge()


def test_its_time_ends_as_a_worktrees_and_then_it_is_gone(left):
    found = left.remove()
    git("config", "prodigy.trashRetention", "0s", cwd=left.repo)
    plan = expiry.plan(str(left.store), pytest.fail)
    assert [one.path for one in plan.entries] == [found.path]
    emptying.empty_now(plan.entries, pytest.fail)
    assert left.entries() == []
    assert left.kept() == []
    assert not left.is_there()


def test_one_that_was_brought_back_by_hand_has_its_whole_time_again(left):
    first = left.remove()
    git("branch", left.branch, left.tip, cwd=left.repo)
    second = left.remove()
    assert [one.path for one in left.entries()] == [first.path, second.path]
    emptying.empty_now([first], pytest.fail)
    assert left.judge()


def test_where_git_does_not_say_whether_it_is_there_it_is_left_for_later(left):
    found = left.remove()
    found.state, found.settled, found.branch_deleted = "moving", False, None
    entry.write(found)
    git("branch", left.branch, left.tip, cwd=left.repo)
    head = left.repo / ".git" / "HEAD"
    text = head.read_bytes()
    head.unlink()
    with pytest.raises(ProdigyError, match="does not say whether"):
        branch_removal.resume(found)
    head.write_bytes(text)
    assert [one.state for one in left.entries()] == ["moving"]
    branch_removal.resume(found)
    assert not left.judge()


def test_what_a_rebase_will_move_is_checked_out(left, tmp_path):
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", "--detach", tree, cwd=left.repo)
    private = left.repo / ".git" / "worktrees" / "tree" / "rebase-merge"
    private.mkdir()
    assert not together.checked_out(left.common, {left.branch})
    (private / "update-refs").write_text(
        f"refs/heads/x\n{left.tip}\n{left.tip}\nrefs/heads/{left.branch}\n{left.tip}\n{left.tip}\n"
    )
    assert together.checked_out(left.common, {left.branch})
    assert not together.checked_out(left.common, {left.branch[:-1]})


REMOVE = f"""
import sys
from prodigy_git.cleanup.trash import branch_removal
from prodigy_git.errors import ProdigyError
from prodigy_git.store import sessions
{STOP}
store, name, common, branch, tip = sys.argv[1:]
try:
    one = sessions.load(store, name)
    branch_removal.remove(store, one, common, branch, tip, ["old"], print)
except (ProdigyError, OSError) as error:
    print("refused", error)
"""


@pytest.mark.skipif(
    not can_trace(), reason="NOT TESTED: what faults do; strace or ptrace is missing"
)
@pytest.mark.parametrize(
    ("name", "fault"),
    [("rename", KILL), ("mkdir", KILL), ("write", KILL), ("unlink", KILL), ("write", "error=ENOSPC"),
     ("rename", "error=EIO")],
)  # fmt: skip
def test_each_call(name, fault, repo, store, tmp_path):
    count = 0

    def run(*traced):
        nonlocal count
        count += 1
        one = Left(repo, store, f"w{count}")
        program = ["-c", REMOVE, str(store), one.name, one.common, one.branch, one.tip]
        return one, run_traced(program, traced, env=environment(), cwd=repo)

    run()  # so that locks are there
    output = tmp_path / "strace.txt"
    one, _ = run(*strace(name, output=str(output)))
    points = calls_on(output, name, (str(store), str(repo)))
    ends = set()
    for at in points:
        one, done = run(*injected(name, f"{fault}:when={at}"))
        assert b"Traceback" not in done.stderr, (at, done.stderr)
        said: list[str] = []
        interrupted.take_up(str(store), "repo", said.append)
        assert said == [], at
        ends.add(one.judge())
    if name == "rename" and fault == KILL:
        assert ends == {True, False}
    assert os.listdir(store)
