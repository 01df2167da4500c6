"""The check of a merge: one's own, else the repository's, once it is trusted."""

import pytest
from support_cli import call, new, ok
from support_setup import say, trust

CHECK = """\
[check]
run = ['test "$A" = "x $PRODIGY_JOB_ID"', "test -e good"]
[env]
A = "x {{ job }}"
"""


@pytest.fixture
def finished(repo, git):
    """A result that waits to be merged; what it changes is said."""

    def make(name, *files):
        made = new(repo, name, "--no-setup")
        for path, text in files:
            with open(f"{made['worktree']}/{path}", "w") as stream:
                stream.write(text)
        git("add", "-A", cwd=made["worktree"])
        git("commit", "-q", "--allow-empty", "-m", name, cwd=made["worktree"])
        ok("finish", name, cwd=repo)
        return made

    return make


def test_the_repositorys_check_is_asked_about_and_counts(repo, git, finished):
    say(repo, git, CHECK)
    finished("w1", ("f", "1"))
    done = call("merge", "w1", "--into", "main", cwd=repo)
    assert done.code == 1
    assert "prodigy-git setup trust" in done.err
    trust(repo)
    before = git("rev-parse", "main", cwd=repo)
    assert call("merge", "w1", "--into", "main", cwd=repo).code == 1
    assert git("rev-parse", "main", cwd=repo) == before
    finished("w2", ("good", "1"))
    assert call("merge", "w2", "--into", "main", cwd=repo).code == 0
    assert git("rev-parse", "main", cwd=repo) != before


def test_what_is_merged_does_not_say_what_it_is_checked_by(repo, git, finished):
    say(repo, git, '[check]\nrun = "false"\n')
    trust(repo)
    finished("w1", (".prodigy/worktree.toml", '[check]\nrun = "true"\n'))
    assert call("merge", "w1", "--into", "main", cwd=repo).code == 1
    # Nor is what came in by it trusted from then on.
    ok("merge", "w1", "--into", "main", "--no-check", cwd=repo)
    finished("w2", ("f", "1"))
    assert "not trusted" in call("merge", "w2", "--into", "main", cwd=repo).err


def test_only_the_scripts_that_the_check_names_are_compared(repo, git, finished):
    say(repo, git, "true\n", "up.sh")
    say(repo, git, "true\n", "check.sh")
    say(repo, git, '[setup]\nrun = "sh up.sh"\n[check]\nrun = ["true", "sh check.sh"]\n')
    trust(repo)
    finished("w1", ("up.sh", "true # edited\n"))
    assert call("merge", "w1", "--into", "main", cwd=repo).code == 0
    trust(repo)
    finished("w2", ("check.sh", "true # edited\n"))
    done = call("merge", "w2", "--into", "main", cwd=repo)
    assert done.code == 1
    assert "check.sh is not the script there that was trusted" in done.out + done.err


def test_ones_own_check_stands_instead(repo, git, finished):
    say(repo, git, '[check]\nrun = "false"\n')
    git("config", "prodigy.check", "true", cwd=repo)
    finished("w1", ("f", "1"))
    assert call("merge", "w1", "--into", "main", cwd=repo).code == 0


def test_a_check_in_a_tracked_file_that_is_included_is_the_repositorys(
    repo, git, finished, tmp_path
):
    git("config", "include.path", "../.gitconfig", cwd=repo)
    say(repo, git, f"[prodigy]\n\tcheck = touch {tmp_path}/evil\n", ".gitconfig")
    finished("w1", ("f", "1"))
    assert "not trusted" in call("merge", "w1", "--into", "main", cwd=repo).err
    assert not (tmp_path / "evil").exists()
