"""The repository that tests begin with is a copy, and as good as one that git has made."""

import os


def seen(folder, git):
    """Return all that git says of a repository without looking into its files."""
    env = {"GIT_OPTIONAL_LOCKS": "0"}
    return [
        git("ls-files", "--stage", cwd=folder),
        git("diff-files", "--raw", cwd=folder, env=env),  # also what has only another time
        git("status", "--porcelain", cwd=folder, env=env),
        git("cat-file", "-p", "HEAD^{tree}", cwd=folder),
        git("log", "--format=%an %ae %cn %ce %cI %s", cwd=folder),
        git("reflog", "--date=iso", "--format=%gd %gs", cwd=folder),
        git("config", "--list", "--local", cwd=folder),
        git("fsck", "--strict", cwd=folder),
    ]


def test_a_copy_is_what_git_makes(repo, git, tmp_path, request):
    made = tmp_path / "made"
    git("init", "-q", made, cwd=tmp_path)
    (made / "README").write_text("a repository\n")
    git("add", "README", cwd=made)
    dates = {"GIT_COMMITTER_DATE": "2025-01-11T12:00:00+00:00"}
    git("commit", "-q", "-m", "Start", cwd=made, env=dates)
    assert seen(repo, git) == seen(made, git)
    modes = [
        {
            os.path.relpath(os.path.join(folder, name), top): os.stat(f"{folder}/{name}").st_mode
            for folder, folders, names in os.walk(top)
            for name in (*folders, *names)
            if f"{top}/.git/objects" not in folder  # the commit is of another second
        }
        for top in (str(repo), str(made))
    ]
    assert modes[0] == modes[1]


def test_what_a_test_says_of_git_is_heard(fixed_dates, repo, git):
    assert git("log", "--format=%aI", cwd=repo) == fixed_dates
