"""The account of one worktree: one state for each way to lose work, and what must be said of it."""

import os
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from support_cli import call, foreign_session, new, ok, snapshot

from prodigy_git.cleanup import worktrees
from prodigy_git.cleanup.account import evidence, gathering
from prodigy_git.cleanup.account.evidence import Evidence, Subject
from prodigy_git.record import gitdir

# What makes up an account of what would be lost; of all that a state's row does not name, there must
# be none.
LOSSES = {
    field.name: getattr(Evidence("", ""), field.name)
    for field in fields(Evidence)
    if field.name in (
        "staged", "modified", "unmerged", "untracked", "hidden", "ignored", "lone_commits",
        "lone_in_reflog", "rewritten", "operations", "private_refs", "stashes", "nested",
        "nested_worktrees", "submodules", "locked", "git_locks", "old_git_locks", "too_large",
        "unreadable",
    )
}  # fmt: skip


@pytest.fixture
def tree(repo):
    (repo / ".gitignore").write_text("*.o\nbuild/\n")
    (repo / "dir").mkdir()
    (repo / "dir" / "file").write_text("one\n")
    commit(repo, "files")
    made = new(repo, "w1")
    ok("finish", "w1", cwd=repo)
    return Path(made["worktree"])


def look(store, repo, name="w1"):
    return worktrees.show(str(store), str(repo), name)


def run(*command, cwd, check=True):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done
    return done.stdout.strip()


def commit(cwd, message, **files):
    for name, text in files.items():
        (cwd / name).write_text(text)
    run("git", "add", "-A", cwd=cwd)
    run("git", "commit", "-q", "--allow-empty", "-m", message, cwd=cwd)


def write(tree, **files):
    for name, text in files.items():
        (tree / name).write_text(text)


def setting(tree, name, value):
    run("git", "config", name, value, cwd=tree)


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


def stashed(tree, repo):
    write(tree, README="changed\n")
    run("git", "stash", cwd=tree)


def locked(tree, repo):
    run("git", "worktree", "lock", "--reason", "on a stick", str(tree), cwd=repo)


def clone_in(folder, repo):
    run("git", "clone", "-q", str(repo), str(folder), cwd=repo)


def nested_untracked(tree, repo):
    clone_in(tree / "inner", repo)
    write(tree / "inner", new="x")


def nested_unborn(tree, repo):
    run("git", "init", "-q", str(tree / "inner"), cwd=tree)
    write(tree / "inner", new="x")


