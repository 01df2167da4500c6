"""Worktrees in every state: one for each way to lose work, and what must be said of it."""

import os
from pathlib import Path

from support_nested import (
    commit,
    nested_among_tracked,
    nested_bare,
    nested_ignored,
    nested_ignored_clean,
    nested_stash,
    nested_unborn,
    nested_untracked,
    nested_with_worktree_elsewhere,
    nested_worktree,
    nested_worktree_of_another,
    run,
    setting,
    stashed,
    submodule,
    submodule_ahead,
    submodule_deinitialised,
    submodule_untracked_hidden,
    write,
)


def diverge(tree):
    """Make a branch `side` whose README conflicts with the worktree's."""
    run("git", "checkout", "-q", "-b", "side", cwd=tree)
    commit(tree, "side", README="side\n")
    run("git", "checkout", "-q", "prodigy-w1", cwd=tree)
    commit(tree, "ours", README="ours\n")


def modified(tree, repo):
    write(tree, README="changed\n")


def modified_in_mode(tree, repo):
    (tree / "README").chmod(0o755)


def deleted(tree, repo):
    (tree / "README").unlink()


def staged(tree, repo):
    write(tree, new="x")
    run("git", "add", "new", cwd=tree)


def staged_then_changed(tree, repo):
    write(tree, README="one\n")
    run("git", "add", "README", cwd=tree)
    write(tree, README="two\n")


def staged_deletion_kept(tree, repo):
    run("git", "rm", "-q", "--cached", "README", cwd=tree)


def intended(tree, repo):
    write(tree, new="x")
    run("git", "add", "-N", "new", cwd=tree)


def untracked(tree, repo):
    write(tree, new="x")
    (tree / "deep" / "er").mkdir(parents=True)
    write(tree / "deep" / "er", a="x", b="x")


def untracked_hidden(tree, repo):
    setting(tree, "status.showUntrackedFiles", "no")
    untracked(tree, repo)


def untracked_cached(tree, repo):
    setting(tree, "core.untrackedCache", "true")
    run("git", "update-index", "--force-untracked-cache", cwd=tree)
    run("git", "status", cwd=tree)
    untracked(tree, repo)


def lying_monitor(tree, repo):
    """A file system monitor that says that nothing has changed."""
    monitor = repo / ".git" / "monitor"
    monitor.write_text("#!/bin/sh\nprintf 'token\\0'\n")
    monitor.chmod(0o755)
    setting(tree, "core.fsmonitor", str(monitor))
    setting(tree, "core.fsmonitorHookVersion", "2")
    run("git", "status", cwd=tree)
    write(tree, README="changed\n")
    assert run("git", "status", "--porcelain", cwd=tree) == ""


def assume_unchanged(tree, repo):
    run("git", "update-index", "--assume-unchanged", "README", "dir/file", cwd=tree)
    write(tree, README="changed\n")
    assert run("git", "status", "--porcelain", cwd=tree) == ""


def skip_worktree(tree, repo):
    run("git", "update-index", "--skip-worktree", "README", "dir/file", cwd=tree)
    write(tree, README="changed\n")
    assert run("git", "status", "--porcelain", cwd=tree) == ""


def hidden_in_version_4(tree, repo):
    run("git", "update-index", "--index-version=4", cwd=tree)
    skip_worktree(tree, repo)


def hidden_in_a_split_index(tree, repo):
    run("git", "update-index", "--split-index", cwd=tree)
    assume_unchanged(tree, repo)


def hidden_and_deleted(tree, repo):
    run("git", "update-index", "--skip-worktree", "README", cwd=tree)
    (tree / "README").unlink()


def hidden_and_same(tree, repo):
    run("git", "update-index", "--assume-unchanged", "README", cwd=tree)
    os.utime(tree / "README", (1, 1))


def sparse(tree, repo):
    run("git", "sparse-checkout", "set", "--cone", "nothing", cwd=tree)
    assert not (tree / "dir").exists()


def sparse_index_and_changed(tree, repo):
    run("git", "sparse-checkout", "set", "--cone", "--sparse-index", "nothing", cwd=tree)
    write(tree, README="changed\n")


