"""The way in for every file of Prodigy's: bounded, never waiting, never through a link."""

import os
from collections.abc import Callable
from typing import Any

from prodigy_git import names
from prodigy_git.record import files, jsonline, within

Broken = Callable[[str], None]
"""Told, in one sentence, what could not be read."""
LARGEST = 1 << 24
"""Bytes of a document that is read; none that Prodigy writes is near that."""
LARGEST_OF_A_JOB = 1 << 27
"""The same for a checkpoint, which has all items of a job in it."""


def quiet(_: str) -> None:
    """Take a finding that nobody has asked for."""


def document(store: str, path: str, broken: Broken, most: int = LARGEST) -> dict[str, Any] | None:
    """Return the JSON object in a file of the store; None where there is none, or it cannot be read."""
    if behind_link(store, path, broken):
        return None
    try:
        return jsonline.decode_object(files.read(path, most))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        broken(told(path, error))
        return None


def folders(store: str, path: str, broken: Broken) -> list[str]:
    """Return the names of the folders in a folder that can be names of ours, sorted; links are none."""
    return _named(store, path, broken, lambda entry: entry.is_dir(follow_symlinks=False))


def documents(store: str, path: str, ending: str, broken: Broken) -> list[str]:
    """Return the stems of the files in a folder whose names end so, sorted.

    What is no file is among them: whoever reads it says so. Names that cannot be an id are reported.
    """
    found = []
    for name in _entries(store, path, broken):
        if name.endswith(ending) and not name.startswith("."):
            stem = name.removesuffix(ending)
            if names.is_safe(stem):
                found.append(stem)
            else:
                broken(f"{path}/{names.printable(name)}: no id can be called so, passed over")
    return sorted(found)


def _named(
    store: str, path: str, broken: Broken, fits: Callable[["os.DirEntry[str]"], bool]
) -> list[str]:
    if behind_link(store, path, broken):
        return []
    try:
        with os.scandir(path) as entries:
            return sorted(one.name for one in entries if names.is_safe(one.name) and fits(one))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        broken(told(path, error))
        return []


def _entries(store: str, path: str, broken: Broken) -> list[str]:
    if behind_link(store, path, broken):
        return []
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        broken(told(path, error))
        return []


def behind_link(store: str, path: str, broken: Broken) -> bool:
    """Whether a link below the store's top folders is part of a path; that is reported."""
    link = within.link_in(store, path)
    if link is not None:
        broken(f"{link} is a link: what it leads to is not read")
    return link is not None


def told(path: str, error: Exception) -> str:
    """Return the sentence that says why a file or folder is passed over."""
    if isinstance(error, files.Unusable):
        return f"{error}: passed over"
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"{path} cannot be read ({why}): passed over"


def text(fields: dict[str, Any], name: str) -> str | None:
    """Return a field that is a text with something in it; None for anything else."""
    value = fields.get(name)
    return value if isinstance(value, str) and names.is_text(value) else None


def number(fields: dict[str, Any], name: str) -> int:
    """Return a field that is a count; 0 for anything else."""
    value = fields.get(name)
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def inner(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a field that is an object; an empty one for anything else."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}
