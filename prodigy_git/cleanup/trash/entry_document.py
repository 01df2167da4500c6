"""What the document of a trash entry says: its fields, and reading them from JSON.

A field that is not known here survives a rewrite; one that is damaged makes the whole document so.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from prodigy_git import names

VERSION = 1
STATES = ("moving", "trashed", "restoring", "emptying", "emptied")
"""What is being done with the worktree, or was: an intent is written before anything is changed.

``moving``: into the trash. ``trashed``: it lies there whole. ``restoring``: back to its place.
``emptying``: being deleted. ``emptied``: only this document and the salvage are left.
"""


DISABLED = ".git.in-trash"
"""What a trashed worktree's ``.git`` file is called, where the user has no file of that name.

No command run there may reach a successor.
"""


@dataclass
class Entry:
    """One removed worktree. Paths are absolute and may hold surrogate escapes.

    ``path`` is the entry's own folder and not in the document. ``worktree`` and ``private`` are where
    folder and private git directory were, ``folder`` and ``git`` where they are in the trash.
    """

    path: str
    state: str
    repo: str
    session: str
    worktree: str
    private: str
    common: str
    created_at: str
    folder: str
    git: str
    head: str | None = None
    """HEAD's commit; None where it was unborn."""
    branch: str | None = None
    """HEAD's branch, without ``refs/heads/``; None where HEAD was detached."""
    salvage_ref: str | None = None
    tag_refs: list[str] = field(default_factory=list)
    """Of annotated tags, which no commit can hold: earlier versions wrote a ref for each."""
    left_out: list[str] = field(default_factory=list)
    """Paths in the folder that the salvage does not hold: once emptied, they are gone."""
    locked: str | None = None
    """The text of git's ``locked`` file as it was; None where there was none."""
    root_mtime_ns: int | None = None
    """The folder's own time of change: renaming ``.git`` inside changes it."""
    root_mode: int | None = None
    """The folder's permissions, where they do not let its owner write, and so not move it."""
    disabled: str = DISABLED
    """What ``.git`` is called in the trash; with ``.new`` behind it, it is nobody else's either."""
    enrolment: str | None = None
    cursor: str | None = None
    session_status: str | None = None
    """The session's status before the removal; a restore gives it back."""
    reasons: list[str] = field(default_factory=list)
    delete_branch: str | None = None
    """The branch that this removal is to delete, if it is still at ``head``."""
    branch_deleted: str | None = None
    settled: bool = False
    """Whether branch, session file and event have been brought up to date after the move."""
    bytes: int | None = None
    """What folder and private directory take on disk; None until `expiry` measures it."""
    left: str | None = None
    """What could not be deleted, in words: how many things, why, and the command that helps."""
    alone: bool = False
    """Whether the folder is all there was: its repository was gone, see `without_repository`."""
    branch_only: bool = False
    """Whether ``branch`` is all that was removed: its worktree was gone, see `branch_removal`."""
    linked: list[str] = field(default_factory=list)
    """``worktree`` and ``private`` as the two halves name each other, where that was before a move of
    store or repository; see `names_in_halves`."""
    restoring: dict[str, Any] | None = None
    """What the restore under way intends; its form is `restore`'s own."""
    more: dict[str, Any] = field(default_factory=dict)
    """Fields that are not known here; they survive a rewrite."""

    @property
    def moment(self) -> str:
        """The entry's name: when it was made, ``20260111T120000.123456Z``."""
        return os.path.basename(self.path)

    @property
    def half_way(self) -> bool:
        """Whether a removal or a restore has begun and has not ended: under way, or killed."""
        return self.state in ("moving", "restoring") or not self.settled


_TEXTS = ("state", "session", "worktree", "private", "common", "created_at")
_OPTIONAL = (
    "head", "branch", "salvage_ref", "locked", "enrolment", "cursor", "session_status",
    "delete_branch", "branch_deleted", "left",
)  # fmt: skip
_LISTS = ("tag_refs", "left_out", "reasons", "linked")
_NUMBERS = ("root_mtime_ns", "root_mode", "bytes")
PATHS = ("worktree", "private", "common", "folder", "git")
_DERIVED = ("repo", "folder", "git", "disabled")
_REST = ("settled", "restoring", "alone", "branch_only")
_KNOWN = frozenset((*_TEXTS, *_OPTIONAL, *_LISTS, *_NUMBERS, *_DERIVED, *_REST, "version", "store"))


def parsed(path: str, fields: dict[str, Any]) -> Entry:
    """Return the entry that ``fields`` describe. Raises `ValueError`."""
    if fields.get("version", VERSION) != VERSION:
        raise ValueError(f"of an unknown version, {fields['version']!r}")
    values: dict[str, Any] = {}
    for name in _TEXTS:
        values[name] = _typed(fields, name, str)
    folder, session = os.path.split(os.path.dirname(path))
    # What the first release wrote has fewer fields: the defaults stand for them.
    defaults = {
        "repo": os.path.basename(folder),
        "folder": f"{path}/worktree",
        "git": f"{path}/git",
        "disabled": DISABLED,
    }
    for name, default in defaults.items():
        values[name] = _typed({name: default, **fields}, name, str)
    for name in _OPTIONAL:
        values[name] = None if fields.get(name) is None else _typed(fields, name, str)
    for name in _NUMBERS:
        values[name] = None if fields.get(name) is None else _typed(fields, name, int)
    for name in _LISTS:
        values[name] = _typed({name: [], **fields}, name, list)
        if not all(isinstance(one, str) for one in values[name]):
            raise ValueError(f"{name} is not a list of texts")
    if len(values["linked"]) not in (0, 2):
        raise ValueError("linked is not two paths")
    values["settled"] = _typed({"settled": values["state"] != "moving", **fields}, "settled", bool)
    for name in ("alone", "branch_only"):
        values[name] = _typed({name: False, **fields}, name, bool)
    intent = fields.get("restoring")
    values["restoring"] = None if intent is None else _typed(fields, "restoring", dict)
    if values["state"] not in STATES:
        raise ValueError(f"state {values['state']!r} is unknown")
    for name in PATHS:
        if not values[name].startswith("/") or "\0" in values[name]:
            raise ValueError(f"{name} is not an absolute path")
    if not values["disabled"].startswith(DISABLED) or "/" in values["disabled"]:
        raise ValueError(f"disabled is {values['disabled']!r}")
    if (values["repo"], values["session"]) != (os.path.basename(folder), session):
        raise ValueError("it belongs to another repository or session")
    names.checked(values["repo"], "repository key")
    names.checked(values["session"], "session id")
    values["more"] = {name: value for name, value in fields.items() if name not in _KNOWN}
    return Entry(path=path, **values)


def _typed(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    # A bool is an int to Python; to JSON it is none.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is missing" if value is None else f"{name} is {value!r}")
    return value
