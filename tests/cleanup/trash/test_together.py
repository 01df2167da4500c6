"""What removals that go on at once ask git for together: each has its answer, also after a kill."""

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support_cli import environment, new, ok, start

from prodigy_git.cleanup.salvage import salvage
from prodigy_git.cleanup.trash import together
from prodigy_git.cleanup.trash.together import Gathered, Together

OTHERS = 5


def asked_by_threads(gathered, wanted):
    """Ask from a thread each; return the threads, and by what was asked what each got in the end."""
    found = {}

    def ask(one):
        try:
            found[one] = gathered.ask(one)
        except ValueError as error:
            found[one] = error

    threads = [threading.Thread(target=ask, args=(one,)) for one in wanted]
    for thread in threads:
        thread.start()
    return threads, found


def until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_who_comes_while_one_is_served_is_served_with_all_others():
    calls = []
    others = []

    def do(some):
        calls.append(list(some))
        if some == [0]:
            others.extend(asked_by_threads(gathered, range(1, OTHERS + 1)))
            until(lambda: len(gathered._waiting) == OTHERS)
        return [10 * one for one in some]

    gathered = Gathered(do)
    assert gathered.ask(0) == 0
    threads, found = others
    for thread in threads:
        thread.join()
    assert [sorted(some) for some in calls] == [[0], list(range(1, OTHERS + 1))]
    assert found == {one: 10 * one for one in range(1, OTHERS + 1)}
    assert gathered.ask(7) == 70


def test_what_goes_wrong_is_told_to_all_that_it_was_for_and_to_nobody_else():
    others = []

    def do(some):
        if some == [0]:
            others.extend(asked_by_threads(gathered, [1, 2]))
            until(lambda: len(gathered._waiting) == 2)
        elif 1 in some:
            raise ValueError("no")
        return some

    gathered = Gathered(do)
    assert gathered.ask(0) == 0
    threads, found = others
    for thread in threads:
        thread.join()
    assert {one: str(error) for one, error in found.items()} == {1: "no", 2: "no"}
    assert gathered.ask(3) == 3


def test_one_that_cannot_be_written_is_no_fault_of_the_others(repo, git):
    head, wrong = git("rev-parse", "HEAD", cwd=repo), "1" * 40
    asked = [
        f"update refs/prodigy/salvage/a/1 {head}\n", f"update refs/prodigy/salvage/b/1 {wrong}\n",
        f"update refs/prodigy/salvage/c/1 {head}\nupdate refs/prodigy/salvage/c/1-2 {head}\n",
    ]  # fmt: skip
    answers = Together(f"{repo}/.git")._update([one.encode() for one in asked])
    assert [status == 0 for status, _, _ in answers] == [True, False, True]
    assert "nonexistent object" in answers[1][2]
    refs = git("for-each-ref", "--format=%(refname)", "refs/prodigy", cwd=repo).split()
    assert [ref.removeprefix("refs/prodigy/salvage/") for ref in refs] == ["a/1", "c/1", "c/1-2"]
    assert Together(f"{repo}/.git").update(b"") == (0, b"", "")


def test_only_branches_go_that_are_where_they_were_and_nobodys(repo, git, tmp_path):
    head = git("rev-parse", "HEAD", cwd=repo)
    for name in ("free", "moved", "taken", "rebased", "also-free"):
        git("branch", name, cwd=repo)
    git("worktree", "add", "-q", tmp_path / "tree", "taken", cwd=repo)
    git("worktree", "add", "-q", "--detach", tmp_path / "other", cwd=repo)
    private = Path(git("rev-parse", "--absolute-git-dir", cwd=tmp_path / "other"))
    (private / "rebase-merge").mkdir()
    (private / "rebase-merge" / "head-name").write_text("refs/heads/rebased\n")
    moved = git("commit-tree", "-m", "x", "-p", head, f"{head}^{{tree}}", cwd=repo)
    git("branch", "-f", "moved", moved, cwd=repo)
    git("branch", "linked", cwd=repo)
    git("worktree", "add", "-q", "--detach", tmp_path / "link", cwd=repo)
    git("-c", "core.preferSymlinkRefs=true", "switch", "-q", "linked", cwd=tmp_path / "link")
    by_link = Path(git("rev-parse", "--absolute-git-dir", cwd=tmp_path / "link")) / "HEAD"
    by_link.unlink()  # as git before 3 makes it, with that setting
    by_link.symlink_to("refs/heads/linked")
    common = f"{repo}/.git"
    names = ["free", "moved", "taken", "rebased", "linked", "also-free", "main", "none"]
    assert together.checked_out(common, names) == {"taken", "rebased", "linked", "main"}
    gone = Together(common)._delete([(name, head) for name in names])
    assert dict(zip(names, gone, strict=True)) == {
        name: name in ("free", "also-free") for name in names
    }
    left = git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo).split()
    assert left == ["linked", "main", "moved", "rebased", "taken"]


