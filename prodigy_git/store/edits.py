"""Which files agent programs have edited in the worktrees of sessions, and which of them several have.

As the programs told it while they worked: what is not committed yet is in it, too, and git is not
asked. Who edits through a shell command, or without our hooks, tells nothing of it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from prodigy_git import layout
from prodigy_git.record import files, jsonline

READ = 64 << 10
"""How many bytes of a session's activity are looked through: the end."""
MOST = 1000
"""How many files of a session are kept: those edited last."""


@dataclass(frozen=True)
class Same:
    """A file that several sessions have edited, each in its own worktree.

    ``editors`` are the sessions, with when each edited it last, as events have a time; who did it last
    comes first. ``path`` is relative to the worktree.
    """

    path: str
    editors: dict[str, str]

    @property
    def last(self) -> str:
        """When it was edited last."""
        return max(self.editors.values())


_FILES = re.compile(rb'"files":(\[(?:"[^"\\]*(?:\\.[^"\\]*)*",?)*\])')
"""The files that a line names, as JSON: a quote within a name is escaped, so it cannot begin there."""
_ODD = re.compile(r"/(?:\.|/|\Z)")
"""What may make a path another one than it says; nearly none has it."""
_AT = b'"at":"'
_STAMP = len("2025-01-11T12:00:00.123456Z")
_decode = msgspec.json.Decoder(list[str]).decode


def edited(store: str, repo: str, session: str, top: str) -> dict[str, str]:
    """Return the files that were edited in a session's worktree ``top``, with when that was last.

    Times are as events have them, and sort as texts. Paths are relative to ``top``; what lies
    elsewhere is left out. Empty where no program has told anything. Raises `OSError`.
    """
    return of_data(tail(store, repo, session), top)


def tail(store: str, repo: str, session: str) -> bytes:
    """Return the end of a session's activity file, whole lines; empty where there is none.

    Raises `OSError`.
    """
    try:
        descriptor, about = files.opened(layout.activity(store, repo, session))
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        begin = max(0, about.st_size - READ)
        data = os.pread(descriptor, READ, begin)
    finally:
        os.close(descriptor)
    # The first may be half a line, and the last one be about to be written.
    first = data.find(b"\n") + 1 if begin else 0
    return data[first : data.rfind(b"\n") + 1]


def of_data(data: bytes, top: str) -> dict[str, str]:
    """Return what `edited` does, of what `tail` has read."""
    # Most lines name what others have named: each different list is decoded once, at its last place.
    last = {match[1]: match.start() for match in _FILES.finditer(data)}
    found: dict[str, str] = {}
    inside = top.rstrip("/") + "/"
    for text, place in sorted(last.items(), key=lambda item: item[1]):
        try:
            named = _decode(text)
        except msgspec.MsgspecError:
            # A path that is not UTF-8 is in it as halves of surrogate pairs.
            named = jsonline.decode_object(b'{"files":' + text + b"}")["files"]
        at = data.find(_AT, data.rfind(b"\n", 0, place) + 1, place) + len(_AT)
        moment = data[at : at + _STAMP].decode("ascii", "replace")
        if not moment.endswith("Z"):
            continue  # no line of ours
        for path in named:
            name = within(path, inside)
            if name is not None:
                found.pop(name, None)  # so that those edited last come last
                found[name] = moment
    return dict(list(found.items())[-MOST:])


def within(path: str, inside: str) -> str | None:
    """Return a path as it is in the folder ``inside``, which ends with a slash; None if it is not.

    ``path`` is as a program named it: perhaps through a link.
    """
    if path.startswith(inside) and not _ODD.search(path, len(inside) - 1):
        return path[len(inside) :]
    if not path.startswith(inside):
        path = os.path.realpath(path) if os.path.isabs(path) and "\0" not in path else ""
    name = os.path.normpath(path.removeprefix(inside)) if path.startswith(inside) else ""
    return name if name not in ("", ".") and not name.startswith("../") else None


def same(by_session: Mapping[str, Mapping[str, str]]) -> list[Same]:
    """Return the files that more than one session has edited, those edited last first.

    ``by_session`` has what `edited` says of each.
    """
    editors: dict[str, dict[str, str]] = {}
    for session, paths in by_session.items():
        for path, moment in paths.items():
            editors.setdefault(path, {})[session] = moment
    found = [
        Same(path, dict(sorted(who.items(), key=lambda item: item[1], reverse=True)))
        for path, who in editors.items()
        if len(who) > 1
    ]
    found.sort(key=lambda one: one.path)
    return sorted(found, key=lambda one: one.last, reverse=True)
