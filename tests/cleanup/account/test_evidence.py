"""The account of one worktree: one state for each way to lose work, and what must be said of it."""

import os
from dataclasses import fields
from pathlib import Path

import pytest
from support_cli import call, foreign_session, new, ok, snapshot
from support_nested import (
    commit,
    nested_ignored_clean,
    nested_with_worktree_elsewhere,
    nested_worktree,
    nested_worktree_of_another,
    run,
    stashed,
    submodule,
    write,
)
from support_states import (
    STATES,
    amended,
    bisecting,
    detached,
    hidden_and_deleted,
    hidden_and_same,
    ignored,
    locked,
    modified,
    nothing,
    rebased,
    reset_away,
    skip_worktree,
    sparse,
    tagged,
    untracked,
    young_lock,
)

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
