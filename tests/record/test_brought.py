"""Commits that no `git commit` made: which of those that HEAD went to were made here.

The scripts run in a worktree that is enrolled, with Start as its one recorded commit. ``n`` is what a
script calls its newest commit by plumbing; ``there`` is another repository, a clone.
"""

import os
from pathlib import Path

import pytest
from support_record import (
    PREAMBLE,
    SILENT,
    Templates,
    World,
    commit,
    commits,
    drain_now,
    git,
    place,
    run,
    session_of,
    start_hook,
    write_hooks,
)

from prodigy_git.record import enrolment, new_commits
from prodigy_git.record.cursor import Cursor

# tree: makes a commit by plumbing on top of $1. long_ago, other: dated so, and by somebody else.
# import: one commit for fast-import, on top of the branch $1 or of the import before.
WORDS = (
    PREAMBLE
    + """
tree() { git commit-tree HEAD^{tree} -p "$1" -m "$2"; }
long_ago() { GIT_COMMITTER_DATE='2001-02-03T04:05:06Z' "$@"; }
other() { GIT_COMMITTER_NAME=Else GIT_COMMITTER_EMAIL=else@example.org "$@"; }
import() {
    printf 'commit %s\\ncommitter %s <i@example.org> %s +0000\\ndata 2\\n%s\\n' "$@"
    [ "$4" != 11 ] || printf 'from %s^0\\n' "$1"
    printf 'M 100644 inline z\\ndata 3\\n%s\\n\\n' "$4"
}
"""
)
IMPORT = "b=$(git symbolic-ref HEAD);"

# name: (script, what was made here, what is unclear)
TABLE: dict[str, tuple[str, list[str], list[str]]] = {
    "reset": ("git reset -q --soft $(tree HEAD one)", ["one"], []),
    "reset, a commit after it": ("git reset -q --soft $(tree HEAD one); c two", ["one", "two"], []),
    "reset, packed since": ("git reset -q --soft $(tree HEAD one); git repack -qad", ["one"], []),
    "reset, pushed since": (
        "git reset -q --soft $(tree HEAD one); git push -q there HEAD:refs/heads/mine", ["one"], [],
    ),
    "reset, tagged since": ("git reset -q --soft $(tree HEAD one); git tag t; git branch u",
                            ["one"], []),
    "checkout": ("git checkout -q $(tree HEAD one)", ["one"], []),
    "checkout to a new branch": ("git checkout -q -b new $(tree HEAD one)", ["one"], []),
    "fast-forward": ("git merge -q --ff-only $(tree HEAD one)", ["one"], []),
    "merged": ("git merge -q --no-ff -m two $(tree HEAD one)", ["one", "two"], []),
    "rebased onto": ("c one; git rebase -q --onto $(tree HEAD~1 two) HEAD~1",
                     ["one", "one", "two"], []),
    "several, with a message": (
        "n=$(tree HEAD one); n=$(tree $n two); n=$(tree $n three); git update-ref -m mine HEAD $n",
        ["one", "two", "three"], []),
    "several, by update-ref --stdin": (
        "n=$(tree HEAD one); n=$(tree $n two); echo update HEAD $n | git update-ref --stdin",
        ["one", "two"], []),
    "dated long ago": ("git reset -q --soft $(long_ago tree HEAD one)", ["one"], []),
    "by another committer": ("git reset -q --soft $(other tree HEAD one)", ["one"], []),
    "long ago, by update-ref": ("git update-ref HEAD $(long_ago tree HEAD one)", ["one"], []),
    "every line dated long ago": (
        "export GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'; c one; git reset -q --soft $(tree HEAD two);"
        "c three; git update-ref -m mine HEAD $(tree HEAD four)", ["one", "two", "three", "four"], []),
    "every line dated ahead": (
        "export GIT_COMMITTER_DATE='2040-02-03T04:05:06Z'; c one; git reset -q --soft $(tree HEAD two);"
        "c three; git update-ref -m mine HEAD $(tree HEAD four)", ["one", "two", "three", "four"], []),
    "fast-import": (
        IMPORT + "for i in 11 12 13; do import $b Else 100000 $i; done | git fast-import --quiet;"
        "git reset -q --hard", ["11", "12", "13"], []),
    "fast-import into a pack": (
        IMPORT + "for i in 11 12; do import $b Else 100000 $i; done"
        " | git -c fastimport.unpackLimit=1 fast-import --quiet; git reset -q --hard",
        ["11", "12"], []),
    "there and back": ("n=$(tree HEAD one); git reset -q --soft $n; git reset -q --soft HEAD~1;"
                       "git reset -q --soft $n", ["one"], []),
    "to an amended one": ("c one; c two --amend; git reset -q --soft HEAD@{1}", ["one", "two"], []),
    "fetched": ("git fetch -q there; git reset -q --hard there/theirs", [], []),
    "fetched and merged": (
        "git fetch -q there; git merge -q --no-ff -m joined there/theirs", ["joined"], []),
    "fetched, the ref has moved": (
        "git fetch -q there; n=$(git rev-parse there/theirs); git -C ../there commit -q --amend -m x"
        " --allow-empty; git fetch -q there; git reset -q --hard $n", [], []),
    "fetched without a ref": (
        "git fetch -q ../there theirs; git checkout -q $(git rev-parse FETCH_HEAD)", [], []),
    "fetched into a branch": ("git fetch -q ../there theirs:theirs; git merge -q --ff-only theirs",
                              [], []),
    "fetched into a pack": (
        "git -c fetch.unpackLimit=1 fetch -q there; git reset -q --hard there/theirs", [], []),
    "fetched by update-ref": ("git fetch -q there; git update-ref -m mine HEAD there/theirs", [], []),
    "fetched, an action of one's own": (
        "git fetch -q there; GIT_REFLOG_ACTION=mine git merge -q --ff-only there/theirs", [], []),
    "pulled": ("git pull -q --ff-only there theirs", [], []),
    "a branch had it": (
        "git branch b $(tree HEAD one); sleep 1.1; git merge -q --ff-only b", [], ["one"]),
    "a branch had it that is gone": (
        "git branch b $(tree HEAD one); sleep 1.1; git merge -q --ff-only b; git branch -q -d b",
        [], ["one"]),
    "made before the line before": (
        "n=$(tree HEAD one); sleep 1.1; c two; git reset -q --soft $n", ["two"], ["one"]),
}  # fmt: skip


