"""Symbolic links that lead out of a worktree: what is behind them is no part of it."""

import os
import subprocess
from pathlib import Path

import pytest
import support_removal
from support_cli import call, new, ok

from prodigy_git.cleanup import worktrees
from prodigy_git.cleanup.folders import trees


@pytest.fixture
def tree(repo):
    (repo / ".gitignore").write_text(".shared\nbuild/\n")
    for folder in ("dir", "dir/sub"):
        (repo / folder).mkdir()
        (repo / folder / "file").write_text("one\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "files", cwd=repo)
    return Path(new(repo, "w1")["worktree"])


@pytest.fixture
def outside(repo, tmp_path):
    """A folder elsewhere: a repository with a commit of its own, a bare one, another worktree."""
    folder = tmp_path / "outside"
    for name in ("dep", "dep/sub"):
        git("clone", "-q", repo, folder / name, cwd=tmp_path)
        (folder / name / "file").write_text("unpushed\n")
        git("add", "file", cwd=folder / name)
        git("commit", "-qm", "unpushed", cwd=folder / name)
    git("clone", "-q", "--bare", repo, folder / "bare", cwd=tmp_path)
    git("worktree", "add", "-q", folder / "worktree", cwd=repo)
    git("worktree", "add", "-q", folder / "dep-worktree", cwd=folder / "dep")
    return folder


def git(*arguments, cwd):
    subprocess.run(["git", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


def ignored(tree, outside):
    (tree / ".shared").symlink_to(outside)


def ignored_with_slash(tree, outside):
    (tree / "build").mkdir()
    (tree / "build" / "deep").symlink_to(outside)


def ignored_to_repository(tree, outside):
    (tree / ".shared").symlink_to(outside / "dep")


def ignored_to_worktree(tree, outside):
    (tree / ".shared").symlink_to(os.path.relpath(outside / "worktree", tree))


def untracked(tree, outside):
    (tree / "link").symlink_to(outside)


def untracked_to_bare(tree, outside):
    (tree / "link").symlink_to(outside / "bare")


def tracked_folder(tree, outside):
    git("rm", "-rq", "--cached", "dir/sub", cwd=tree)
    subprocess.run(["rm", "-r", "dir"], cwd=tree, check=True)
    (tree / "dir").symlink_to(outside / "dep")


def tracked_folder_in_the_middle(tree, outside):
    subprocess.run(["rm", "-r", "dir"], cwd=tree, check=True)
    (tree / "dir").symlink_to(outside / "dep")
    assert (tree / "dir" / "sub" / ".git").is_dir()


def tracked_head_behind_it(tree, outside):
    (tree / "bare").mkdir()
    (tree / "bare" / "HEAD").write_text("x")
    git("add", "bare", cwd=tree)
    git("commit", "-qm", "HEAD", cwd=tree)
    subprocess.run(["rm", "-r", "bare"], cwd=tree, check=True)
    (tree / "bare").symlink_to(outside / "bare")


def submodule_path(tree, outside):
    git("submodule", "--quiet", "add", outside / "bare", "lib", cwd=tree)
    git("commit", "-qm", "lib", cwd=tree)
    subprocess.run(["rm", "-r", "lib"], cwd=tree, check=True)
    (tree / "lib").symlink_to(outside / "dep")


def submodule_in_the_middle(tree, outside):
    git("submodule", "--quiet", "add", outside / "bare", "libs/sub", cwd=tree)
    git("commit", "-qm", "lib", cwd=tree)
    subprocess.run(["rm", "-r", "libs"], cwd=tree, check=True)
    (tree / "libs").symlink_to(outside / "dep")


def git_directory(tree, outside):
    """As tools do that share one git directory among checkouts."""
    (tree / "build" / "inner").mkdir(parents=True)
    (tree / "build" / "inner" / ".git").symlink_to(outside / "dep" / ".git")
    git("reset", "-q", "--hard", cwd=tree / "build" / "inner")


def private_git_directory(tree, outside):
    """And one that links another's worktree."""
    (tree / "build" / "inner").mkdir(parents=True)
    private = outside / "dep" / ".git" / "worktrees" / "dep-worktree"
    (tree / "build" / "inner" / ".git").symlink_to(private)
    git("reset", "-q", "--hard", cwd=tree / "build" / "inner")


def separate_git_directory(tree, outside):
    elsewhere = outside / "separate"
    git("clone", "-q", "--separate-git-dir", elsewhere, outside / "dep", tree / "build" / "inner",
        cwd=outside)  # fmt: skip
    git("commit", "-q", "--allow-empty", "-m", "kept there", cwd=tree / "build" / "inner")
    git("worktree", "add", "-q", outside / "of-separate", cwd=tree / "build" / "inner")


def modules(tree, outside):
    """The submodules' git directories, shared with another worktree by a link."""
    git("submodule", "--quiet", "add", outside / "bare", "lib", cwd=tree)
    git("commit", "-qm", "lib", cwd=tree)
    git("commit", "-q", "--allow-empty", "-m", "unpushed", cwd=tree / "lib")
    there = subprocess.run(
        ["git", "rev-parse", "--absolute-git-dir"], cwd=tree, check=True, capture_output=True
    ).stdout.decode().strip()  # fmt: skip
    os.rename(f"{there}/modules", outside / "modules")
    os.symlink(outside / "modules", f"{there}/modules")
    git("config", "--file", outside / "modules/lib/config", "--unset", "core.worktree", cwd=outside)


LINKS = [
    ignored, ignored_with_slash, ignored_to_repository, ignored_to_worktree, untracked,
    untracked_to_bare, tracked_folder, tracked_folder_in_the_middle, tracked_head_behind_it,
    submodule_path, submodule_in_the_middle, git_directory, private_git_directory,
    separate_git_directory, modules,
]  # fmt: skip


@pytest.mark.parametrize("make", LINKS, ids=lambda make: make.__name__)
def test_what_is_behind_a_link_is_not_in_the_worktree(repo, store, tree, outside, make):
    make(tree, outside)
    ok("finish", "w1", cwd=repo)
    e = worktrees.show(str(store), str(repo), "w1")
    assert (e.nested_worktrees, e.unreadable) == ([], [])
    assert not any(e.nested.values())
    assert not any(e.submodules.values())
    before = contents(outside), links(tree)
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    assert contents(outside) == before[0]
    ok("worktree", "restore", "w1", cwd=repo)
    assert (contents(outside), links(tree)) == before


@pytest.mark.parametrize("make", [ignored, ignored_to_repository, ignored_to_worktree])
def test_an_ignored_link_counts_as_one_file_and_is_no_doubt(repo, store, tree, outside, make):
    make(tree, outside)
    ok("finish", "w1", cwd=repo)
    e = worktrees.show(str(store), str(repo), "w1")
    assert e.ignored == 1
    ok("worktree", "clean", "w1", cwd=repo)


def test_a_large_file_behind_a_link_is_none_of_the_worktrees(repo, store, tree, outside):
    git("config", "prodigy.salvageLimit", "1k", cwd=repo)
    (outside / "dep" / "file").write_text("x" * 2000)
    tracked_folder_in_the_middle(tree, outside)
    ok("finish", "w1", cwd=repo)
    assert worktrees.show(str(store), str(repo), "w1").too_large == []


def test_a_sparse_folder_that_a_link_replaced_is_not_looked_into(repo, store, tree, outside):
    git("sparse-checkout", "set", "--no-cone", "/*", "!dir/", cwd=tree)
    (tree / "dir").symlink_to(outside / "dep")
    (outside / "dep" / "sub" / "file").write_text("another's\n")
    ok("finish", "w1", cwd=repo)
    assert worktrees.show(str(store), str(repo), "w1").hidden == 0
    ok("worktree", "clean", "-f", "w1", cwd=repo)
    refs = support_removal.git("for-each-ref", "--format=%(refname)", "refs/prodigy", cwd=repo)
    assert refs
    for ref in refs.split():
        # The entry that sparse checkout leaves out is no deletion: the index has it.
        commit, more = support_removal.salvaged(repo, ref)
        support_removal.git("cat-file", "-e", f"{commit}^2:dir/sub/file", cwd=repo, **more)


def test_a_repository_in_it_still_keeps_it(repo, tree, outside):
    git("clone", "-q", outside / "dep", tree / "build" / "inner", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "unpushed", cwd=tree / "build" / "inner")
    ok("finish", "w1", cwd=repo)
    assert "1 unpushed commit" in call("worktree", "clean", "w1", cwd=repo).out


def test_a_folder_1200_deep_is_told_from_a_link(tmp_path):
    """Links are looked for one after the other, not one inside the other."""
    path = b"/".join([b"d"] * 1200)
    assert not trees.beyond_link(os.fsencode(tmp_path), path, {})


def contents(folder):
    """Every path below a folder, links not followed, with what is in it; git's own records not."""
    found = {}
    for root, names, files in os.walk(folder):
        if os.path.basename(root) in ("worktrees", "logs"):
            names.clear()
            continue
        for name in [*names, *files]:
            path = os.path.join(root, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                found[path] = Path(path).read_bytes()
    return found


def links(folder):
    return {path: where for path, where in contents(folder).items() if isinstance(where, str)}
