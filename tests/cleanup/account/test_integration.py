"""Integrated, unused or ahead: how a branch's work comes to be in another, and what only seems so."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from support_cli import snapshot

from prodigy_git.cleanup.account.lone_commits import common_place
from prodigy_git.git import integration
from prodigy_git.git.integration import Question
from prodigy_git.record.gitdir import Place


@pytest.fixture
def do(git, repo):
    """``do("commit -m x")`` runs git in the repository; ``do.write`` commits files."""

    class Do:
        start = git("rev-parse", "HEAD", cwd=repo)

        def __call__(self, *words, check=True):
            return git(*words, cwd=repo, check=check)

        def write(self, message, **files):
            for name, text in files.items():
                (repo / name).write_bytes(text if isinstance(text, bytes) else text.encode())
            git("add", "-A", cwd=repo)
            git("commit", "-q", "--allow-empty", "-m", message, cwd=repo)

        def branch(self):
            git("checkout", "-q", "-b", "work", self.start, cwd=repo)

        def main(self):
            git("checkout", "-q", "main", cwd=repo)

    return Do()


LINES = "".join(f"line {n}\n" for n in range(40))


def two_commits(do):
    do.branch()
    do.write("one", one="1\n")
    do.write("two", two="2\n")


def same_commit(do):
    two_commits(do)
    do.main()
    do("merge", "-q", "--ff-only", "work")


def merged(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")
    do("merge", "-q", "--no-ff", "-m", "merge", "work")


def merged_and_reverted(do):
    merged(do)
    do("revert", "--no-edit", "-m", "1", "HEAD")


def squashed(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")
    do("merge", "-q", "--squash", "work")
    do("commit", "-qm", "squashed")


def squashed_and_gone_on(do):
    squashed(do)
    do.write("changed again", one="changed\n")


def squashed_and_reverted(do):
    squashed(do)
    do("revert", "--no-edit", "HEAD")


def rebased(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")
    do("checkout", "-q", "-b", "copy", "work")
    do("rebase", "-q", "main")
    do.main()
    do("merge", "-q", "--ff-only", "copy")


def picked_and_gone_on(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")
    do("cherry-pick", "work~1", "work")
    do.write("changed again", one="changed\n", two="changed\n")


def made_by_both(do):
    two_commits(do)
    do.main()
    do.write("the same, by hand", one="1\n", two="2\n", three="3\n")


def same_contents(do):
    two_commits(do)
    do.main()
    do.write("the same, by hand", one="1\n", two="2\n")


def empty_commits(do):
    do.branch()
    do.write("nothing")
    do.write("nothing again")


def empty_commits_and_a_target_that_moved(do):
    empty_commits(do)
    do.main()
    do.write("other", other="x")


def undone(do):
    two_commits(do)
    do("revert", "--no-edit", "HEAD", "HEAD~1")


def squashed_with_main_merged_in(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")
    do("checkout", "-q", "work")
    do("merge", "-q", "--no-edit", "main")
    do.write("three", three="3\n")
    do.main()
    do("merge", "-q", "--squash", "work")
    do("commit", "-qm", "squashed")
    do.write("changed again", one="changed\n", three="changed\n")


def in_the_remote(do):
    two_commits(do)
    do("update-ref", "refs/remotes/origin/main", "work")
    do("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


INTEGRATED = [
    (same_commit, "the same commit"),
    (merged, "its commits are in it"),
    (merged_and_reverted, "its commits are in it"),
    (squashed, "merging it would change nothing"),
    (squashed_and_gone_on, "squashed into one commit"),
    (squashed_and_reverted, "squashed into one commit"),
    (rebased, "merging it would change nothing"),
    (picked_and_gone_on, "each of its patches is in it"),
    (made_by_both, "merging it would change nothing"),
    (same_contents, "the same contents"),
    (empty_commits, "the same contents"),
    (empty_commits_and_a_target_that_moved, "it changes nothing"),
    (undone, "the same contents"),
    (squashed_with_main_merged_in, "squashed into one commit"),
    (in_the_remote, "the same commit"),
]


def ahead(do):
    two_commits(do)


def ahead_of_one_that_moved(do):
    two_commits(do)
    do.main()
    do.write("other", other="x")


def one_of_two_picked(do):
    ahead_of_one_that_moved(do)
    do("cherry-pick", "work")


def conflicting(do):
    do.branch()
    do.write("ours", README="ours\n")
    do.main()
    do.write("theirs", README="theirs\n")


def squashed_and_one_more(do):
    squashed(do)
    do("checkout", "-q", "work")
    do.write("three", three="3\n")


def same_file_other_bytes(do):
    """Two changes of one binary file: git's patch ids were once the same for them."""
    do.branch()
    do.write("ours", data=b"\0ours")
    do.main()
    do.write("theirs", data=b"\0other")


def only_a_mode(do):
    ahead_of_one_that_moved(do)
    do("checkout", "-q", "-B", "work", do.start)
    do("update-index", "--chmod=+x", "README")
    do("commit", "-qm", "mode")
    do("reset", "-q", "--hard")


