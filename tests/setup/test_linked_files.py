"""What .worktreelink names is linked into a new worktree: ignored there, and never lost with it."""

import os

import pytest
from support_cli import call, new, ok, snapshot
from support_ignored_files import include, link, made


def test_what_is_linked_leads_there_and_is_ignored(rich, git):
    link(rich, "build", "node_modules", ".env", "src/x.log", "nothing")
    top, said = made(rich)
    assert said == ""
    for path in ("build", "node_modules", ".env", "src/x.log"):
        assert os.readlink(top / path) == str(rich / path)
    # A pattern with a slash at its end fits folders, not the link to one.
    assert git("status", "--porcelain", cwd=top) == ""
    git("add", "--all", cwd=top)
    assert git("diff", "--cached", "--name-only", cwd=top) == ""
    lines = (rich / ".git" / "info" / "exclude").read_text().splitlines()
    new(rich, "w2")
    assert lines.count("/node_modules") == 1
    assert (rich / ".git" / "info" / "exclude").read_text().splitlines() == lines


def test_an_exclude_file_that_cannot_be_written_keeps_git_from_seeing_no_link(rich, git, tmp_path):
    (tmp_path / "excludes").write_text("/.worktreelink\n")
    link(rich, "build", "node_modules")
    (rich / ".git" / "info" / "exclude").unlink()
    (rich / ".git" / "info" / "exclude").symlink_to(tmp_path / "excludes")
    top, said = made(rich)
    assert (top / "build").is_symlink()
    assert not os.path.lexists(top / "node_modules")
    assert "not linked: node_modules: git would not ignore the link" in said
    assert (tmp_path / "excludes").read_text() == "/.worktreelink\n"


def test_odd_names_are_excluded_by_patterns_that_fit_them_alone(rich, git):
    (rich / ".gitignore").write_text("odd*/\n")
    git("commit", "-qam", "Odd", cwd=rich)
    for name in ("odd *", "odd[x]", "odd\\", "odd#!"):
        (rich / name).mkdir()
        (rich / name / "f").touch()
    link(rich, "odd*")
    top, said = made(rich)
    assert said == ""
    assert all((top / name).is_symlink() for name in ("odd *", "odd[x]", "odd\\", "odd#!"))
    assert git("status", "--porcelain", cwd=top) == ""
    (top / "odd x").touch()
    assert "odd x" in git("status", "--porcelain", "-z", cwd=top)


def test_what_is_linked_is_not_copied_too(rich):
    include(rich, "*")
    link(rich, "node_modules/a", "build")
    top, said = made(rich)
    assert said == ""
    assert (top / "node_modules" / "a").is_symlink()
    assert (top / "build").is_symlink()
    assert (top / ".env").is_file()


def test_relative_links_where_git_makes_its_own_relative(rich, git):
    git("config", "worktree.useRelativePaths", "true", cwd=rich)
    link(rich, "build", "src/x.log")
    top, _ = made(rich)
    assert not os.readlink(top / "build").startswith("/")
    assert (top / "build" / "out").read_text() == "out"
    assert (top / "src" / "x.log").read_text() == "log"


@pytest.mark.parametrize("way", ["trash", "purge", "git", "undo"])
def test_what_links_lead_to_stays_whatever_becomes_of_the_worktree(rich, git, way):
    link(rich, "build", "node_modules")
    include(rich, ".env")
    before = snapshot(rich / "build", rich / "node_modules", rich / ".env")
    if way == "undo":
        hook = rich / ".git" / "hooks" / "post-checkout"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        assert call("new-worktree", "w1", cwd=rich).code == 1
    else:
        top, _ = made(rich)
        shown = ok("worktree", "show", "w1", "--json", cwd=rich).json
        # The two links and .env; not what the links lead to.
        assert (shown["ignored"], shown["untracked"]) == (3, 0)
        assert shown["doubts"] == ["its session is Running, 'prodigy-git finish w1' ends it"]
        if way == "git":
            git("worktree", "remove", "--force", top, cwd=rich)
        else:
            ok("finish", "w1", cwd=rich)
            more = ("--purge", "--yes") if way == "purge" else ()
            ok("worktree", "clean", "w1", *more, cwd=rich)
        if way == "trash":
            ok("worktree", "restore", "w1", cwd=rich)
            assert (top / "build" / "out").read_text() == "out"
            assert (top / ".env").exists()
    assert snapshot(rich / "build", rich / "node_modules", rich / ".env") == before
