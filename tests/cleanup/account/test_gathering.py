"""One worktree that cannot be accounted for stops no other, and is not removed."""

import os
from pathlib import Path

import pytest
from support_cli import call, new, ok

from prodigy_git.cleanup import subjects, worktrees
from prodigy_git.cleanup.account import gathering, one_worktree
from prodigy_git.cleanup.folders.erasing import erase
from prodigy_git.git import integration


@pytest.fixture
def trees(repo):
    made = {name: Path(new(repo, name)["worktree"]) for name in ("w1", "w2", "w3")}
    for name, tree in made.items():
        (tree / "new").write_text("x")
        ok("finish", name, cwd=repo)
    return made


def spoil(monkeypatch, module, name, is_bad):
    """Make a function raise what nobody expects, for one worktree."""
    whole = getattr(module, name)

    def spoilt(*arguments, **more):
        if is_bad(arguments):
            raise RecursionError("as deep as this nobody goes")
        return whole(*arguments, **more)

    monkeypatch.setattr(module, name, spoilt)


def test_one_that_cannot_be_looked_at_is_kept_forced_or_not(repo, store, trees, monkeypatch):
    spoil(monkeypatch, one_worktree, "_files", lambda given: given[1].top == str(trees["w2"]))
    e = worktrees.show(str(store), str(repo), "w2")
    assert e.unreadable == ["looking at it failed (RecursionError: as deep as this nobody goes)"]
    done = call("worktree", "clean", "-f", "--all", "--min-age", "0s", cwd=repo)
    lines = done.out.splitlines()
    assert [line.split(" ")[1] for line in lines] == ["cleaned", "kept", "cleaned"]
    assert "RecursionError" in lines[1]
    assert [tree.exists() for tree in trees.values()] == [False, True, False]
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("module", "name", "bad"),
    [
        (gathering, "_count_lone", lambda some, trees: some[1]),
        (integration, "how", lambda given, trees: given[3]),
    ],
    ids=["lone commits", "integration"],
)
def test_what_is_asked_of_all_together_is_asked_of_each_where_that_fails(
    repo, store, trees, monkeypatch, module, name, bad
):
    wanted = subjects.of_repository(str(store), str(repo), print)
    good = gathering.gather(wanted)
    # Fails for two and more: then nothing is wrong with any.
    spoil(monkeypatch, module, name, lambda given: len(bad(given, trees)) > 1)
    again = gathering.gather(wanted)
    assert [(e.integration, e.lone_commits, e.unreadable) for e in again] == [
        (e.integration, e.lone_commits, []) for e in good
    ]
    monkeypatch.undo()
    # Fails for every one: that is said of each, and all have the rest.
    spoil(monkeypatch, module, name, lambda given: True)
    for e in gathering.gather(wanted):
        assert ["is not known (as deep as this" in text for text in e.unreadable] == [True]
        assert e.untracked == 1


def test_a_repository_that_fails_stops_no_other(repo, store, trees, monkeypatch, tmp_path, git):
    other = tmp_path / "other"
    git("clone", "-q", repo, other, cwd=tmp_path)
    wanted = subjects.of_repository(str(store), str(repo), print)
    new(other, "w4")
    wanted += subjects.of_repository(str(store), str(other), print)
    spoil(
        monkeypatch, gathering, "_repository", lambda given: given[0].common.startswith(str(other))
    )
    found = gathering.gather(wanted)
    assert [bool(e.unreadable) for e in found] == [False, False, False, True]


def test_git_that_is_missing_is_said_once(repo, store, trees, monkeypatch):
    wanted = subjects.of_repository(str(store), str(repo), print)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(gathering.ProdigyError, match="git is not to be found"):
        gathering.gather(wanted)


def test_folders_1200_deep_are_accounted_for(repo, store, trees):
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("deep/\n")
    folder = os.open(trees["w1"], os.O_RDONLY)
    for name in ["deep"] + ["d"] * 1200:
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    try:
        e = worktrees.show(str(store), str(repo), "w1")
        assert (e.ignored, e.unreadable) == (1, [])
        os.unlink(repo / ".git" / "info" / "exclude")
        ok("worktree", "clean", "-f", "w1", cwd=repo)
    finally:
        assert erase(str(store)) == []  # pytest itself could not
