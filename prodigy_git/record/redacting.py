"""What goes into the store's files goes through here: texts with a secret in them lose it.

Asked is first what costs nothing (`suspicion`); the gate (`redaction`), and whether ``git config
prodigy.redact`` is off, only where that says yes. Names of things, which others compare, are left as
they are: ids, hashes, paths, branches (`_NAMES`). So is a work item's own data, which an agent reads.
"""

from __future__ import annotations

from prodigy_git import layout
from prodigy_git.record import files, gitdir, jsonline
from prodigy_git.record.suspicion import suspicious

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

_NAMES = frozenset((
    "id", "type", "event_type", "timestamp", "correlation_id", "job_id", "session_id", "agent_id",
    "item_id", "item_ids", "items", "repo", "parent_session", "resumed", "nonce", "owner",
    "agent_program", "program_session", "subagent_id", "error_signature", "items_sha256",
    "commit", "commits", "last_commit", "parent", "old", "new", "base", "head",
    "branch", "base_branch", "branch_name", "target_branch", "with", "salvage_ref",
    "worktree", "worktree_name", "worktree_path", "repo_path", "git_dir", "trash_path",
    "path", "file", "files", "log", "transcript", "json_log_location", "checkpoint_path",
))  # fmt: skip
"""Fields whose values are compared, looked up or opened; of an event of somebody's own, too."""
_ITEMS = frozenset(("item_data", "work_item"))
"""Fields that hold a work item as it was given."""
_PICTURE = 1 << 16
"""Letters and digits in a row from which they are a picture, or the like, in base64."""
_SHORTEST = 6
"""Letters: no rule of the gate takes less."""
_off: dict[str, bool] = {}


def text(store: str, repo: str, given: str, env: Mapping[str, str] | None = None) -> str:
    """Return ``given`` without what looks like a secret, unless the repository has that off.

    ``env`` is the environment of who wrote it, whose secret values are taken out too.
    """
    if (env is None and not suspicious(given)) or is_off(store, repo):
        return given
    from prodigy_git.redaction.gate import redact  # 20 ms, for few texts

    return redact(given, env)


def value(store: str, repo: str, given: Any, name: str = "") -> Any:
    """Return ``given``, any value of JSON, with each text in it as by `text`.

    ``name`` is the field that it is the value of: what stands behind ``password`` is a password. What
    is unchanged is returned as it is, not copied.
    """

    def change(said: str, name: str) -> str:
        if len(said) < _SHORTEST or name in _NAMES or _is_picture(said):
            return said
        if _is_telling(name):
            before = f"{name}="
            whole = text(store, repo, before + said)
            if whole.startswith(before):
                return whole[len(before) :]
        return text(store, repo, said)

    return each_text(given, change, name, but=_ITEMS)


def each_text(
    given: Any, change: Callable[[str, str], str], name: str = "", *, but: Collection[str] = ()
) -> Any:
    """Return a value of JSON with each text in it as ``change`` has it, of the text and its field.

    What stands in a list is of the list's field. Objects in the fields ``but`` are left as they are.
    What is unchanged is returned as it is, not copied. Raises `RecursionError` for what is too deep.
    """
    if isinstance(given, str):
        return change(given, name)
    if isinstance(given, dict):
        if name in but:
            return given
        changed = {
            key: new for key, old in given.items()
            if (new := each_text(old, change, key if isinstance(key, str) else "", but=but)) is not old
        }  # fmt: skip
        return {**given, **changed} if changed else given
    if isinstance(given, list | tuple):
        new_ones = [each_text(one, change, name, but=but) for one in given]
        same = all(new is old for new, old in zip(new_ones, given, strict=True))
        return given if same else new_ones
    return given


def _is_picture(given: str) -> bool:
    """Whether ``given`` is base64, which transcripts have megabytes of: the gate takes half a minute.

    No secret is in so long a run: each has a sign before it, or is shorter.
    """
    if len(given) < _PICTURE:
        return False
    return given.replace("+", "").replace("/", "").rstrip("=").isalnum()


def _is_telling(name: str) -> bool:
    folded = name.lower()
    return any(
        word in folded for word in ("pass", "pwd", "secret", "token", "key", "credential", "auth")
    )


def line(given: str) -> str:
    """Return a line of which nobody can say whose repository it is about: of the store's own log."""
    if not suspicious(given):
        return given
    from prodigy_git.redaction.gate import redact

    return redact(given)


def in_repository(common: str, given: str) -> str:
    """Return as `text` what is about the repository whose common git directory is ``common``."""
    if not suspicious(given) or is_off_in(common):
        return given
    from prodigy_git.redaction.gate import redact

    return redact(given)


def is_off(store: str, repo: str) -> bool:
    """Whether a repository's ``git config prodigy.redact`` is off, as far as the store knows it."""
    try:
        place = jsonline.decode_object(files.read(layout.repository(store, repo))).get("common_dir")
    except (OSError, ValueError):
        return False  # gone, or moved: nobody can have said so
    return isinstance(place, str) and is_off_in(place)


def is_off_in(common: str) -> bool:
    """Whether it is off in the repository of a common git directory. Asked of git once in a process."""
    known = _off.get(common)
    if known is None:
        try:
            status, out = gitdir.ask(
                gitdir.Place(common, common, common),
                *("config", "--type=bool", "--get", "prodigy.redact"),
            )
        except (OSError, ValueError):
            status, out = 1, b""
        known = _off[common] = status == 0 and out.strip() == b"false"
    return known