def nested_ignored(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    commit(tree / "build" / "inner", "unpushed")


def nested_ignored_clean(tree, repo):
    clone_in(tree / "build" / "inner", repo)


def nested_bare(tree, repo):
    run("git", "clone", "-q", "--bare", str(repo), str(tree / "build" / "bare.git"), cwd=repo)


def nested_among_tracked(tree, repo):
    run("git", "init", "-q", str(tree / "dir"), cwd=tree)
    commit(tree / "dir", "its own")


def nested_stash(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    stashed(tree / "build" / "inner", repo)


def nested_worktree(tree, repo):
    run("git", "worktree", "add", "-q", str(tree / "build" / "wt"), cwd=tree)


def nested_worktree_of_another(tree, repo):
    clone_in(repo.parent / "other", repo)
    run("git", "worktree", "add", "-q", str(tree / "build" / "wt"), cwd=repo.parent / "other")


def nested_with_worktree_elsewhere(tree, repo):
    clone_in(tree / "build" / "inner", repo)
    run("git", "worktree", "add", "-q", str(repo.parent / "wt"), cwd=tree / "build" / "inner")


def submodule(tree, repo):
    clone_in(repo.parent / "lib", repo)
    run("git", "submodule", "--quiet", "add", str(repo.parent / "lib"), "lib", cwd=tree)
    run("git", "commit", "-qm", "lib", cwd=tree)


def submodule_untracked_hidden(tree, repo):
    submodule(tree, repo)
    run("git", "config", "--global", "status.showUntrackedFiles", "no", cwd=tree)
    setting(tree, "diff.ignoreSubmodules", "all")
    write(tree / "lib", new="x")


def submodule_ahead(tree, repo):
    submodule(tree, repo)
    commit(tree / "lib", "unpushed")
    run("git", "commit", "-qam", "newer lib", cwd=tree)


def submodule_deinitialised(tree, repo):
    submodule_ahead(tree, repo)
    run("git", "submodule", "--quiet", "deinit", "-f", "lib", cwd=tree)


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

SAFE = (
    nothing, hidden_and_deleted, hidden_and_same, sparse, ignored, amended, rebased, tagged,
    stashed, nested_ignored_clean, submodule,
)  # fmt: skip
"""States in which nothing would be lost, or only what `restore` brings back or git has elsewhere."""

NEVER = (
    locked, young_lock, nested_worktree, nested_worktree_of_another, nested_with_worktree_elsewhere,
)  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), STATES, ids=[m.__name__ for m, _ in STATES])
def test_each_way_to_lose_work_is_seen_and_nothing_is_touched(repo, store, tree, make, expected):
    make(tree, repo)
    before = snapshot(store, repo, tree)
    e = look(store, repo)
    assert snapshot(store, repo, tree) == before
    found = {name: getattr(e, name) for name in LOSSES}
    found["nested_worktrees"] = [os.path.relpath(path, tree) for path in e.nested_worktrees]
    for name, value in expected.items():
        if value is ...:
            assert found.pop(name)
        elif isinstance(value, int) and isinstance(found[name], list):
            assert len(found.pop(name)) == value
        else:
            assert found.pop(name) == value
    assert found == {name: LOSSES[name] for name in found}
    assert (e.session_id, e.status, e.ended) == ("w1", "Completed", True)
    assert e.place is not None
    assert e.head == run("git", "rev-parse", "HEAD", cwd=tree)
    assert bool(evidence.doubts(e)) is (make not in (*SAFE, *NEVER))
    assert bool(evidence.forbids(e)) is (make in NEVER)


def test_every_state_is_seen_at_once_as_it_is_alone(repo, store):
    """Many worktrees are asked about together; none may answer for another."""
    makers = [
        (make, expected) for make, expected in STATES
        if make in (nothing, modified, untracked, skip_worktree, detached, reset_away, bisecting)
    ]  # fmt: skip
    subjects = []
    for number, (make, _) in enumerate(makers):
        name = f"tree{number}"
        where = Path(new(repo, name)["worktree"])
        (where / "dir").mkdir()
        commit(where, name, **{"dir/file": "x"})
        make(where, repo)
        subjects.append(Subject(name, str(where), gitdir.find(str(where), {})))
    together = gathering.gather(subjects)
    assert [e.name for e in together] == [one.name for one in subjects]
    for e, one, (make, expected) in zip(together, subjects, makers, strict=True):
        (alone,) = gathering.gather([one])
        for name in LOSSES:
            assert getattr(e, name) == getattr(alone, name), make
        for name, value in expected.items():
            if make is not bisecting:
                assert getattr(e, name) == value, make


@pytest.mark.parametrize("options", [("--bare",), ("--object-format=sha256",)], ids=" ".join)
def test_other_kinds_of_repository(repo, store, tmp_path, options):
    other = tmp_path / "other"
    run("git", "init", "-q", *options, str(other), cwd=tmp_path)
    first = tmp_path / "first"
    # A clone of an empty repository takes no object format over.
    run("git", "init", "-q", *(o for o in options if o != "--bare"), str(first), cwd=tmp_path)
    commit(first, "one", README="x", more="x")
    run("git", "push", "-q", str(other), "main:main2", cwd=first)
    run("git", "branch", "-q", "main", "main2", cwd=other)
    run("git", "branch", "-qD", "main2", cwd=other)
    where = Path(new(other, "w2", "--base", "main")["worktree"])
    commit(where, "own", own="x")
    assume_unchanged_in(where, "README")
    e = look(store, other, "w2")
    assert (e.hidden, e.modified, e.untracked, e.unreadable) == (1, 0, 0, [])
    assert (e.integration.kind, e.integration.into) == ("ahead", "main")