def test_a_branch_whose_name_is_not_utf_8_is_no_fault_of_the_others(repo, git):
    head, odd = git("rev-parse", "HEAD", cwd=repo), os.fsdecode(b"caf\xe9")
    for name in ("one", odd):
        git("branch", name, cwd=repo)
    assert Together(f"{repo}/.git")._delete([("one", head), (odd, head)]) == [True, True]
    assert git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo) == "main"


def test_a_lock_that_keeps_all_deletions_out_is_waited_for_once(repo, git, monkeypatch):
    head = git("rev-parse", "HEAD", cwd=repo)
    names = ("one", "two", "three")
    for name in names:
        git("branch", name, cwd=repo)
    git("config", "core.packedRefsTimeout", "0", cwd=repo)
    (repo / ".git" / "packed-refs.lock").touch()
    asked = []
    whole = salvage.update_refs
    monkeypatch.setattr(
        salvage, "update_refs", lambda place, request: asked.append(1) or whole(place, request)
    )
    assert Together(f"{repo}/.git")._delete([(name, head) for name in names]) == [False] * 3
    assert len(asked) == 1


def test_a_branch_that_a_git_which_was_ended_had_deleted_is_told_as_gone(
    repo, git, tmp_path, monkeypatch
):
    """Else nothing knows that `restore` is to bring it back."""
    head, here = git("rev-parse", "HEAD", cwd=repo), os.environ["PATH"]
    for name in ("one", "two"):
        git("branch", name, cwd=repo)
    folder = tmp_path / "in-its-place"
    folder.mkdir()
    (folder / "git").write_text(
        f'#!/bin/sh\n{shutil.which("git")} "$@" || exit\n'
        'case " $* " in *" update-ref "*) kill -INT $$; exit 130;; esac\n'
    )
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{here}")
    gone = Together(f"{repo}/.git")._delete([("one", head), ("two", head)])
    monkeypatch.setenv("PATH", here)
    assert gone == [True, True]
    assert git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo) == "main"


# In the place of git: the process that asks for refs is killed, before they are written or after.
_KILLING = """\
#!/bin/sh
case " $* " in
*" update-ref "*)
    n=1
    until mkdir {counted}-$n 2>/dev/null; do n=$((n + 1)); done
    if [ $n -eq {at} ]; then
        [ {when} = before ] || {git} "$@"
        kill -KILL $PPID
        exit 1
    fi;;
esac
exec {git} "$@"
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_while_the_refs_of_several_are_written(repo, store, git, tmp_path, when, at):
    trees = {}
    for number in range(4):
        made = new(repo, f"w{number}")
        trees[made["session_id"]] = Path(made["worktree"])
        git("commit", "-q", "--allow-empty", "-m", f"of {number}", cwd=made["worktree"])
        ok("finish", made["session_id"], cwd=repo)
    heads = {name: git("rev-parse", "HEAD", cwd=tree) for name, tree in trees.items()}
    for name in trees:  # so that the branches go, too
        git("merge", "-q", "--no-edit", f"prodigy-{name}", cwd=repo)
    folder = tmp_path / "in-its-place"
    folder.mkdir()
    script = _KILLING.format(
        counted=shlex.quote(str(tmp_path / "counted")), git=shutil.which("git"), at=at, when=when
    )
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    child = start("worktree", "clean", *trees, cwd=repo, env=environment(PATH=path))
    child.communicate()
    asked = len(list(tmp_path.glob("counted-*")))
    assert child.returncode == (0 if asked < at else -signal.SIGKILL)
    ok("worktree", "clean", "--all", "--min-age", "0s", cwd=repo)
    assert not any(tree.exists() for tree in trees.values())
    assert git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo) == "main"
    assert len(list(store.glob("trash/repo/*/*/entry.json"))) == len(trees)
    for name, tree in trees.items():
        ok("worktree", "restore", name, cwd=repo)
        assert git("rev-parse", "HEAD", cwd=tree) == heads[name]
        assert git("symbolic-ref", "--short", "HEAD", cwd=tree) == f"prodigy-{name}"
    assert (
        subprocess.run(["git", "fsck"], cwd=repo, check=False, capture_output=True).returncode == 0
    )
