"""Trust: what a repository brings runs only once a person has said so, for exactly that content."""

import os
import pty
import re
import select
import shutil
import sys
from contextlib import closing

import pytest
from support_cli import call, environment, new, ok, refused, start
from support_setup import FOREIGN_TEXTS, say, shown, trust
from support_terminal import Terminal

from prodigy_git.cli import trusting

RUN = '[setup]\nrun = "echo ran > ran"\n'


def ran(made):
    return os.path.exists(f"{made['worktree']}/ran")


def test_nothing_runs_untrusted_and_what_to_call_is_said(repo, git):
    say(repo, git, RUN)
    done = call("new-worktree", "w1", cwd=repo)
    assert done.code == 0
    assert "'prodigy-git setup trust', then 'prodigy-git setup run w1'" in done.err
    made = new(repo, "w2")
    assert (made["setup"], ran(made)) == ("untrusted", False)
    trust(repo)
    made = new(repo, "w3")
    assert (made["setup"], ran(made)) == ("done", True)
    # And in the one that was made without.
    ok("setup", "run", "w1", cwd=repo)
    with open(f"{done.out.strip()}/ran") as stream:
        assert stream.read() == "ran\n"


@pytest.mark.parametrize("path", FOREIGN_TEXTS)
def test_no_other_tools_file_runs_untrusted(repo, git, path):
    say(repo, git, FOREIGN_TEXTS[path], path)
    made = new(repo, "w1")
    assert (made["setup"], ran(made)) == ("untrusted", False)
    trust(repo)
    assert ran(new(repo, "w2"))


@pytest.mark.parametrize(
    "changed",
    [
        '[setup]\nrun = "echo ran > ran "\n', '[setup]\nrun = ["echo ran > ran", "x"]\n',
        RUN + '[env]\nA = "1"\n', RUN + 'directory = "."\ntimeout = 5\n',
        RUN + '[teardown]\nrun = "x"\n', RUN + '[check]\nrun = "x"\n', RUN + 'start = "x"\n',
    ],
)  # fmt: skip
def test_any_change_asks_again(repo, git, changed):
    say(repo, git, RUN)
    before = trust(repo)
    say(repo, git, "# a comment is no change\n" + RUN)
    assert (shown(repo)["hash"], shown(repo)["trusted"]) == (before, True)
    say(repo, git, changed)
    assert shown(repo)["trusted"] is False
    made = new(repo, "w1")
    assert (made["setup"], ran(made)) == ("untrusted", False)
    # What was trusted before is so still, on the branch that has it.
    assert ran(new(repo, "w2", "--base", "HEAD~1"))


def test_one_that_is_trusted_is_trusted_by_its_hash_only(repo, git):
    say(repo, git, RUN)
    assert "another hash" in refused("setup", "trust", "--hash", "0" * 64, cwd=repo)
    assert "no terminal" in refused("setup", "trust", cwd=repo, code=2)
    assert shown(repo)["trusted"] is False
    assert trust(repo) == trust(repo)


def test_revoking_forgets_all(repo, git):
    assert ok("setup", "trust", "--revoke", "--json", cwd=repo).json == {"revoked": 0}
    say(repo, git, RUN)
    trust(repo)
    assert ok("setup", "trust", "--revoke", "--json", cwd=repo).json == {"revoked": 1}
    assert new(repo, "w1")["setup"] == "untrusted"
    assert "--revoke goes alone" in refused(
        "setup", "trust", "--revoke", "--hash", "x", cwd=repo, code=2
    )


def test_where_nothing_is_brought_there_is_nothing_to_trust(repo):
    assert "nothing to trust" in refused("setup", "trust", cwd=repo)


def test_a_damaged_list_trusts_nothing(repo, git, store):
    say(repo, git, RUN)
    trust(repo)
    path = store / "state" / "repo" / "trusted.json"
    path.write_text("{")
    assert "--revoke" in refused("new-worktree", "w1", cwd=repo)
    ok("setup", "trust", "--revoke", cwd=repo)
    assert new(repo, "w1")["setup"] == "untrusted"


def test_another_repository_at_the_same_place_is_not_trusted(repo, git):
    say(repo, git, RUN)
    trust(repo)
    shutil.rmtree(repo)
    repo.mkdir()
    git("init", "-q", "-b", "main", cwd=repo)
    say(repo, git, RUN)
    made = new(repo, "w1")
    assert (made["setup"], ran(made)) == ("untrusted", False)


