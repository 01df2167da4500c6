"""Checkouts of the branch that is merged into follow, and nobody's work in them is disturbed."""

import pytest
from support_cli import call
from support_merge import sh


@pytest.mark.parametrize(
    "dirt",
    ["echo changed >>f", "echo staged >>README; git add README", "git rm -q --cached README"],
)
def test_a_checkout_with_changes_is_left_alone_and_told(team, dirt):
    team.work("a", "echo a >a")
    sh(team.repo, dirt)
    before = sh(team.repo, "git diff; git diff --cached; ls")
    old = team.tip()
    done = call("merge", "--job", "j", cwd=team.repo)
    assert done.code == 0
    assert "is left as it is, there is work in it that is not committed" in done.err
    assert sh(team.repo, f"git diff; git diff --cached {old}; ls") == before
    # What it says to do keeps the changes, and brings the rest.
    sh(team.repo, done.err.split("'")[1])
    assert sh(team.repo, "cat a") == "a"
    assert sh(team.repo, "git diff; git diff --cached") == before.rpartition("\nREADME")[0]


@pytest.mark.parametrize("way", ["one call", "two calls", "an undo", "staged"])
def test_what_it_says_to_do_brings_a_checkout_there_that_several_moves_have_left(team, way):
    team.each({"a": "echo a >a; sed -i 1s/.*/A/ f", "b": "echo b >b", "c": "echo c >c"})
    if way == "an undo":  # the checkout follows the first, and is left by what comes then
        team.merge("c")
    sh(team.repo, "echo mine >>README")
    if way == "staged":
        sh(team.repo, "git add README")
    if way == "one call":
        done = call("merge", "a", "b", cwd=team.repo)
    else:
        call("merge", "a", cwd=team.repo)
        if way == "an undo":
            call("merge", "--undo", cwd=team.repo)
            call("merge", "--undo", cwd=team.repo)
        done = call("merge", "b", cwd=team.repo)
    (told,) = [line for line in done.err.splitlines() if "is left as it is" in line]
    sh(team.repo, told.split("'")[1])
    assert sh(team.repo, "git status --porcelain").strip() == (
        "M  README" if way == "staged" else "M README"
    )
    assert sh(team.repo, "git diff HEAD README | tail -1") == "+mine"


def test_what_is_staged_where_a_merge_changes_it_is_not_taken_for_what_was_merged(team):
    team.each({"a": "sed -i 1s/.*/A/ f", "b": "echo b >b"})
    sh(team.repo, "sed -i 1s/.*/mine/ f; git add f")
    done = call("merge", "a", "b", cwd=team.repo)
    told = done.err.split("'")[1]
    # git says what is in the way: else the work of a would be staged to be taken back.
    assert "would be overwritten" in sh(team.repo, f"! {told} 2>&1")
    assert not (team.repo / "b").exists()


def test_a_file_that_was_cut_after_a_kill_stays_as_it_was_cut(team, monkeypatch):
    team.work("a", "sed -i 1s/.*/A/ f")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prodigy_git.merging.queue.branch_moves._rest", killed)
        assert call("merge", "a", cwd=team.repo).code == 130
    sh(team.repo, "head -20 f >../f; cat ../f >f")
    found = team.merge("a")
    assert [one["item_id"] for one in found["finished"]] == ["a"]
    (checkout,) = found["target_checkouts"]
    assert not checkout["followed"]
    assert (team.repo / "f").read_text().split()[-1] == "20"


@pytest.mark.parametrize(
    ("there", "script"),
    [
        ("echo mine >new", "echo theirs >new"),
        ("echo mine >new; echo new >>.git/info/exclude", "echo theirs >new"),
        ("echo mine >new; echo new >>.git/info/exclude", "mkdir new; echo theirs >new/file"),
        ("mkdir new; echo mine >new/kept; echo new >>.git/info/exclude", "echo theirs >new"),
        ("ln -s nowhere new; echo new >>.git/info/exclude", "mkdir new; echo theirs >new/file"),
    ],
)
def test_a_file_that_git_does_not_have_is_never_overwritten(team, there, script):
    team.work("a", script)
    sh(team.repo, there)
    before = sh(
        team.repo, "find . -path ./.git -prune -o -ls | awk '{print $3, $7, $11, $12, $13}'"
    )
    found = team.merge("--job", "j")
    (checkout,) = found["target_checkouts"]
    assert not checkout["followed"]
    assert "new" in checkout["reason"]
    after = sh(team.repo, "find . -path ./.git -prune -o -ls | awk '{print $3, $7, $11, $12, $13}'")
    assert after == before
    assert team.tip() == found["new"] != found["old"]


def test_what_git_has_makes_way(team):
    """A file becomes a folder, a folder a file: nothing of anybody's is in the way."""
    sh(team.repo, "mkdir d; echo d >d/d; echo e >e; git add .; git commit -qm more")
    team.work("a", "rm -r d e; echo d >d; mkdir e; echo e >e/e; chmod +x f")
    assert team.merge("--job", "j")["target_checkouts"][0]["followed"]
    assert team.is_clean()
    assert sh(team.repo, "cat d e/e") == "d\ne"


def test_a_checkout_in_the_middle_of_something_is_left_alone(team):
    team.work("a", "echo a >a")
    sh(team.repo, "mkdir .git/rebase-merge")
    (checkout,) = team.merge("--job", "j")["target_checkouts"]
    assert checkout["reason"] == "a rebase is under way there"
    assert not (team.repo / "a").exists()


def test_a_target_in_a_linked_worktree_follows_and_one_that_is_nowhere_moves(team):
    team.work("a", "echo a >a")
    sh(team.repo, "git branch rel; git worktree add -q ../rel rel; git branch free")
    found = team.merge("a", "--into", "rel")
    assert [one["worktree"] for one in found["target_checkouts"]] == [str(team.repo.parent / "rel")]
    assert (team.repo.parent / "rel" / "a").exists()
    assert team.merge("a", "--into", "free")["target_checkouts"] == []
