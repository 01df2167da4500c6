"""A repository that git does not trust, since it is another user's: said, and nothing decided by it.

git takes every repository for another user's where it is told so by the variable of its own tests.
"""

from pathlib import Path

import pytest
from support_cli import call, new, ok, refused, snapshot
from support_sealed import GIT_CONFIG
from support_trash import work

from prodigy_git.git.ask import git_status

TRUST = "git config --global --add safe.directory"


@pytest.fixture
def there(repo: Path, store: Path) -> Path:
    """Make worktrees: w1 has work in it, w2 is in the trash, w3's time there is over."""
    ok("install", cwd=repo)
    for name in ("w1", "w2", "w3"):
        top = Path(new(repo, name)["worktree"])
        (top / "untracked").write_text("work\n")
        ok("finish", name)
    for name in ("w2", "w3"):
        ok("worktree", "clean", "-f", name, cwd=repo)
    return repo


@pytest.fixture
def untrusted(there: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = sealed / "trusts-nobody"
    config.write_text(GIT_CONFIG.partition("[safe]")[0])
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    return there


@pytest.mark.parametrize(
    "words",
    [
        "hooks", "install", "uninstall", "new-worktree", "finish", "worktree ls",
        "worktree restore w2", "worktree clean --all -f", "explain HEAD", "clean --yes",
        "trash list", "verify",
    ],
)  # fmt: skip
def test_the_user_reads_what_git_says_and_the_remedy(
    words: str, untrusted: Path, store: Path
) -> None:
    before = snapshot(store / "worktrees", store / "trash", untrusted / ".git" / "refs")
    said = refused(*words.split(), cwd=untrusted)
    assert f"git does not trust {untrusted}, since it belongs to another user" in said
    assert f"'{TRUST} {untrusted}' allows it" in said
    assert snapshot(store / "worktrees", store / "trash", untrusted / ".git" / "refs") == before


def test_a_worktree_is_not_cleaned(untrusted: Path, store: Path) -> None:
    before = snapshot(store / "worktrees", untrusted / ".git" / "worktrees")
    done = call("worktree", "clean", "-f", "w1", cwd=untrusted)
    assert done.code == 1
    assert f"w1: failed (git does not trust {untrusted}, " in done.out
    assert snapshot(store / "worktrees", untrusted / ".git" / "worktrees") == before


def test_nor_are_several(untrusted: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    for name in ("w4", "w5"):
        new(untrusted, name)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    before = snapshot(store / "worktrees", untrusted / ".git" / "worktrees")
    done = call("worktree", "clean", "-f", "w1", "w4", "w5", cwd=untrusted)
    assert done.code == 1
    assert done.out.count(f"failed (git does not trust {untrusted}, ") == 3
    assert snapshot(store / "worktrees", untrusted / ".git" / "worktrees") == before


def test_nothing_that_has_drifted_is_moved(untrusted: Path, store: Path) -> None:
    (store / "worktrees" / "repo" / "w1" / ".git").unlink()
    before = snapshot(store / "worktrees", untrusted / ".git" / "worktrees")
    done = call("clean", "--yes", "--all-repos", "--json")
    assert done.code == 1
    assert "git does not trust" in done.out
    assert snapshot(store / "worktrees", untrusted / ".git" / "worktrees") == before


def test_an_entry_of_which_git_cannot_be_asked_stays(untrusted: Path, store: Path) -> None:
    """Its ref was not found, so nothing was left that needed an entry: that was no answer of git's."""
    ok("trash", "empty", "--yes", "w3", "--all-repos")
    work(store)
    assert list((store / "trash" / "repo" / "w3").glob("*/entry.json"))


def test_doctor_says_it(untrusted: Path) -> None:
    found = call("doctor", "--json", cwd=untrusted).json
    (finding,) = [one for one in found if one["what"] == "repository"]
    assert f"git does not trust {untrusted}" in finding["words"]
    assert finding["remedy"] == ""


def test_who_trusts_the_folder_trusts_the_git_directory_in_it(
    untrusted: Path, git, sealed: Path
) -> None:
    git("config", "--global", "--add", "safe.directory", untrusted, cwd=untrusted)
    assert git_status(f"{untrusted}/.git", "rev-parse", "HEAD")[0] == 0
    ok("worktree", "ls", cwd=untrusted)
