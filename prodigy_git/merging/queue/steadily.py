"""Running git where it must not be cut short: when it moves a branch, or what a checkout has.

It gets a process group of its own, so that a Ctrl-C at the terminal does not reach it; and it holds the
merge lock with us: where we are killed, nobody goes on with the branch before git has ended.
"""

import os
import subprocess

from prodigy_git.errors import ProdigyError
from prodigy_git.git.ask import SILENCE, git_status
from prodigy_git.record import files, gitdir


def look(cwd: str, *arguments: str) -> tuple[int, str, str]:
    """Run git as `git_status`, and once more where a signal has ended it: that is no answer.

    A Ctrl-C reaches all of a terminal's processes, and this one remains within its reach: what it waits
    for may never end. Raises `ProdigyError` as `git_status`, and where a signal has ended both.
    """
    for _ in range(2):
        status, out, err = git_status(cwd, *arguments)
        if status >= 0:
            return status, out, err
    raise ProdigyError(f"git {arguments[0]} was ended by signal {-status}")


def git(cwd: str, *arguments: str, lock: int, common: str) -> tuple[int, str, str]:
    """Run ``git arguments…`` to its end; return its exit status, output and error output.

    The repository's hooks run, ours are silent. ``lock`` is the descriptor of the lock that git holds
    with us, ``common`` the common git directory. Raises `ProdigyError` where git cannot be started.
    """
    own = {"LANGUAGE": "C", "LC_ALL": "C", SILENCE: "1"}
    try:
        running = subprocess.Popen(
            # A monitor that git would start here lives on, and would hold the lock.
            ["git", "-c", "core.fsmonitor=false", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            env={**os.environ, **own}, process_group=0, pass_fds=(lock,),
        )  # fmt: skip
        out, err = map(os.fsdecode, gitdir.waited(running, common, None))
    except files.Unusable as error:
        raise ProdigyError(f"{error}: move it away") from None
    except OSError as error:
        raise ProdigyError(f"git could not be started in {cwd}") from error
    return running.returncode, out, err.removesuffix("\n")
