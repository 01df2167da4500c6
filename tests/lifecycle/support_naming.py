"""Helpers of the tests on what worktrees are called."""

from support_cli import ok


def put_away(repo, name):
    ok("finish", name, cwd=repo)
    ok("worktree", "clean", name, cwd=repo)
