"""Which files commits changed, of a real repository: odd names, merges, roots, what is missing."""

import pytest
from support_cli import ok

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.record.gitdir import Place
from prodigy_git.views.report import overlaps

NOBODY = "0" * 39 + "1"


def commit(git, repo, files):
    for name, text in files.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "x", cwd=repo)
    return git("rev-parse", "HEAD", cwd=repo)


def test_what_each_commit_changed(repo, git):
    root = git("rev-parse", "HEAD", cwd=repo)
    odd = {"a b\nc": "1", "dir/ümlaut": "2", "f" * 40: "3", "M": "4"}
    made = commit(git, repo, odd)
    git("rm", "-q", "M", cwd=repo)
    removed = commit(git, repo, {"README": "new\n"})
    found = overlaps.changed(repository.find(str(repo)), [root, made, NOBODY, removed, "HEAD", "é"])
    assert {sha: sorted(paths) for sha, paths in found.items()} == {
        root: ["README"],
        made: sorted(odd),
        removed: ["M", "README"],
    }


def test_a_merge_names_no_file_of_either_side(repo, git):
    git("switch", "-q", "-c", "side", cwd=repo)
    commit(git, repo, {"side": "1"})
    git("switch", "-q", "main", cwd=repo)
    commit(git, repo, {"main": "1"})
    git("merge", "-q", "--no-edit", "side", cwd=repo)
    merge = git("rev-parse", "HEAD", cwd=repo)
    assert overlaps.changed(repository.find(str(repo)), [merge]).get(merge, []) == []


def test_settings_of_the_user_change_nothing(repo, git):
    made = commit(git, repo, {"über": "1", "b": "2"})
    for name, value in {
        "diff.noprefix": "true", "core.quotePath": "true", "diff.orderFile": "/nothing",
        "log.showSignature": "true", "diff.external": "false", "diff.renames": "copies",
    }.items():  # fmt: skip
        git("config", name, value, cwd=repo)
    assert sorted(overlaps.changed(repository.find(str(repo)), [made])[made]) == ["b", "über"]


def test_the_repository_of_a_key(repo, store, git):
    assert overlaps.place_of(str(store), "repo") is None
    ok("job", "start", "one", cwd=repo)
    assert overlaps.place_of(str(store), "repo").common == str(repo / ".git")
    repo.rename(repo.with_name("moved"))
    assert overlaps.place_of(str(store), "repo") is None


def test_a_folder_that_is_no_repository(tmp_path):
    place = Place(str(tmp_path), str(tmp_path), str(tmp_path))
    with pytest.raises(ProdigyError, match="git diff-tree"):
        overlaps.changed(place, [NOBODY])