@pytest.mark.parametrize("how", ["relative", "absolute", "global"])
def test_settings_in_a_tracked_file_are_the_repositorys(repo, git, how):
    """Whoever includes a tracked file once has not allowed what it will say."""
    include = "../.gitconfig" if how == "relative" else f"{repo}/.gitconfig"
    scope = ["--global"] if how == "global" else []
    git("config", *scope, "include.path", include, cwd=repo)
    say(repo, git, '[prodigy]\n\tsetupRun = "echo ran > ran"\n', ".gitconfig")
    (part,) = shown(repo)["parts"]
    assert (part["given"], shown(repo)["trusted"]) == (True, False)
    made = new(repo, "w1")
    assert (made["setup"], ran(made)) == ("untrusted", False)
    trust(repo)
    assert ran(new(repo, "w2"))


def test_a_worktree_in_a_bare_repository_has_tracked_files(repo, git, tmp_path):
    say(repo, git, '[prodigy]\n\tsetupRun = "echo ran > ran"\n', ".gitconfig")
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", repo, bare, cwd=tmp_path)
    git("worktree", "add", "-q", bare / "main", "main", cwd=bare)
    git("config", "include.path", "main/.gitconfig", cwd=bare)
    made = new(bare / "main", "w1")
    assert (made["setup"], ran(made)) == ("untrusted", False)
    # What lies beside it, in the repository itself, nobody has brought.
    (bare / "own").write_text('[prodigy]\n\tsetupRun = "echo ran > ran"\n')
    git("config", "include.path", "own", cwd=bare)
    assert ran(new(bare / "main", "w2"))


def test_nothing_in_the_repository_switches_it_off(repo, git, store):
    """Files of such names say nothing where a repository can have them."""
    for path, text in {
        ".gitconfig": "[prodigy]\n\ttrust = true\n\tsetupTrust = all\n",
        ".prodigy/trusted.json": '{"trusted": true}', "trusted.json": "{}",
        ".prodigy/config.toml": "trust = true\n", ".envrc": "export CI=1\n",
        ".gitattributes": "* filter=evil\n",
    }.items():  # fmt: skip
        say(repo, git, text, path)
    say(repo, git, RUN)
    assert not ran(new(repo, "w1"))


def test_a_script_that_attributes_change_does_not_run(repo, git):
    say(repo, git, "* text\nrun.sh working-tree-encoding=UTF-16LE\n", ".gitattributes")
    (repo / "run.sh").write_text("echo ran > ran\n", encoding="utf-16-le")
    say(repo, git, '[setup]\nrun = "sh run.sh"\n')
    trust(repo)
    assert "not the script that was trusted" in refused_lines("new-worktree", "w1", cwd=repo)


def test_a_script_that_is_not_checked_out_is_said_to_be_missing(repo, git):
    (repo / "bin").mkdir()
    (repo / "bin" / "run.sh").write_text("echo ran > ran\n")
    say(repo, git, '[setup]\nrun = "sh bin/run.sh"\n')
    trust(repo)
    git("sparse-checkout", "set", "--no-cone", "/*", "!/bin/", cwd=repo)
    said = refused_lines("new-worktree", "w1", cwd=repo)
    assert "bin/run.sh is not in" in said
    assert "sparse checkout" in said


def refused_lines(*arguments, cwd):
    done = call(*arguments, cwd=cwd)
    assert (done.code, done.out) == (1, "")
    return done.err


def test_a_worktree_s_own_file_is_not_what_runs(repo, git):
    """A new set-up is of what is committed, and trusted."""
    say(repo, git, RUN)
    trust(repo)
    made = new(repo, "w1")
    os.unlink(f"{made['worktree']}/ran")
    with open(f"{made['worktree']}/.prodigy/worktree.toml", "w") as stream:
        stream.write('[setup]\nrun = "echo other > other"\n')
    ok("setup", "run", "w1", cwd=repo)
    assert ran(made)
    git("commit", "-qam", "another", cwd=made["worktree"])
    assert "not trusted" in refused("setup", "run", "w1", cwd=repo)
    assert not os.path.exists(f"{made['worktree']}/other")


def test_a_worker_does_not_begin_untrusted(repo, git, tmp_path):
    say(repo, git, RUN)
    items = tmp_path / "items"
    items.write_text('{"id": "a"}\n')
    ok("job", "start", "j", "--items", items, cwd=repo)
    said = refused("run", "--job", "j", "--next", "--", "true", cwd=repo)
    assert "prodigy-git setup trust" in said
    assert "--no-setup" in said
    assert ok("job", "show", "j", "--json", cwd=repo).json["pending"] == 1
    assert call("run", "--job", "j", "--next", "--no-setup", "--", "true", cwd=repo).code == 0