@pytest.fixture(params=["main", "linked"])
def world(
    request: pytest.FixtureRequest, sealed: Path, tmp_path: Path, templates: Templates
) -> World:
    write_hooks(sealed)
    found = templates.copy(request.param, tmp_path)
    there = found.root / "there"
    git("clone", "-q", "--template=", found.top, there, cwd=found.root, **SILENT)
    git("checkout", "-q", "-b", "theirs", cwd=there, **SILENT)
    git("remote", "add", "there", there, cwd=found.top)
    git("fetch", "-q", "there", cwd=found.top)
    for name in ("t1", "t2"):
        commit(there, name, **SILENT)
    return found


def _script(world: World, script: str, **env: str) -> None:
    run("sh", "-e", "-c", WORDS + script, cwd=world.top, **env)


def _subjects(world: World, shas: list[str]) -> list[str]:
    return [git("log", "-1", "--format=%s", sha, cwd=world.top) for sha in shas]


def _unclear(top: Path) -> list[str]:
    where = place(top)
    found = enrolment.read(where.private)
    assert found is not None
    reading = new_commits.read(where, Cursor(found.start), rebase_ended=False, doubts=True)
    assert reading is not None
    return reading.unclear


@pytest.mark.parametrize("env", [{}, SILENT], ids=["hooks", "silenced"])
@pytest.mark.parametrize("name", TABLE)
def test_brought(name: str, env: dict[str, str], world: World) -> None:
    script, here, unclear = TABLE[name]
    _script(world, script, **env)
    drain_now(world.top)
    assert sorted(_subjects(world, commits(world.store)[1:])) == sorted(here)
    assert _subjects(world, _unclear(world.top)) == unclear
    assert drain_now(world.top) == 0


def test_subtree_records_what_it_made_and_not_what_it_fetched(world: World) -> None:
    if run("git", "subtree", cwd=world.top, check=False).returncode != 129:
        pytest.skip("git-subtree is not installed")
    lib = world.root / "lib"
    git("init", "-q", "--template=", lib, cwd=world.root)
    (lib / "f").write_text("f")
    git("add", "f", cwd=lib, **SILENT)
    commit(lib, "library", **SILENT)
    git("status", cwd=world.top)  # the index of a copy has the files' times to learn
    git("subtree", "add", "-q", "--prefix=lib", lib, "HEAD", cwd=world.top)
    git("subtree", "add", "-q", "--squash", "--prefix=lib2", lib, "HEAD", cwd=world.top)
    drain_now(world.top)
    found = _subjects(world, commits(world.store)[1:])
    assert [subject.split(" ")[0] for subject in found] == ["Add", "Squashed", "Merge"]
    assert _unclear(world.top) == []


