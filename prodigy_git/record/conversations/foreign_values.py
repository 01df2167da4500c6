"""What comes from outside, checked: it becomes a file's name, or stands in a log and on a screen."""

from __future__ import annotations

import os

from prodigy_git import names
from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_TEXT = 64 * 1024
"""How many characters of a prompt or a message are kept."""
LONGEST_WORD = 256
"""How many characters a name has at most: of an event, a tool, a model."""
LONGEST_PATH = 4096
MOST_FILES = 64
"""How many edited files one event names at most."""
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def bare(name: str) -> str:
    """Return a name without case, underscores, dots, hyphens and blanks."""
    return name.replace("_", "").replace(".", "").replace("-", "").replace(" ", "").lower()


def first_of(given: dict[str, Any], *wanted: str) -> Any:
    """Return the first of these fields that is there and is not null."""
    for name in wanted:
        value = given.get(name)
        if value is not None:
            return value
    return None


def as_id(value: Any) -> str | None:
    """Return an id from outside as a safe name: as it is, or where it is none, as a hash of it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    if names.is_safe(value):
        return value
    return "x-" + files.sha1_hex(value.encode("utf-8", "surrogatepass"))[:32]


def as_line(value: Any, most: int) -> str | None:
    """Return a text on one line, cut; None where it is none, or empty."""
    if not isinstance(value, str):
        return None
    value = value[:most].strip()
    if not (value.isascii() and value.isprintable()):
        value = names.printable(value)
    return value or None


def as_word(value: Any) -> str | None:
    """Return a name on one line, cut; None where it is none, or empty."""
    return as_line(value, LONGEST_WORD)


def as_model(value: Any) -> str | None:
    """Return a model's name, which some programs have in an object."""
    if isinstance(value, dict):
        value = first_of(value, "id", "modelID", "name")
    return as_word(value)


def as_text(value: Any) -> str | None:
    """Return a text, cut, without control characters but line breaks and tabs."""
    if isinstance(value, dict):
        value = first_of(value, "content", "text", "message")
    if not isinstance(value, str):
        return None
    value = value[:LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8").translate(_CONTROL)
    return value or None


def as_path(value: Any) -> str | None:
    """Return an absolute path, None for anything else."""
    if not isinstance(value, str) or not value.startswith("/") or len(value) > LONGEST_PATH:
        return None
    if not names.is_text(value) or not (value.isprintable() or _is_path(value)):
        return None
    # Behind a symlink, `..` is the target's parent.
    return value if "/.." in value else os.path.normpath(value)


def _is_path(value: str) -> bool:
    """Whether a text without control characters; what stands for bytes is not printable, but a path."""
    return value.translate(_CONTROL) == value and "\n" not in value and "\t" not in value


def as_paths(values: list[Any], cwd: str | None) -> tuple[str, ...] | None:
    """Return the paths among some values, those that are relative put behind ``cwd``."""
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and value and cwd is not None:
            value = os.path.join(cwd, value)
        path = as_path(value)
        if path is not None:
            found[path] = None
        if len(found) == MOST_FILES:
            break
    return tuple(found) or None
