"""Running git, with our own hooks silenced and without another repository's variables."""

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from git.cmd import Git
from git.exc import GitCommandNotFound

from prodigy_git.errors import ProdigyError

SILENCE = "PRODIGY_GIT_SILENCE"
"""The variable that the hooks' guard honours: our own git calls must not wait for our own locks."""

# `git rev-parse --local-env-vars`, less the two that carry `git -c` settings. Inherited by a command
# that is run from a hook or an alias, they would point every question at the wrong repository.
_LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_OBJECT_DIRECTORY", "GIT_DIR",
    "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_REFLOG_ACTION", "GIT_INTERNAL_SUPER_PREFIX",
)  # fmt: skip


def drop_local_variables(environ: MutableMapping[str, str]) -> None:
    """Remove from ``environ`` every variable that ties git to one repository."""
    for name in _LOCAL_VARIABLES:
        environ.pop(name, None)


def git(
    cwd: str | Path,
    *arguments: str,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run ``git arguments…`` in ``cwd`` and return its output, the last newline included.

    Bytes that are not UTF-8 come back as surrogate escapes. Raises `ProdigyError` with the last line
    of what git said where git fails or is missing.
    """
    status, out, err = git_status(cwd, *arguments, stdin=stdin, env=env)
    if status != 0:
        said = [line for line in err.splitlines() if line.strip()] or [f"exit status {status}"]
        word = next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1])
        raise ProdigyError(f"git {arguments[0]}: {word}")
    return out


def git_status(
    cwd: str | Path,
    *arguments: str,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Run ``git arguments…`` in ``cwd``; return its exit status, output and error output."""
    with tempfile.TemporaryFile() as istream:
        istream.write(stdin or b"")
        istream.seek(0)
        try:
            status, out, err = Git(os.fspath(cwd)).execute(
                ["git", *arguments],
                istream=istream,
                with_extended_output=True,
                with_exceptions=False,
                strip_newline_in_stdout=False,
                env={SILENCE: "1", "GIT_OPTIONAL_LOCKS": "0", **(env or {})},
            )
        except (GitCommandNotFound, OSError) as error:
            raise ProdigyError(f"git could not be started in {os.fspath(cwd)}") from error
        return status, str(out), str(err)