@pytest.mark.parametrize("how", ["--base", "--branch", "show", "setup run", "run", "merge"])
def test_what_is_said_to_allow_them_works_where_it_is_not_head(repo, git, tmp_path, how):
    git("checkout", "-q", "-b", "other", cwd=repo)
    say(repo, git, RUN + '[check]\nrun = "true"\n')
    git("checkout", "-q", "main", cwd=repo)
    if how in ("setup run", "merge"):
        base = () if how == "merge" else ("--base", "other")
        path = new(repo, "w1", "--no-setup", *base)["worktree"]
        git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
        ok("finish", "w1", cwd=repo)
    elif how == "run":
        (tmp_path / "items").write_text('{"id": "a"}\n{"id": "b"}\n')
        ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    call_it = {
        "--base": ("new-worktree", "w1", "--base", "other"),
        "--branch": ("new-worktree", "w1", "--branch", "other"),
        "show": ("setup", "show", "--base", "other"),
        "setup run": ("setup", "run", "w1"),
        "run": ("run", "--job", "j", "--base", "other", "--", "true"),
        "merge": ("merge", "w1", "--into", "other"),
    }[how]
    done = call(*call_it, cwd=repo)
    words = re.search("'prodigy-git (setup trust [^']*)'", done.err)
    assert words is not None, done.err
    base = words[1].split()[2:]
    digest = ok("setup", "show", *base, "--json", cwd=repo).json["hash"]
    assert ok(*words[1].split(), "--hash", digest, cwd=repo).code == 0
    again = ("setup", "run", "w1") if how in ("--base", "--branch") else call_it
    done = call(*again, cwd=repo)
    assert (done.code, "trust" in done.err) == (0, False)


def test_at_a_terminal_it_is_asked(repo, git):
    say(repo, git, '[setup]\nrun = "echo \\u001b[2Kran > ran"\n')
    with closing(Terminal("new-worktree", "w1", cwd=repo, columns=200)) as terminal:
        text = terminal.until("[y/N]")
        assert "echo \\x1b[2Kran > ran" in text
        terminal.press("n\n")
        terminal.until("made without")
        assert terminal.end() == 0
    assert shown(repo)["trusted"] is False
    with closing(Terminal("new-worktree", "w2", cwd=repo, columns=200)) as terminal:
        terminal.until("[y/N]")
        terminal.press("y\n")
        assert terminal.end() == 0
    assert shown(repo)["trusted"] is True


def test_what_was_typed_before_the_question_is_no_answer(monkeypatch):
    master, slave = pty.openpty()
    try:
        os.write(master, b"y\n")
        monkeypatch.setattr(trusting, "_PATIENCE", 0.0)
        with open(slave, closefd=False) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            assert select.select([stream], [], [], 60)[0]
            assert not trusting.answer("Run them?")
    finally:
        os.close(master)
        os.close(slave)


def test_setup_trust_asks_at_a_terminal(repo, git):
    say(repo, git, RUN)
    with closing(Terminal("setup", "trust", cwd=repo, columns=200)) as terminal:
        terminal.until("[y/N]")
        terminal.press("\n")
        assert terminal.end() == 1
    with closing(Terminal("setup", "trust", cwd=repo, columns=200)) as terminal:
        terminal.until("[y/N]")
        terminal.press("yes\n")
        assert terminal.end() == 0
    assert shown(repo)["trusted"] is True


@pytest.mark.parametrize("before", ['"true",' * 200, f'"true {" " * 30_000} # \u4e2d",'])
def test_what_nobody_can_have_seen_is_not_asked_about(repo, git, before):
    say(repo, git, f'[setup]\nrun = [{before}"echo ran > ran"]\n')
    commit = git("rev-parse", "HEAD", cwd=repo)
    git("checkout", "-q", "--detach", "HEAD~1", cwd=repo)
    with closing(
        Terminal("new-worktree", "w1", "--base", "main", cwd=repo, columns=300)
    ) as terminal:
        text = terminal.until("allows them")
        assert "too many to be asked about" in text
        assert f"'prodigy-git setup show --base {commit[:12]}' has them" in text
        assert terminal.end() == 0
    git("checkout", "-q", "main", cwd=repo)
    assert shown(repo)["trusted"] is False


def test_no_terminal_no_question(repo, git):
    """An agent's new-worktree never waits for an answer."""
    say(repo, git, RUN)
    child = start("new-worktree", "w1", cwd=repo, env=environment())
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0
    assert "made without" in err
    assert out.endswith("/w1\n")
