"""The end of an agent program's conversation: noted in the store, and seen to in the background.

The note is written first, with what the end says, and removed last, by who has done what an end
asks for (`lifecycle.program_ended`): so what is killed in between, the next command finds and does.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prodigy_git.record.conversations.normal_form import Heard

WORKER = "prodigy_git.lifecycle.program_ended"
_FIELDS = ("program", "program_session", "reason", "event", "transcript", "mark")
_SEPARATOR = "+"  # in no safe name


def end(heard: Heard, store: str, repo: str, session: str) -> None:
    """Take in the end of a conversation; what follows is recorded, and done, in the background.

    The note comes first: what is killed behind it, the next command finds. A program ends hooks that
    take longer than a second or two, so nothing is waited for. Raises `OSError`.
    """
    from prodigy_git.record.conversations import activity

    note(store, session, heard)
    try:
        activity.append(store, repo, session, heard)
    finally:
        wake(store, session)


def note(store: str, session: str, heard: Heard) -> str:
    """Write the note on an end; return its path. Raises `OSError`."""
    from prodigy_git.record import jsonline

    said = {name: getattr(heard, name) for name in _FIELDS}
    digest = files.sha1_hex(f"{heard.program}:{heard.program_session}".encode())
    path = f"{layout.program_ends(store)}/{session}{_SEPARATOR}{digest}"
    files.put(path, jsonline.line(said), through=layout.temporary(path))
    return path


def notes(store: str) -> list[tuple[str, str]]:
    """Return the notes of a store, as (session, path); one listing where there are none."""
    folder = layout.program_ends(store)
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    parts = ((name.partition(_SEPARATOR), name) for name in sorted(found))
    return [
        (session, f"{folder}/{name}")
        for (session, _, digest), name in parts
        if names.is_safe(session) and len(digest) == 40
    ]


def read(path: str) -> Heard | None:
    """Return the end that a note speaks of; None where the note is gone, or damaged."""
    from prodigy_git.record import jsonline
    from prodigy_git.record.conversations import normal_form

    try:
        said: dict[str, Any] = jsonline.decode_object(files.read(path, 1 << 16))
        heard = normal_form.Heard(str(said["program"]), "end", said["event"])
    except (OSError, ValueError, KeyError):
        return None
    for name in _FIELDS:
        value = said.get(name)
        if isinstance(value, str):
            setattr(heard, name, value)
    return heard if heard.program_session is not None else None


def wake(store: str, session: str) -> None:
    """Start the process that does what the notes on a session's ends ask for. Raises `OSError`."""
    from prodigy_git.record import detached

    detached.start(WORKER, [store, session])