def ignored(tree, repo):
    write(tree, **{"x.o": "12345"})
    (tree / "build" / "deep").mkdir(parents=True)
    write(tree / "build" / "deep", a="123", b="")
    (tree / "build" / "loop").symlink_to("..")


def detached(tree, repo):
    run("git", "checkout", "-q", "--detach", cwd=tree)
    commit(tree, "one")
    commit(tree, "two")


def reset_away(tree, repo):
    commit(tree, "given up", given="up")
    run("git", "reset", "-q", "--hard", "HEAD~1", cwd=tree)


def detached_and_left(tree, repo):
    detached(tree, repo)
    run("git", "checkout", "-q", "prodigy-w1", cwd=tree)


def branch_deleted_behind_it(tree, repo):
    run("git", "checkout", "-q", "-b", "gone", cwd=tree)
    commit(tree, "one")
    run("git", "checkout", "-q", "prodigy-w1", cwd=tree)
    run("git", "branch", "-qD", "gone", cwd=repo)


def amended(tree, repo):
    commit(tree, "one", one="1")
    write(tree, one="2")
    run("git", "commit", "-qa", "--amend", "-m", "two", cwd=tree)


def rebased(tree, repo):
    commit(tree, "one", one="1")
    commit(tree, "two", two="2")
    commit(repo, "meanwhile", other="x")
    run("git", "rebase", "-q", "main", cwd=tree)


def rebased_then_reset_away(tree, repo):
    rebased(tree, repo)
    run("git", "reset", "-q", "--hard", "HEAD~1", cwd=tree)


def tagged(tree, repo):
    detached(tree, repo)
    run("git", "tag", "kept", cwd=tree)


def merging(tree, repo):
    diverge(tree)
    run("git", "merge", "side", cwd=tree, check=False)


def rebasing(tree, repo):
    diverge(tree)
    run("git", "rebase", "side", cwd=tree, check=False)


def rebasing_by_apply(tree, repo):
    diverge(tree)
    run("git", "rebase", "--apply", "side", cwd=tree, check=False)


def picking(tree, repo):
    diverge(tree)
    run("git", "cherry-pick", "side", cwd=tree, check=False)


def picking_several(tree, repo):
    diverge(tree)
    run("git", "cherry-pick", "side", "side~1", cwd=tree, check=False)
    run("git", "checkout", "-q", "--theirs", "README", cwd=tree)
    run("git", "add", "README", cwd=tree)
    run("git", "commit", "-qm", "picked", cwd=tree)


def reverting(tree, repo):
    commit(tree, "one", README="one\n")
    commit(tree, "two", README="two\n")
    run("git", "revert", "HEAD~1", cwd=tree, check=False)


def applying(tree, repo):
    diverge(tree)
    run("git", "format-patch", "-q", "-1", "side", "-o", str(repo.parent), cwd=tree)
    run("git", "am", str(repo.parent / "0001-side.patch"), cwd=tree, check=False)


def bisecting(tree, repo):
    run("git", "bisect", "start", "HEAD", "HEAD~1", cwd=tree)


def private_ref(tree, repo):
    run("git", "update-ref", "refs/worktree/mine", "HEAD", cwd=tree)


def locked(tree, repo):
    run("git", "worktree", "lock", "--reason", "on a stick", str(tree), cwd=repo)


def old_lock(tree, repo):
    path = Path(run("git", "rev-parse", "--absolute-git-dir", cwd=tree)) / "index.lock"
    path.touch()
    os.utime(path, (1, 1))


def young_lock(tree, repo):
    (Path(run("git", "rev-parse", "--absolute-git-dir", cwd=tree)) / "HEAD.lock").touch()


def too_large(tree, repo):
    setting(tree, "prodigy.salvageLimit", "1k")
    write(tree, big="x" * 1025, small="x" * 1024)


def nothing(tree, repo):
    pass


def odd_names(tree, repo):
    for name in (b"new\nline", b"\xff", b" ", b"->", b"-n", '"ä'.encode()):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_text("x")