def assume_unchanged_in(tree, name):
    run("git", "update-index", "--assume-unchanged", name, cwd=tree)
    write(tree, **{name: "changed\n"})


def test_ignored_files_are_sized_and_symlinks_not_followed(repo, store, tree):
    big = repo.parent / "big"
    big.write_text("x" * 1_000_000)
    ignored(tree, repo)
    (tree / "build" / "out").symlink_to(big)
    e = look(store, repo)
    assert e.ignored == 5
    assert e.ignored_bytes == 5 + 3 + 0 + len("..") + len(str(big))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t, p: (t / ".git").unlink(), ".git in"),
        (lambda t, p: (t / ".git").write_text("nonsense"), "worktree repair"),
        (lambda t, p: (p / "HEAD").write_text("nonsense"), "HEAD"),
        (lambda t, p: (p / "HEAD").write_text("f" * 40), "git cannot read it"),
        (lambda t, p: (p / "HEAD").unlink(), ""),
        (lambda t, p: (p / "index").write_bytes(b"DIRC nonsense"), "git cannot read it"),
        (lambda t, p: (p / "index").write_bytes((p / "index").read_bytes()[:90]), ""),
        (lambda t, p: (p / "index").unlink(), "staged"),
        (lambda t, p: (p / "commondir").write_text("../../nowhere"), ""),
        (lambda t, p: (p / "logs" / "HEAD").write_bytes(b"\xff\0 nonsense\n"), None),
        (lambda t, p: (p / "prodigy").write_text("{"), ""),
    ],
    ids=[
        "no .git", "odd .git", "odd HEAD", "HEAD without object", "no HEAD", "odd index",
        "torn index", "no index", "odd commondir", "odd reflog", "odd enrolment",
    ],
)  # fmt: skip
def test_damaged_ones_are_refused_not_crashed_over(repo, store, tree, damage, words):
    damage(tree, Path(run("git", "rev-parse", "--absolute-git-dir", cwd=tree)))
    done = call("worktree", "show", "w1", "--json", cwd=repo)
    assert "internal error" not in done.err
    said = done.json
    assert said["clean"]["would_clean"] is (words is None)
    assert (words or "") in "; ".join(said["clean"]["reasons"])
    assert "internal error" not in call("worktree", "clean", "w1", "--dry-run", cwd=repo).err


def test_show_without_a_session_and_of_the_main_worktree(repo, git, tmp_path):
    git("worktree", "add", "-q", tmp_path / "by-hand", cwd=repo)
    for name in ("by-hand", tmp_path / "by-hand", "../by-hand"):
        said = ok("worktree", "show", name, "--json", cwd=repo).json
        assert said["worktree"] == str(tmp_path / "by-hand")
        assert said["session_id"] is None
        assert "worktree adopt" in said["clean_force"]["reasons"][0]
    said = ok("worktree", "show", ".", "--json", cwd=repo).json
    assert "main worktree" in said["clean_force"]["reasons"][0]
    done = call("worktree", "show", "nobody", cwd=repo)
    assert done.code == 1
    assert "no session nobody" in done.err


def test_show_is_readable(repo, store, tree):
    modified(tree, repo)
    ignored(tree, repo)
    shown = ok("worktree", "show", "w1", cwd=repo).out
    assert "1 modified" in shown
    assert "4 ignored files" in shown
    assert "unused (no commits of its own)" in shown
    assert "clean         refuses: 1 modified" in shown
    assert "clean -f      removes it all the same (1 modified" in shown


def test_a_session_of_prodigys_own_has_no_worktree_here(repo, store):
    foreign_session(store, "theirs")
    assert "no worktree" in ok("worktree", "show", "theirs", cwd=repo).out
