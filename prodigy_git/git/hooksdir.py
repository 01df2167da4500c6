"""Where git looks for a repository's hooks, and whose folder that is."""

import dataclasses
import os

from prodigy_git.errors import ProdigyError
from prodigy_git.git import repository
from prodigy_git.git.ask import git, git_status
from prodigy_git.record import files


@dataclasses.dataclass(frozen=True)
class HooksDir:
    """A repository's effective hooks directory, seen from one of its worktrees."""

    path: str
    git_dir: str
    """The private git directory of the worktree."""
    common: str
    top: str
    """Where git stands when it runs a hook: the worktree's top, or a bare repository's directory."""
    scope: str
    """Where core.hooksPath is set (local, worktree, global, system, command); empty if it is not."""
    tracked: str
    """The folder of hook files that the repository keeps under version control, or empty."""
    unusable: str = ""
    """Why no hook can be there, and what to do; empty where one can."""


def find(cwd: str | os.PathLike[str]) -> HooksDir:
    """Return the hooks directory in effect for ``cwd``.

    Raises `ProdigyError` outside a repository, and where core.hooksPath cannot hold hooks.
    """
    where = locate(cwd)
    if where.unusable:
        raise ProdigyError(where.unusable)
    return where


def locate(cwd: str | os.PathLike[str]) -> HooksDir:
    """Return what `find` does, where core.hooksPath cannot hold hooks too."""
    cwd = os.path.abspath(cwd)
    at_top = _at_top(cwd)
    if at_top is not None:
        return _judged(*at_top)
    try:
        git_dir = os.path.join(cwd, _line(cwd, "--absolute-git-dir"))
    except ProdigyError:
        repository.find(cwd)  # which says what to do, where git says what it looked for
        raise
    common = os.path.normpath(os.path.join(cwd, _line(cwd, "--git-common-dir")))
    status, out, _ = git_status(cwd, "rev-parse", "--show-toplevel")
    top = _without_newline(out) if status == 0 else ""
    if not top:
        # Inside a git directory. That of a worktree has its hooks run beside it, a bare one in it.
        bare = _line(git_dir, "--is-bare-repository") == "true"
        top = git_dir if bare or os.path.basename(git_dir) != ".git" else os.path.dirname(git_dir)
    # Asked from the top: a relative core.hooksPath is meant from there, wherever we stand. And said
    # which repository, since with core.worktree (dotfiles) the top does not lead to it.
    path = os.path.normpath(os.path.join(top, _line(top, "--git-path", "hooks", git_dir=git_dir)))
    return _judged(git_dir, common, top, path)


def _at_top(cwd: str) -> tuple[str, str, str, str] | None:
    """Return git directory, common one, top and hooks directory where we stand at a worktree's top.

    That is one question instead of four; None elsewhere, and where a path has a line of its own.
    """
    asked = ("--absolute-git-dir", "--git-common-dir", "--show-toplevel", "--git-path", "hooks")
    try:
        lines = git(cwd, "rev-parse", *asked).removesuffix("\n").split("\n")
    except ProdigyError:
        return None
    if len(lines) != 4 or not lines[2] or not files.same(lines[2], cwd):
        return None
    git_dir, common, top, path = lines
    common = os.path.normpath(os.path.join(cwd, common))
    return git_dir, common, top, os.path.normpath(os.path.join(top, path))


def _judged(git_dir: str, common: str, top: str, path: str) -> HooksDir:
    """Return a hooks directory with what its setting and git's index say of it."""
    status, out, _ = git_status(
        top, "config", "--show-scope", "--get", "core.hooksPath", env={"GIT_DIR": git_dir}
    )
    scope, _, named = out.partition("\t") if status == 0 else ("", "", "-")
    unusable = ""
    if not _without_newline(named):
        path, shown = os.devnull, "empty"
    else:
        shown = f"{path}, which is no folder"
    if os.path.lexists(path) and not os.path.isdir(path):
        unusable = (
            f"core.hooksPath is {shown}, so hooks are switched off here: "
            "unset it, or set it to a folder"
        )
    tracked = "" if unusable else _tracked(top, path, git_dir)
    return HooksDir(path, git_dir, common, top, scope, tracked, unusable)


def _tracked(top: str, path: str, git_dir: str) -> str:
    # Husky 9 has git look in a folder that it generates, whose scripts call the user's own, one
    # level up, by their own name: they cannot be moved aside, and are rewritten at each set-up.
    if os.path.basename(path) == "_" and os.path.isfile(os.path.join(path, "h")):
        return os.path.dirname(path)
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(top))
    if inside == os.pardir or inside.startswith(os.pardir + os.sep):
        return ""
    # A monitor is a program of the user's; names in the index need none.
    status, out, _ = git_status(
        top,
        "-c",
        "core.fsmonitor=false",
        "ls-files",
        "-z",
        "--",
        f":(top,literal){inside}",
        env={"GIT_DIR": git_dir, "GIT_WORK_TREE": top},
    )
    return path if status == 0 and out else ""


def _line(cwd: str, *question: str, git_dir: str | None = None) -> str:
    env = None if git_dir is None else {"GIT_DIR": git_dir}
    return _without_newline(git(cwd, "rev-parse", *question, env=env))


def _without_newline(text: str) -> str:
    return text[:-1] if text.endswith("\n") else text