STATES = [
    (nothing, {}),
    (modified, {"modified": 1}),
    (modified_in_mode, {"modified": 1}),
    (deleted, {"modified": 1}),
    (staged, {"staged": 1}),
    (staged_then_changed, {"staged": 1, "modified": 1}),
    (staged_deletion_kept, {"staged": 1, "untracked": 1}),
    (intended, {"modified": 1}),
    (untracked, {"untracked": 3}),
    (odd_names, {"untracked": 6}),
    (untracked_hidden, {"untracked": 3}),
    (untracked_cached, {"untracked": 3}),
    (lying_monitor, {"modified": 1}),
    (assume_unchanged, {"hidden": 1}),
    (skip_worktree, {"hidden": 1}),
    (hidden_in_version_4, {"hidden": 1}),
    (hidden_in_a_split_index, {"hidden": 1}),
    (hidden_and_deleted, {}),
    (hidden_and_same, {}),
    (sparse, {}),
    (sparse_index_and_changed, {"modified": 1}),
    (ignored, {"ignored": 4}),
    (detached, {"lone_commits": 2}),
    (reset_away, {"lone_in_reflog": 1}),
    (detached_and_left, {"lone_in_reflog": 2}),
    (branch_deleted_behind_it, {"lone_in_reflog": 1}),
    (amended, {"rewritten": 1}),
    (rebased, {"rewritten": 2}),
    (rebased_then_reset_away, {"rewritten": 2, "lone_in_reflog": 1}),
    (tagged, {}),
    (merging, {"unmerged": 1, "operations": ["a merge"]}),
    (rebasing, {"unmerged": 1, "operations": ["a rebase"]}),
    (rebasing_by_apply, {"unmerged": 1, "operations": ["a rebase"]}),
    (picking, {"unmerged": 1, "operations": ["a cherry-pick"]}),
    (picking_several, {"operations": ["a cherry-pick or revert of several commits"]}),
    (reverting, {"unmerged": 1, "operations": ["a revert"]}),
    (applying, {"operations": ["an am"]}),
    (bisecting, {"operations": ["a bisect"], "private_refs": 2}),
    (private_ref, {"private_refs": ["refs/worktree/mine"]}),
    (stashed, {"stashes": 1}),
    (locked, {"locked": "on a stick"}),
    (nested_untracked, {"untracked": 1, "nested": {"inner": ["1 changed or untracked"]}}),
    (nested_unborn, {"untracked": 1, "nested": {"inner": ["1 changed or untracked"]}}),
    (nested_ignored, {"ignored": ..., "nested": {"build/inner": ["1 unpushed commit"]}}),
    (nested_ignored_clean, {"ignored": ..., "nested": {"build/inner": []}}),
    (nested_bare, {"ignored": ..., "nested": {"build/bare.git": ["2 unpushed commits"]}}),
    (nested_among_tracked, {"nested": {"dir": ["1 unpushed commit"]}}),
    (nested_stash, {"ignored": ..., "nested": {"build/inner": ["2 unpushed commits"]}}),
    (nested_worktree, {"ignored": ..., "nested_worktrees": ["build/wt"]}),
    (nested_worktree_of_another, {"ignored": ..., "nested_worktrees": ["build/wt"]}),
    (
        nested_with_worktree_elsewhere,
        {"ignored": ..., "nested_worktrees": ["../../../../wt"], "nested": ...},
    ),
    (submodule, {"submodules": {"lib": []}}),
    (
        submodule_untracked_hidden,
        {"submodules": {"lib": ["1 changed or untracked"]}},
    ),
    (submodule_ahead, {"submodules": {"lib": ["1 unpushed commit"]}}),
    (submodule_deinitialised, {"submodules": {"lib": ["1 unpushed commit"]}}),
    (old_lock, {"old_git_locks": ["index.lock"]}),
    (young_lock, {"git_locks": ["HEAD.lock"]}),
    (too_large, {"untracked": 2, "too_large": ["big"]}),
]  # fmt: skip
