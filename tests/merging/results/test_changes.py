"""What results change: commits, lines and files from where they parted from their target."""

import pytest
from support_cli import new, ok, refused, rewrite_session

from prodigy_git.merging import of_items
from prodigy_git.merging.results import changes, results
from prodigy_git.merging.results.changes import FileChange


@pytest.fixture
def made(repo, git, store):
    """Return what makes a worktree with a commit of files, and what its change comes to."""

    def make(name, files, *options):
        top = new(repo, name, *options)["worktree"]
        for path, text in files.items():
            with open(f"{top}/{path}", "wb") as stream:
                stream.write(text)
        git("add", "-A", cwd=top)
        git("commit", "-qm", name, cwd=top)
        return top

    def change(*names):
        key = next((store / "state").iterdir()).name
        found = results.named(str(store), key, names, broken=pytest.fail)
        there = changes.of(of_items.place_of(str(store), key), found)
        return there[0] if len(names) == 1 else there

    make.change = change
    return make


def test_lines_and_files_are_counted_from_the_merge_base(repo, git, made):
    base = git("rev-parse", "HEAD", cwd=repo)
    top = made("one", {"a": b"1\n2\n", "README": b"new\n"})
    (repo / "other").write_text("of others\n")
    git("add", ".", cwd=repo)
    git("commit", "-qm", "others go on", cwd=repo)
    found = made.change("one")
    assert (found.target, found.base, found.merged, found.commits) == ("main", base, False, 1)
    assert (found.added, found.removed) == (3, 1)
    assert found.files == [FileChange("README", None, 1, 1), FileChange("a", None, 2, 0)]
    # What others did is not its own, though it has it now.
    git("merge", "-q", "--no-edit", "main", cwd=top)
    found = made.change("one")
    assert (found.base, found.commits) == (git("rev-parse", "main", cwd=repo), 2)
    assert [one.path for one in found.files] == ["README", "a"]


def test_what_is_merged_is_told_by_where_it_began(repo, git, made):
    made("one", {"a": b"1\n"})
    git("merge", "-q", "--ff-only", "prodigy-one", cwd=repo)
    found = made.change("one")
    assert (found.merged, found.commits, found.added) == (True, 1, 1)
    made("two", {"b": b"1\n2\n"})
    git("merge", "-q", "--no-ff", "--no-edit", "prodigy-two", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "and on", cwd=repo)
    one, two = made.change("one", "two")
    assert (one.merged, one.commits, [f.path for f in one.files]) == (True, 1, ["a"])
    assert (two.merged, two.commits, [f.path for f in two.files]) == (True, 1, ["b"])


def test_of_what_is_merged_and_began_nobody_knows_where_it_is_not_said_that_it_changes_nothing(
    repo, git, made, store
):
    made("one", {"a": b"1\n"})
    git("merge", "-q", "--no-edit", "prodigy-one", cwd=repo)
    rewrite_session(store, "one", metadata={"base_commit": None})
    found = made.change("one")
    assert (found.merged, found.base, found.commits, found.files) == (True, None, None, None)
    said = refused("diff", "one", cwd=repo)
    assert "where one began is not known: 'git show" in said


def test_odd_files(repo, git, made):
    (repo / "old name").write_text("".join(f"{n}\n" for n in range(40)))
    (repo / "same").write_text("x" * 2000)
    git("add", ".", cwd=repo)
    git("commit", "-qm", "files", cwd=repo)
    top = made("one", {"binary": b"\0\1\2", "tab\tnew\nline": b"1\n", "\udcff": b"1\n"})
    git("mv", "old name", "new\tname", cwd=top)
    git("rm", "-q", "same", cwd=top)
    git("commit", "-qm", "more", cwd=top)
    found = {one.path: one for one in made.change("one").files}
    assert found["binary"] == FileChange("binary", None, None, None)
    assert found["tab\tnew\nline"].lines_added == found["\udcff"].lines_added == 1
    assert found["new\tname"] == FileChange("new\tname", "old name", 0, 0)
    assert found["same"].lines_removed == 1


def test_no_change_and_no_commit(repo, git, made):
    new(repo, "none")
    top = new(repo, "empty")["worktree"]
    git("commit", "-q", "--allow-empty", "-m", "nothing", cwd=top)
    none, empty = made.change("none", "empty")
    assert (none.merged, none.commits, none.files) == (True, 0, [])
    assert (empty.merged, empty.commits, empty.files) == (False, 1, [])


def test_each_is_compared_with_the_branch_that_it_began_at(repo, git, made):
    git("branch", "release", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "newer", cwd=repo)
    made("one", {"a": b"1\n"}, "--base", "release")
    made("two", {"a": b"1\n"})
    top = made("three", {"b": b"1\n"}, "--base", "prodigy-two")
    found = made.change("one", "two", "three")
    assert [one.target for one in found] == ["release", "main", "prodigy-two"]
    assert [[file.path for file in one.files] for one in found] == [["a"], ["a"], ["b"]]
    ok("finish", "two", cwd=repo)
    ok("worktree", "clean", "-f", "two", cwd=repo)
    git("branch", "-q", "-D", "prodigy-two", cwd=repo, check=False)
    three = made.change("three")
    assert (three.target, three.commits) == ("main", 2)
    assert [one.path for one in three.files] == ["a", "b"]
    git("switch", "-q", "--orphan", "alone", cwd=top)
    git("commit", "-q", "--allow-empty", "-m", "no ancestor", cwd=top)
    alone = made.change("three")
    assert (alone.base, alone.merged, alone.files) == (None, False, None)


def test_the_same_commit_against_two_branches(repo, git, made):
    git("branch", "release", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "newer", cwd=repo)
    made("one", {"a": b"1\n"}, "--base", "release")
    new(repo, "two", "--base", "main")
    top = new(repo, "three", "--base", "release")["worktree"]
    git("switch", "-q", "--detach", "prodigy-one", cwd=top)
    found = made.change("one", "two", "three")
    assert [len(one.files) for one in found] == [1, 0, 1]


def test_what_cannot_be_told_is_left_open(repo, git, made, store):
    made("one", {"a": b"1\n"})
    made("two", {"b": b"1\n"})
    tree = git("rev-parse", "prodigy-one^{tree}", cwd=repo)
    (repo / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    one, two = made.change("one", "two")
    assert (one.commits, two.commits) == (1, 1)
    assert [file.path for file in two.files] == ["b"]
    assert one.files is None
