"""Which repository we stand in, what its worktrees are, what a revision names."""

import os
import time

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import git, git_status, said
from prodigy_git.record import gitdir
from prodigy_git.record.gitdir import Place


class Worktree:
    """A worktree as git lists it.

    ``branch`` is None if detached or bare, ``head`` None if unborn or bare, ``locked`` the reason
    (possibly empty) or None.
    """

    __slots__ = ("bare", "branch", "head", "locked", "main", "path")

    def __init__(self, path: str) -> None:
        """Begin with a path; git's other lines follow."""
        self.path = path
        self.bare = False
        self.main = False
        self.branch: str | None = None
        self.head: str | None = None
        self.locked: str | None = None


def find(cwd: str) -> Place:
    """Return the git directories of the repository around ``cwd``; a bare one's ``top`` is itself.

    Raises `ProdigyError` outside a repository.
    """
    asked = ("--git-dir", "--git-common-dir", "--is-bare-repository", "--is-inside-work-tree")
    absolute = ("rev-parse", "--path-format=absolute")
    # Nearly always one question is enough. Its last part fails in a git directory.
    status, out, _ = git_status(cwd, *absolute, *asked, "--show-toplevel")
    lines = out.removesuffix("\n").split("\n")
    if status == 0 and len(lines) == 5 and lines[4]:
        return Place(os.path.normpath(lines[0]), os.path.normpath(lines[1]), lines[4])
    status, out, err = git_status(cwd, *absolute, *asked)
    if status != 0:
        if "not a git repository" in err:
            raise ProdigyError(_outside(cwd))
        raise ProdigyError(said(err, "git rev-parse failed"))
    *paths, _, inside = out.removesuffix("\n").split("\n")
    if len(paths) != 2:  # newlines within the paths: each asked for alone
        paths = [
            git(cwd, *absolute, which).removesuffix("\n")
            for which in ("--git-dir", "--git-common-dir")
        ]
    top = paths[0]
    # Within a git directory it has an answer where core.worktree says one (submodules, dotfiles).
    status, out, err = git_status(cwd, *absolute, "--show-toplevel")
    if status == 0 and out != "\n":
        top = out.removesuffix("\n")
    elif inside == "true":
        raise ProdigyError(said(err, "git rev-parse failed"))
    return Place(os.path.normpath(paths[0]), os.path.normpath(paths[1]), top)


def check_trusted(common: str) -> None:
    """Raise `ProdigyError` where git does not trust a repository, since that is another user's.

    git itself looks at that only where it finds the repository, not where it is told the git directory.
    """
    git_status(common, "rev-parse", "--git-dir")


def _outside(cwd: str) -> str:
    """Say that no repository is here; in a worktree that was cleaned under somebody's feet, why."""
    try:
        store = layout.store_from(os.environ)
    except layout.NoStore:
        store = "/nonexistent"  # then it lies in none
    _, trash, inside = os.path.realpath(cwd).partition(f"{store}/trash/")
    session = inside.split("/")[1:2]
    if trash and session and names.is_safe(session[0]):
        return (
            f"{cwd} is in the trash: 'prodigy-git worktree restore {session[0]}' brings it back, "
            "'cd' to where you want to work"
        )
    return f"{cwd} is not in a git repository: change into one first"


def worktrees(common: str) -> list[Worktree]:
    """Return the worktrees of a repository, the main one first (git-worktree(1), porcelain)."""
    found: list[Worktree] = []
    for field in _listed(common).split("\0"):
        word, _, value = field.partition(" ")
        if word == "worktree":
            found.append(Worktree(value))
        elif word == "HEAD":
            found[-1].head = None if not value.strip("0") else value
        elif word == "branch":
            found[-1].branch = value.removeprefix("refs/heads/")
        elif word == "bare":
            found[-1].bare = True
        elif word == "locked":
            found[-1].locked = value
    if found:
        found[0].main = True
    if found and not found[0].bare and not os.path.lexists(f"{found[0].path}/.git"):
        # git names the git directory, where core.worktree says that the worktree is elsewhere.
        status, out, _ = git_status(common, "rev-parse", "--show-toplevel")
        if status == 0 and out != "\n":
            found[0].path = out.removesuffix("\n")
    return found


def checked_out_where(common: str, branch: str) -> str | None:
    """Return, in words, which worktree has a branch checked out, and what to do; None: none has."""
    for tree in worktrees(common):
        if tree.branch == branch:
            if tree.bare or os.path.lexists(tree.path):
                return f"the branch {branch} is checked out at {tree.path}: work there"
            return (
                f"the branch {branch} is checked out at {tree.path}, which is gone: "
                "'git worktree prune' frees it"
            )
    return None


def place_of(common: str, tree: Worktree) -> Place | None:
    """Return the git directories of one of a repository's worktrees; None where it is not there."""
    if tree.bare or not os.path.isdir(tree.path):
        return None
    # A main one may have no `.git`, and be in another worktree: dotfiles, submodules.
    return Place(common, common, tree.path) if tree.main else gitdir.find(tree.path, {})


def _listed(common: str) -> str:
    for pause in (0.01, 0.05, 0.2):
        status, out, err = git_status(common, "worktree", "list", "--porcelain", "-z")
        # A `worktree add` of somebody else's has made its folder and not yet all files in it.
        if status == 0 or "commondir" not in err:
            break
        time.sleep(pause)
    return out if status == 0 else git(common, "worktree", "list", "--porcelain", "-z")


def commit_of(cwd: str, revision: str) -> str:
    """Return the SHA of the commit that ``revision`` names. Raises `ProdigyError`."""
    status, out, _ = git_status(
        cwd, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if status != 0:
        if revision == "HEAD":
            raise ProdigyError("there is no commit yet: make the first one, or give --base")
        raise ProdigyError(f"{revision} names no commit here: give --base a branch, tag or SHA")
    return out.strip()


def branch_of(cwd: str, revision: str) -> str | None:
    """Return the branch that ``revision`` names, remote ones with their remote; None for others."""
    status, out, _ = git_status(
        cwd, "rev-parse", "--quiet", "--symbolic-full-name", "--end-of-options", revision
    )
    full = out.strip().splitlines()[-1:] if status == 0 else []
    for name in full:
        for prefix in ("refs/heads/", "refs/remotes/"):
            if name.startswith(prefix):
                return name.removeprefix(prefix)
    return None


def has_ref(cwd: str, ref: str) -> bool:
    """Whether the full ref name ``ref`` exists."""
    return git_status(cwd, "show-ref", "--verify", "--quiet", ref)[0] == 0


def config(cwd: str, name: str) -> str | None:
    """Return the value of one git setting; None where it is not set."""
    status, out, _ = git_status(cwd, "config", "--get", name)
    return out.removesuffix("\n") if status == 0 else None


def settings(cwd: str, pattern: str) -> dict[str, str]:
    """Return the git settings whose names, in small letters, match a pattern of ``--get-regexp``.

    With one process for all of them. One without a value is true, as for git; of one that is set
    several times the last value counts.
    """
    _, out, _ = git_status(cwd, "config", "--null", "--get-regexp", pattern)
    found = {}
    for entry in out.split("\0")[:-1]:
        name, given, value = entry.partition("\n")
        found[name] = value if given else "true"
    return found


def private_of(path: str) -> Place | None:
    """Return the git directories of the worktree at ``path``; None where it has none (any more)."""
    place = gitdir.find(path, {})
    return place if place is not None and place.top == path else None
