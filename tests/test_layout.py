"""Where the store is: one absolute path, or a line that says what to do."""

import os
from pathlib import Path

import pytest

from prodigy_git import layout


@pytest.mark.parametrize(
    ("environ", "store"),
    [
        ({"HOME": "/home/a"}, "/home/a/.prodigy"),
        ({"HOME": "/home/a", "PRODIGY_HOME": ""}, "/home/a/.prodigy"),
        ({"HOME": "/home/a", "PRODIGY_HOME": "~/store"}, "/home/a/store"),
        ({"HOME": "/home/a/", "PRODIGY_HOME": "~"}, "/home/a"),
        ({"HOME": "/", "PRODIGY_HOME": "~/.prodigy"}, "/.prodigy"),
        ({"HOME": "relative", "PRODIGY_HOME": "/store"}, "/store"),
        ({"PRODIGY_HOME": "/a/../store"}, "/store"),
    ],
)
def test_the_store_of_an_environment(environ: dict[str, str], store: str) -> None:
    assert layout.store_from(environ) == os.path.realpath(store)


def test_without_home_the_user_database_says_where_it_is() -> None:
    home = os.path.realpath(os.path.expanduser(f"~{_user()}"))
    assert layout.store_from({}) == f"{home}/.prodigy"
    assert layout.store_from({"HOME": "", "PRODIGY_HOME": "~/x"}) == f"{home}/x"
    assert layout.store_from({"HOME": "/else", "PRODIGY_HOME": f"~{_user()}/x"}) == f"{home}/x"


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize("named", ["rel", "./rel", "../rel", "~nobody-of-this-name/x", "$HOME/x"])
def test_what_is_not_absolute_is_refused(named: str) -> None:
    with pytest.raises(layout.NoStore, match="set it to an absolute path"):
        layout.store_from({"HOME": "/home/a", "PRODIGY_HOME": named})


def test_a_home_that_is_not_absolute_is_refused() -> None:
    with pytest.raises(layout.NoStore, match="HOME"):
        layout.store_from({"HOME": "."})


def _names(*folders: Path) -> list[list[str]]:
    return [sorted(os.listdir(folder)) for folder in folders]


@pytest.mark.parametrize("named", ["rel", "~nobody-of-this-name/x"])
def test_a_hook_that_has_no_store_says_one_line_and_makes_nothing(
    repo, tmp_path, prodigy, git, named
) -> None:
    prodigy("install", cwd=repo, check=True)
    before = _names(repo, tmp_path)
    wrong = {"PRODIGY_HOME": named}
    import subprocess

    done = subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"],
        cwd=repo, env={**os.environ, **wrong}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert "not recorded yet" in line
    assert "absolute path" in line
    git("worktree", "add", "-q", tmp_path / "linked", cwd=repo, env=wrong)
    assert sorted(os.listdir(tmp_path / "linked")) == [".git", "README"]
    assert _names(repo, tmp_path) == [before[0], sorted([*before[1], "linked"])]


def test_a_tilde_in_quotes_is_expanded_by_hooks_and_commands(repo, sealed, prodigy, git) -> None:
    prodigy("install", cwd=repo, check=True)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo, env={"PRODIGY_HOME": "~/.here"})
    assert sorted(os.listdir(repo)) == [".git", "README"]
    assert (sealed / ".here" / "sessions").is_dir()


@pytest.mark.parametrize(
    "command",
    ["new-worktree", "sessions list", "status", "verify", "events ls", "job list", "trash list",
     "clean --dry-run", "finish x", "explain x", "resume x", "worktree show x"],
)  # fmt: skip
def test_commands_refuse_with_one_line(repo, prodigy, command) -> None:
    done = prodigy(*command.split(), cwd=repo, env={"PRODIGY_HOME": "rel"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "prodigy-git: error: PRODIGY_HOME is 'rel': set it to an absolute path\n"
    )
    assert sorted(os.listdir(repo)) == [".git", "README"]


def test_install_and_hooks_say_so_and_do_their_work(repo, prodigy) -> None:
    done = prodigy("install", cwd=repo, env={"PRODIGY_HOME": "rel"}, check=True)
    assert "PRODIGY_HOME is 'rel'" in done.stderr
    done = prodigy("hooks", cwd=repo, env={"PRODIGY_HOME": "rel"})
    assert done.returncode == 1
    assert "PRODIGY_HOME is 'rel'" in done.stdout
    assert "installed" in done.stdout
    done = prodigy("doctor", cwd=repo, env={"PRODIGY_HOME": "rel"})
    assert done.returncode == 1
    assert "error  store: PRODIGY_HOME is 'rel'" in done.stdout
    prodigy("uninstall", cwd=repo, env={"PRODIGY_HOME": "rel"}, check=True)
    assert not (repo / ".git" / "hooks" / "post-commit").exists()
