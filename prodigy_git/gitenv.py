"""What a process is born with that decides which repository is meant. Standard library only.

That is the current directory, which may be gone, and environment variables.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

# `git rev-parse --local-env-vars`, less the two that carry `git -c` settings. Inherited by a command
# that is run from a hook or an alias, they would point every question at the wrong repository.
LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_OBJECT_DIRECTORY", "GIT_DIR",
    "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_REFLOG_ACTION", "GIT_INTERNAL_SUPER_PREFIX",
)  # fmt: skip


def drop_local_variables(environ: MutableMapping[str, str]) -> None:
    """Remove from ``environ`` every variable that ties git to one repository."""
    for name in LOCAL_VARIABLES:
        environ.pop(name, None)


NOWHERE = "/dev/null/gone"
"""A path that nothing can be at: what `here` returns where the current directory is gone."""


def here() -> str:
    """Return the current directory, or `NOWHERE`: what needs none is done all the same."""
    try:
        return os.getcwd()
    except OSError:  # removed (getcwd(3), ENOENT), or on a server that forgot it (ESTALE)
        return NOWHERE


def gone() -> str | None:
    """Return, in a line, that the current directory is gone and what to do; None where it is there."""
    if here() != NOWHERE:
        return None
    try:
        path = os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
    except OSError:
        path = os.environ.get("PWD", "")
    above = os.path.dirname(path)
    while not os.path.isdir(above or "/"):
        above = os.path.dirname(above)
    if os.path.isdir(path):  # another one, of the same name
        above = path
    called = (
        f"the folder that you stand in, {path}, is" if path else "the folder that you stand in is"
    )
    return f"{called} gone, it was removed: 'cd {above or '/'}', or to where you want to work"