def test_of_two_worktrees_the_one_that_had_it_first_has_it(world: World) -> None:
    tree = world.root / "second"
    env = {"PRODIGY_HOME": str(world.store)}
    git("worktree", "add", "-q", "-b", "second", tree, "HEAD", cwd=world.top, **env)
    for first, then in ((world.top, tree), (tree, world.top)):
        git("reset", "-q", "--hard", git("rev-parse", "HEAD", cwd=first), cwd=then)
        before = {top: commits(world.store, session_of(top)) for top in (first, then)}
        run(
            "sh", "-e", "-c", WORDS + "n=$(tree HEAD m1); git reset -q --soft $(tree $n m2)",
            cwd=first, GIT_COMMITTER_DATE=f"{2**31 + len(before[tree])} +0000",
        )  # fmt: skip
        sha = git("rev-parse", "HEAD", cwd=first)
        git("merge", "-q", "--ff-only", sha, cwd=then, GIT_COMMITTER_DATE=f"{2**31 + 9} +0000")
        # The one that came later is asked first.
        for top in (then, first):
            drain_now(top)
        new = git("rev-list", "--reverse", f"{sha}~2..{sha}", cwd=first).split()
        assert commits(world.store, session_of(first)) == before[first] + new
        assert commits(world.store, session_of(then)) == before[then]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "when the branch is gone"])
def test_a_fast_forward_over_a_removed_worktrees_commits(late: bool, world: World) -> None:
    tree = world.root / "second"
    env = {"PRODIGY_HOME": str(world.store)}
    git("worktree", "add", "-q", "-b", "second", tree, "HEAD", cwd=world.top, **env)
    theirs = [commit(tree, name, **env) for name in ("one", "two")]
    git("worktree", "remove", tree, cwd=world.top)
    sha = git("rev-parse", "second", cwd=world.top)
    git("reset", "-q", "--hard", sha, cwd=world.top)
    if late:
        git("branch", "-q", "-D", "second", cwd=world.top)
    before = commits(world.store)
    assert set(theirs) < set(before)
    assert drain_now(world.top) == 0
    assert commits(world.store) == before


def test_where_branches_keep_no_logs(world: World) -> None:
    """As in a bare repository, if nobody asks for them: HEAD's own branch is no other ref."""
    git("config", "core.logAllRefUpdates", "false", cwd=world.top)
    for path in (Path(place(world.top).common) / "logs" / "refs").rglob("*"):
        if path.is_file():
            path.unlink()
    _script(world, "git reset -q --soft $(long_ago tree HEAD one)")
    drain_now(world.top)
    assert _subjects(world, commits(world.store)[1:]) == ["one"]


def test_objects_of_an_alternate_are_another_repositorys(world: World) -> None:
    git("commit", "-q", "--allow-empty", "-m", "base", cwd=world.top, **SILENT)
    drain_now(world.top)
    alternates = Path(place(world.top).common) / "objects" / "info" / "alternates"
    alternates.write_text(f"{world.root / 'there' / '.git' / 'objects'}\n")
    theirs = git("rev-parse", "HEAD", cwd=world.root / "there")
    before = commits(world.store)
    git("reset", "-q", "--hard", theirs, cwd=world.top)
    assert drain_now(world.top) == 0
    assert commits(world.store) == before


def test_a_branch_that_another_worktree_moves(world: World) -> None:
    """As `git replay` does it: HEAD's branch goes on, and HEAD's own reflog says nothing."""
    other = world.root / "other"
    git("worktree", "add", "-q", "--detach", other, cwd=world.top, **SILENT)
    branch = git("symbolic-ref", "HEAD", cwd=world.top)
    script = (
        f"n=$(git commit-tree {branch}^{{tree}} -p {branch} -m one); git update-ref {branch} $n"
    )
    run("sh", "-e", "-c", script, cwd=other)
    before = commits(world.store)
    assert drain_now(world.top) == 1
    assert commits(world.store) == [*before, git("rev-parse", "HEAD", cwd=world.top)]


def test_git_revise(world: World) -> None:
    """What git-revise does: objects written by itself, HEAD moved by update-ref with a message."""
    one = commit(world.top, "one")
    two = commit(world.top, "two")
    script = (
        "n=$(git cat-file commit $0 | sed s/^one/uno/ | git hash-object -t commit -w --stdin);"
        "n=$(git cat-file commit $1 | sed s/$0/$n/ | git hash-object -t commit -w --stdin);"
        "git update-ref -m 'git-revise: rewrite' HEAD $n $1"
    )
    run("sh", "-e", "-c", script, one, two, cwd=world.top)
    assert drain_now(world.top) == 2
    assert _subjects(world, commits(world.store)[1:]) == ["one", "two", "uno", "two"]


def test_a_plain_commit_asks_neither_git_nor_the_folders_of_refs(world: World) -> None:
    if run("sh", "-c", "command -v strace", cwd=world.top, check=False).returncode:
        pytest.skip("strace is not installed")
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=world.top, **SILENT)
    trace = world.root / "trace"
    command = ("strace", "-f", "-o", str(trace), "-e", "trace=execve,getdents64")
    start_hook(world.top, before=command, PRODIGY_HOME=str(world.store))
    assert len(commits(world.store)) == 2
    calls = trace.read_text()
    assert calls.count("execve(") == 1
    # Each folder takes two calls: modules are looked for in some, the job's log is one.
    repository = os.fsencode(place(world.top).common).decode()
    opened = [line for line in calls.splitlines() if "getdents64" in line and repository in line]
    assert opened == []