def unrelated(do):
    do("checkout", "-q", "--orphan", "work")
    do.write("unrelated", README="another\n")


def pushed_only(do):
    """Its own remote-tracking branch has it; that says nothing of the base."""
    two_commits(do)
    do("update-ref", "refs/remotes/origin/work", "work")


AHEAD = [
    (ahead, "2 commits"),
    (ahead_of_one_that_moved, "2 commits"),
    (one_of_two_picked, "2 commits"),
    (conflicting, "1 commit"),
    (squashed_and_one_more, "3 commits"),
    (same_file_other_bytes, "1 commit"),
    (only_a_mode, "1 commit"),
    (unrelated, "1 commit"),
    (pushed_only, "2 commits"),
]


def ask(repo, questions, configured="main"):
    common = common_place(Place(f"{repo}/.git", f"{repo}/.git", str(repo)))
    known = integration.refs(common)
    default = integration.defaults(known, configured)
    with ThreadPoolExecutor(2) as pool:
        return integration.how(common, known, default, questions, pool)


def question(do, base="main", made=True):
    return Question(do("rev-parse", "work"), "work", base, do.start, made)


@pytest.mark.parametrize(("make", "how"), INTEGRATED, ids=[m.__name__ for m, _ in INTEGRATED])
def test_integrated(repo, do, make, how):
    make(do)
    before = snapshot(repo)
    (found,) = ask(repo, [question(do)])
    assert snapshot(repo) == before
    into = "origin/main" if make is in_the_remote else "main"
    assert (found.kind, found.how, found.into) == ("integrated", how, into)


@pytest.mark.parametrize(("make", "how"), AHEAD, ids=[m.__name__ for m, _ in AHEAD])
def test_ahead(repo, do, make, how):
    make(do)
    before = snapshot(repo)
    (found,) = ask(repo, [question(do)])
    assert snapshot(repo) == before
    assert (found.kind, found.how, found.into) == ("ahead", how, "main")


def test_a_branch_without_commits_of_its_own_is_unused_wherever_it_is(repo, do):
    do.branch()
    assert ask(repo, [question(do, made=False)])[0].kind == "unused"
    # Committed and taken back: what was given up is in the reflog, not on the branch.
    assert ask(repo, [question(do, made=True)])[0].kind == "unused"
    do.main()
    do.write("other", other="x")
    do("branch", "-qf", "work", "main")
    assert ask(repo, [question(do, made=False)])[0].kind == "unused"
    assert ask(repo, [question(do, made=True)])[0].kind == "integrated"


def test_unused_where_no_other_branch_has_its_start(repo, do):
    do("checkout", "-q", "--detach")
    do.write("on no branch", one="1")
    do("checkout", "-q", "-b", "work")
    found = ask(
        repo, [Question(do("rev-parse", "HEAD"), "work", None, do("rev-parse", "HEAD"), False)]
    )
    assert (found[0].kind, found[0].into) == ("unused", None)


def test_the_default_branch_counts_beside_the_base(repo, do):
    same_commit(do)
    do("branch", "base", do.start)
    (found,) = ask(repo, [question(do, base="base")])
    assert (found.kind, found.into) == ("integrated", "main")


def test_it_is_not_compared_with_itself(repo, do):
    two_commits(do)
    (found,) = ask(repo, [question(do, base="work")])
    assert (found.kind, found.into) == ("ahead", "main")
    do("branch", "-qD", "main")
    assert ask(repo, [question(do, base="work")])[0].kind == "none"


def test_a_target_with_more_commits_than_the_cap_is_not_searched_by_patch(repo, do, monkeypatch):
    squashed_and_gone_on(do)
    assert ask(repo, [question(do)])[0].kind == "integrated"
    monkeypatch.setattr(integration, "CAP", 2)
    assert ask(repo, [question(do)])[0].kind == "ahead"


def test_diff_settings_of_the_user_change_nothing(repo, do):
    for name, value in (
        ("diff.noprefix", "true"), ("diff.external", "false"), ("diff.context", "0"),
        ("diff.algorithm", "patience"), ("color.ui", "always"), ("diff.renames", "copies"),
        ("diff.orderFile", os.devnull), ("core.quotePath", "true"),
    ):  # fmt: skip
        do("config", name, value)
    squashed_and_gone_on(do)
    assert ask(repo, [question(do)])[0].how == "squashed into one commit"


def test_many_are_answered_as_each_is_alone(repo, do):
    """One process tells all branches apart by their commits."""
    picked_and_gone_on(do)
    heads = {}
    for number in range(6):
        do("checkout", "-q", "-b", f"b{number}", "main~1" if number % 2 else do.start)
        for step in range(number):
            do.write(f"{number} {step}", **{f"b{number}": f"{step}\n"})
        heads[f"b{number}"] = do("rev-parse", "HEAD")
    questions = [question(do)]
    questions += [Question(head, name, "main", None, True) for name, head in heads.items()]
    together = ask(repo, questions)
    assert together == [ask(repo, [one])[0] for one in questions]
    assert [one.kind for one in together] == ["integrated"] * 2 + ["ahead"] * 5
