"""Worktrees that lose a half, for the tests on what a repair takes and leaves."""

from support_cli import rewrite_session
from support_drift import (
    make_old,
    private_of,
)  # fmt: skip


def no_registration(git, repo, store, made):
    private = private_of(git, made)
    private.rename(repo.parent / "private")
    return made


def no_folder(git, repo, store, made):
    private = private_of(git, made)
    made.rename(repo.parent / "folder")
    return private


def neither(git, repo, store, made):
    no_registration(git, repo, store, made)
    made.rename(repo.parent / "folder")
    make_old(store, "w1")
    return store / "sessions" / "w1.json"


HALVES = [no_registration, no_folder]


def back(git, repo, store, made):
    """Put what was taken away where it was."""
    for name, place in (("folder", made), ("private", repo / ".git/worktrees/w1")):
        if (repo.parent / name).exists():
            (repo.parent / name).rename(place)


def end(store, name="w1"):
    rewrite_session(store, name, status="Completed", completed_at="2025-01-11T12:00:00.000000Z")
