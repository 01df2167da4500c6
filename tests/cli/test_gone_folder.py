"""A current directory that is gone: one line says so; what needs none is done all the same."""

import os
import shutil

import click
import pytest
from support_cli import call, new, ok, refused

from prodigy_git import gitenv
from prodigy_git.cli import cli

# What a command needs to come as far as looking where it stands.
NEEDED = {
    "agent-hook": ["claude"], "completion": ["bash"], "shell-init": ["bash"], "clean": ["--yes"],
    "dlq clear": ["--all", "--yes"], "dlq retry": ["--reprocess-all-eligible"], "dlq show": ["i"],
    "event add": ["--type", "Own"], "events query": ["select 1"], "events search": ["x"],
    "job add": ["j", "--items", "-"], "job reopen": ["j"],
    "explain": ["HEAD"], "job cancel": ["j"], "job done": ["j", "i"], "job finish": ["j"],
    "job next": ["--agent", "a"], "job pause": ["j"], "job phase": ["j", "map"],
    "job renew": ["j", "i"], "job resume": ["j"], "resume": ["nothing"], "run": ["--", "true"],
    "diff": ["nothing"], "stop": ["nothing"],
    "sessions show": ["nothing"], "worktree clean": ["nothing"], "worktree path": ["nothing"],
    "worktree restore": ["nothing"], "worktree show": ["nothing"],
}  # fmt: skip
# They wait for what happens, or for a monitoring system.
WAITING = ("events follow", "otel push", "top")
GONE = "is gone, it was removed: 'cd "


def leaves(command, name):
    if not isinstance(command, click.Group):
        return [name]
    with click.Context(command) as ctx:
        below = [(one, command.get_command(ctx, one)) for one in command.list_commands(ctx)]
    return [leaf for one, found in below for leaf in leaves(found, f"{name} {one}".strip())]


@pytest.fixture
def nowhere(repo, tmp_path, monkeypatch):
    """Stand in a folder of a repository that is removed then."""
    new(repo, "w1", "--job", "j")
    monkeypatch.chdir(repo)
    (repo / "sub").mkdir()
    os.chdir(repo / "sub")
    (repo / "sub").rmdir()
    yield repo
    os.chdir(tmp_path)


@pytest.mark.parametrize("leaf", [one for one in leaves(cli, "") if one not in WAITING])
def test_every_command_says_so_or_does_without(leaf, nowhere):
    done = call(*leaf.split(), *NEEDED.get(leaf, []))
    assert done.code in (0, 1), done
    assert done.code == 0 or done.out + done.err, done
    for words in (
        "No such file",
        gitenv.NOWHERE,
        "Unable to read",
        "could not be started",
        "internal",
    ):
        assert words not in done.out + done.err, done
    if GONE in done.err:
        assert done.err.count("\n") == 1
        assert f"'cd {nowhere}'" in done.err
        assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize(
    "words",
    [
        "install", "uninstall", "hooks", "new-worktree", "finish", "worktree ls", "worktree adopt",
        "job list", "report", "dlq list", "clean --dry-run", "trash list", "verify", "run -- true",
        "worktree restore w1 --to relative", "report --job repo/j --output relative.html",
        "worktree adopt relative", "events export --all-repos --format jsonl --output relative",
    ],
)  # fmt: skip
def test_what_needs_to_stand_somewhere(words, nowhere):
    if "restore" in words:
        ok("worktree", "clean", "-f", "w1")
    assert GONE in refused(*words.split())


@pytest.mark.parametrize(
    "words",
    [
        "finish w1", "worktree ls --all-repos", "worktree show w1", "worktree path w1", "status",
        "sessions list", "sessions show w1", "explain w1", "job list --all-repos", "job show repo/j",
        "events ls --all-repos", "events ls --job repo/j", "clean --dry-run --all-repos",
        "trash list --all-repos", "verify --all", "verify --session w1", "worktree clean -f w1",
    ],
)  # fmt: skip
def test_what_needs_to_stand_nowhere(words, nowhere):
    assert GONE not in ok(*words.split()).err


def test_doctor_says_it_among_what_it_finds(nowhere):
    done = ok("doctor", "--json")
    assert [
        one["words"] for one in done.json if one["what"] == "repository" and GONE in one["words"]
    ]


def test_a_folder_made_again_at_the_same_place_is_another_one(nowhere):
    (nowhere / "sub").mkdir()
    assert f"'cd {nowhere}/sub'" in refused("worktree", "ls")


def test_a_worktree_that_was_cleaned_under_ones_feet(repo, store, tmp_path, monkeypatch):
    top = new(repo, "w1")["worktree"]
    monkeypatch.chdir(top)
    ok("worktree", "clean", "-f", "w1")
    assert "'prodigy-git worktree restore w1'" in refused("worktree", "ls")
    ok("worktree", "restore", "w1")
    ok("worktree", "ls")
    ok("worktree", "clean", "-f", "w1")
    shutil.rmtree(store / "trash")
    assert GONE in refused("worktree", "ls")
    os.chdir(tmp_path)


def test_git_is_not_run_elsewhere_where_its_folder_is_gone(repo, tmp_path, monkeypatch):
    from prodigy_git.errors import ProdigyError
    from prodigy_git.git.ask import git

    monkeypatch.chdir(repo)
    with pytest.raises(ProdigyError, match="could not be started"):
        git(tmp_path / "gone", "rev-parse", "--git-dir")
