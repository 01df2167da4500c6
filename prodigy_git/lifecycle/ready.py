"""Whether a worker can work at all, looked at before it claims anything.

What would fail for each item alike (a typo in the command or in ``--base``, a full disk) is said once,
and costs no item an attempt.
"""

import errno
import os
from collections.abc import Mapping

from prodigy_git.errors import ProdigyError
from prodigy_git.git import ask, repository
from prodigy_git.store import home, reserve

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The exit statuses that a shell has for a command that it cannot start."""


class CannotStart(ProdigyError):
    """The command cannot be started: with any item, so none was tried."""

    def __init__(self, text: str, exit_status: int, session: str | None = None) -> None:
        """Keep what a shell's exit status would be, and the session that was made for it, if any."""
        super().__init__(text)
        self.exit_status = exit_status
        self.session = session


def check(store: str, cwd: str, base: str | None, command: str, env: Mapping[str, str]) -> None:
    """Raise `ProdigyError` where no item could be worked on, `CannotStart` for a wrong command."""
    oldest = ".".join(map(str, ask.OLDEST))
    if ask.version() < ask.OLDEST:
        raise ProdigyError(f"this git is too old: update to {oldest} or newer")
    repository.find(cwd)  # refuses one that git does not trust
    repository.commit_of(cwd, "HEAD" if base is None else base)
    trouble = home.trouble(store) or reserve.lacking(store)
    if trouble is not None:
        raise ProdigyError(trouble)
    _check_command(command, env)


def _check_command(name: str, env: Mapping[str, str]) -> None:
    """Look for the command as execvp(3) does, as far as that can be done without the worktree."""
    if not name:
        raise CannotStart("the command is empty", NOT_FOUND)
    folders = [os.path.dirname(name)] if "/" in name else os.get_exec_path(env)
    if not all(map(os.path.isabs, folders)):
        return  # it is looked for in the worktree, which there is none of yet
    there = None
    for folder in folders:
        path = os.path.join(folder, os.path.basename(name))
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return
        if os.path.lexists(path):
            there = path
    if there is not None:
        raise CannotStart(f"{there} cannot be executed: it is no program", NOT_EXECUTABLE)
    raise CannotStart(f"there is no command {name}: nothing was claimed", NOT_FOUND)


def cannot_start(command: str, trouble: OSError, session: str) -> CannotStart:
    """Return what to raise where starting the command failed."""
    missing = trouble.errno in (errno.ENOENT, errno.ENOTDIR)
    return CannotStart(
        f"{command} cannot be started in the worktree: {trouble.strerror}",
        NOT_FOUND if missing else NOT_EXECUTABLE, session,
    )  # fmt: skip
