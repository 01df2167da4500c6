"""What was done to a settings file, noted in the store: enough to take it out again to the byte.

Nothing of the file's content is kept, which may have a token in it: only where in the text ours is, and
the hash of the whole. Without a note, or when the file has changed since, ours is found by its mark.
"""

import contextlib
import dataclasses
import glob
import os
import time
from typing import Any

from prodigy_git import digest as digests
from prodigy_git import layout
from prodigy_git.record import files, jsonline

_KEPT = 2
"""The state before the newest is kept, too: whoever is killed between note and file has that one."""

_REMEMBERED = 90 * 86400  # seconds since something was put into a file that is gone


@dataclasses.dataclass(frozen=True)
class State:
    """A file as we left it. ``spans`` (offset, length) of its text are ours, None: not known.

    ``made`` are the containers that we made in it, ``file_made`` whether the file itself,
    ``folders`` the folders that we made for it.
    """

    sha256: str
    spans: tuple[tuple[int, int], ...] | None
    made: tuple[str, ...]
    file_made: bool
    folders: tuple[str, ...] = ()

    def original(self, text: str) -> str:
        """Return the text as it was before ours came; only for the text that this state is of."""
        assert self.spans is not None
        for at, length in reversed(self.spans):
            text = text[:at] + text[at + length :]
        return text


def digest(content: bytes) -> str:
    """Return the hash by which a state is told."""
    return digests.sha256_hex(content)


def read(store: str, target: str) -> list[State]:
    """Return what is noted of the file ``target``, the newest first; of a damaged note nothing."""
    try:
        document = jsonline.decode_object(files.read(layout.agent_settings(store, _key(target))))
        return [_state(one) for one in document["states"]][:_KEPT]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def write(store: str, target: str, states: list[State]) -> None:
    """Note the states of a file, the newest first. Raises `OSError`."""
    path = layout.agent_settings(store, _key(target))
    document = {"path": target, "states": [dataclasses.asdict(one) for one in states[:_KEPT]]}
    files.make_private(path.rpartition("/")[0])
    files.replace(path, jsonline.line(document))


def drop(store: str, target: str) -> None:
    """Forget a file; nothing happens where nothing is noted."""
    with contextlib.suppress(OSError):
        os.unlink(layout.agent_settings(store, _key(target)))


def sweep(store: str) -> None:
    """Forget files whose folders have been gone for long, as of repositories that were deleted.

    What is not mounted just now, or in the trash, may come back.
    """
    for path in glob.glob(layout.agent_settings(glob.escape(store), "*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if time.time() - os.stat(path).st_mtime < _REMEMBERED:
                continue
            target = jsonline.decode_object(files.read(path))["path"]
            if not os.path.isdir(os.path.dirname(target)):
                os.unlink(path)


def _key(target: str) -> str:
    return digests.sha256_hex(os.fsencode(target))[:16]


def _state(one: dict[str, Any]) -> State:
    spans = one["spans"]
    return State(
        str(one["sha256"]),
        None if spans is None else tuple((int(at), int(length)) for at, length in spans),
        tuple(map(str, one["made"])),
        bool(one["file_made"]),
        tuple(map(str, one["folders"])),
    )
