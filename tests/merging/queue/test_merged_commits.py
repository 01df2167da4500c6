"""The commits that merging makes: merged, squashed, rebased; by whom, and as hooks and settings say."""

import pytest
from support_cli import ok
from support_merge import line, sh


def test_the_commits_that_merging_makes_are_recorded_once_and_are_nobodys(team):
    ok("install", cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b"})
    sh(team.repo, "git commit -q --allow-empty -m mine")  # from here on it has a session
    team.merge("--job", "j", "--order", "item")
    made = [one for one in team.events("CommitCreated") if one["action"] == "merge"]
    assert [one["commit"] for one in made] == sh(
        team.repo, "git log --merges --reverse --format=%H"
    ).split()
    ok("verify", cwd=team.repo)
    sh(team.repo, "git commit -q --allow-empty -m later")
    ok("verify", cwd=team.repo)
    shas = [one["commit"] for one in team.events("CommitCreated")]
    assert len(shas) == len(set(shas)) == 6
    assert "made by     session run-" in ok("explain", made[0]["commit"], cwd=team.repo).out


def test_the_commits_of_a_rebase_are_recorded_too(team):
    ok("install", cwd=team.repo)
    sh(team.repo, "git commit -q --allow-empty -m mine")
    team.work("a", "echo 1 >1; git add 1; git commit -qm one; echo 2 >2")
    sh(team.repo, "git commit -q --allow-empty -m more")
    team.merge("a", "--rebase")
    assert len([one for one in team.events("CommitCreated") if one["action"] == "merge"]) == 2
    ok("verify", cwd=team.repo)


def test_the_hooks_of_the_repository_are_heeded(team, hooks):
    hooks("pre-merge-commit", "test ! -e bad || { echo no bad files >&2; exit 1; }")
    hooks("commit-msg", r"printf '\nReviewed-by: a hook\n' >>$1")
    team.each({"a": "echo a >bad", "b": "echo b >b"})
    found = team.merge("--job", "j", code=1)
    assert [(one["state"], one["reason"]) for one in found["results"]] == [
        ("refused", "no bad files"), ("merged", None),
    ]  # fmt: skip
    assert sh(team.repo, "git log -1 --format=%b") == "Reviewed-by: a hook"
    assert team.is_clean()


@pytest.fixture
def hooks(team):
    def write(name, script):
        path = team.repo / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_a_protected_branch_is_not_moved(team, hooks):
    hooks(
        "reference-transaction",
        'test "$1" = prepared || exit 0\n'
        "while read old new ref; do case $ref in refs/heads/main) echo main is frozen >&2; exit 1;;"
        "esac; done; exit 0",
    )
    team.each({"a": "echo a >a", "b": "echo b >b"})
    before = team.tip()
    found = team.merge("--job", "j", code=1)
    assert [one["state"] for one in found["results"]] == ["refused", "refused"]
    assert "main is frozen" in found["results"][0]["reason"]
    assert team.tip() == before
    assert team.events("WorktreeMerged") == []
    found = team.merge("--job", "j", "--bisect", code=1)
    assert [one["state"] for one in found["results"]] == ["refused", "refused"]


def test_squashed_it_is_one_commit_by_whoever_wrote_it(team):
    team.work(
        "a",
        "echo 1 >1; git add 1; GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org "
        "git commit -qm first; echo 2 >2; git add 2; GIT_AUTHOR_NAME=Bo "
        "GIT_AUTHOR_EMAIL=bo@example.org git commit -qm second -m 'Fixes: 7'; echo 3 >3;"
        "export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org",
    )
    old = team.tip()
    assert team.states("--squash") == {"a": "merged"}
    assert sh(team.repo, f"git rev-list --count {old}..main") == "1"
    assert sh(team.repo, "git log -1 --format='%an <%ae>|%cn'") == (
        f"Ada <ada@example.org>|{sh(team.repo, 'git config user.name')}"
    )
    assert sh(team.repo, "git log -1 --format=%B") == (
        "a: first\n\n* first\n* second\n* work on a\n\nFixes: 7\n"
        "Co-authored-by: Bo <bo@example.org>\n"
    ).rstrip("\n")
    assert team.states("--squash") == {"a": "already_merged"}
    # Also when the branch has gone on, in the same place.
    sh(team.repo, "echo other >1; git commit -qam other")
    assert team.states() == {"a": "already_merged"}


def test_rebased_each_commit_is_made_anew(team):
    team.each({"a": "echo a >a", "b": "echo 1 >1; git add 1; git commit -qm one; echo b >b"})
    assert team.states("--rebase") == {"a": "merged", "b": "merged"}
    assert sh(team.repo, "git log --format=%s -4") == "work on b\none\nwork on a\nlines"
    assert sh(team.repo, "git log --merges --oneline") == ""
    assert team.is_clean()
    assert team.states("--rebase") == {"a": "already_merged", "b": "already_merged"}
    # Other commands know it, although the branch has none of the results' commits.
    rows = ok("job", "show", "j", "--items", cwd=team.repo).out.splitlines()
    assert [row.split("\t")[-1] for row in rows[:2]] == ["merged into main"] * 2
    assert ok("diff", "b", "--json", cwd=team.repo).json["merged"] is True
    ok("merge", "--undo", cwd=team.repo)
    assert ok("diff", "b", "--json", cwd=team.repo).json["merged"] is False


def test_a_rebase_that_conflicts_leaves_nothing_behind(team):
    team.each({"a": line(3, "a"), "b": line(3, "b"), "c": "echo c >c"})
    assert team.states("--rebase", code=1) == {"a": "merged", "b": "conflict", "c": "merged"}
    assert team.left() == []


def test_trailers_name_the_session_where_git_config_says_so(team, git):
    git("config", "prodigy.trailers", "true", cwd=team.repo)
    made = team.work("a", "echo a >a")
    team.merge("--job", "j")
    assert sh(team.repo, "git log -1 --format='%(trailers)'").split("\n")[:2] == [
        f"Prodigy-Session: {made['session_id']}", "Prodigy-Job: j",
    ]  # fmt: skip


def test_what_git_signs_is_signed(team, git, tmp_path):
    program = tmp_path / "gpg"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null; echo '[GNUPG:] SIG_CREATED ' >&2; echo signature\n"
    )
    program.chmod(0o755)
    git("config", "gpg.program", str(program), cwd=team.repo)
    git("config", "commit.gpgSign", "true", cwd=team.repo)
    team.each({"a": "echo a >a", "b": "echo b >b", "c": "echo c >c"})
    for item, way in (("a", "--merge"), ("b", "--squash"), ("c", "--rebase")):
        team.merge(item, way)
        assert "\ngpgsig signature" in sh(team.repo, "git cat-file commit main"), way


def test_who_has_no_name_is_told_so(team, git):
    team.work("a", "echo a >a")
    git("config", "user.useConfigOnly", "true", cwd=team.repo)
    for key in ("user.name", "user.email"):
        git("config", key, "", cwd=team.repo)
    (one,) = team.merge("a", code=1)["results"]
    assert one["state"] == "refused"
    assert "empty ident name" in one["reason"]
