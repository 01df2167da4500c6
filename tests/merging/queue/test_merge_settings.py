"""Settings and variables of the user's, and odd subjects: what is merged is the same under them."""

import shutil

import pytest
from support_cli import call
from support_merge import line, sh

WAYS = ("--rebase", "--squash")


@pytest.fixture
def signed(team):
    """Commits are signed, and every log shows it."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("NOT TESTED: signed commits; ssh-keygen is missing")
    sh(team.repo, "ssh-keygen -q -t ed25519 -N '' -f ../key </dev/null")
    sh(team.repo, 'echo "me@example.com $(cat ../key.pub)" >../allowed')
    for name, value in {
        "gpg.format": "ssh", "user.signingKey": "$PWD/../key.pub", "commit.gpgSign": "true",
        "gpg.ssh.allowedSignersFile": "$PWD/../allowed", "log.showSignature": "true",
    }.items():  # fmt: skip
        sh(team.repo, f'git config {name} "{value}"')
    return team


@pytest.mark.parametrize("way", [(), ("--rebase",), ("--squash",)])
def test_signed_commits_are_merged_where_every_log_shows_signatures(signed, way):
    signed.work("a", "echo a >a; git add a; git commit -qm first; echo b >b")
    signed.work("b", "echo c >c")
    sh(signed.repo, "git commit -q --allow-empty -m more")
    assert signed.states("--order", "item", *way) == {"a": "merged", "b": "merged"}
    made = [one for one in signed.events("CommitCreated") if one["action"] == "merge"]
    assert len(made) == (3 if way == ("--rebase",) else 2)
    for one in made:
        subject = sh(signed.repo, f"git log -1 --no-show-signature --format=%s {one['commit']}")
        assert one["subject"] == subject
    assert "signature" not in sh(signed.repo, "git log --no-show-signature --format=%B%an")


@pytest.mark.parametrize("end", ["\u2028", "\u0085", "\x0c"])
@pytest.mark.parametrize("way", WAYS)
def test_a_subject_may_have_what_others_take_for_the_end_of_a_line(team, end, way):
    made = team.work("a", "echo a >a")
    subject = f"one{end}line"
    sh(made["worktree"], f"git commit -q --amend -m '{subject}' --author 'A{end}N <a@example.com>'")
    sh(made["worktree"], "echo more >more; git add more; git commit -qm more")
    sh(team.repo, "git commit -q --allow-empty -m meanwhile")
    assert team.states(way) == {"a": "merged"}
    told = sh(team.repo, "git log -2 --format=%s%n%b%n%an")
    assert subject in told
    assert f"A{end}N" in told
    if way == "--rebase":
        subjects = [one["subject"] for one in team.events("CommitCreated")]
        assert subject in subjects


@pytest.mark.parametrize("value", ["false", "only"])
def test_what_is_said_of_fast_forwards_does_not_matter_to_squashing(team, value):
    team.each({"a": "echo a >a", "b": "echo b >b"})
    sh(team.repo, f"git config merge.ff {value}")
    assert team.states("--squash") == {"a": "merged", "b": "merged"}


def test_no_editor_is_started(team, monkeypatch):
    team.each({"a": line(1, "a"), "b": line(1, "b")})
    editor = f"touch {team.repo.parent}/started; false"
    for name in ("GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "VISUAL", "EDITOR"):
        monkeypatch.setenv(name, editor)
    found = team.merge("a", "b", "--rebase", "--resolve", "(echo ab; seq 2 30) >f")
    assert [one["resolved"] for one in found["results"]] == [False, True]
    assert not (team.repo.parent / "started").exists()


def test_an_expression_for_a_commit_is_no_branch(team):
    team.work("a", "echo a >a")
    done = call("merge", "a", "--into", "main~0", cwd=team.repo)
    assert done.code != 0
    assert "there is no branch main~0" in done.err


def test_an_empty_command_is_to_be_left_out(team):
    team.work("a", "echo a >a")
    done = call("merge", "a", "--resolve", " ", cwd=team.repo)
    assert "--resolve is empty: give a command, or leave it out" in done.err
