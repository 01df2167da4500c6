"""Which environment variables tie git to one repository. Standard library only."""

from __future__ import annotations

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
