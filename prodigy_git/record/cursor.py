"""The cursor: how far a worktree's journal has been recorded, and what is being recorded now.

It lies beside the enrolment and is read and written under the session's lock only. It is one line,
written over the one before with one system call, so that a kill leaves the old one or the new one
(what is left of a longer one behind the newline is not read). Renaming a new file over it would cost a
commit half a millisecond: ext4 writes the data out before such a rename. It is not synced: the log
is, before the cursor moves on, so that a cursor lost with the power is an older one, or none, which a
drain takes for a lost one and searches the log; ``boot`` tells it that this may have happened.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import files, gitdir, jsonline, log_position
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prodigy_git.record.enrolment_file import Start


class Cursor:
    """A place in the journal, the log's position after our last event, and the intent mark.

    ``offset``, ``length`` and ``digest`` describe the last line consumed (its end, its length and
    SHA-1 in hex; length 0: none yet), ``sha``, ``seconds`` and ``identity`` its new commit, time and
    committer. ``log`` is
    behind the last event written for this worktree, ``intent`` where a write was about to begin.
    ``commits`` counts the commits recorded; ``last`` is the last of them. ``branch`` is what HEAD was
    on behind the last line consumed, where that is known. ``noted`` is when a hook last wrote the
    session's checkpoint, in microseconds since 1970. ``boot`` is the kernel's boot id when the cursor
    was written. ``job`` is the job that the session was given after its registration, ``former`` the
    one before it while that one's log still has events of it, see `change_of_job`.
    """

    __slots__ = (
        "boot", "branch", "commits", "digest", "former", "identity", "intent", "job", "last", "length",
        "log", "noted", "offset", "seconds", "sha",
    )  # fmt: skip

    def __init__(self, last: Start | None = None) -> None:
        """Make the cursor of a journal of which nothing behind ``last`` has been recorded."""
        self.offset, self.length, self.digest, self.sha, self.seconds = last or (0, 0, "", "", 0)
        self.identity = b""
        self.log: Position | None = None
        self.intent: Position | None = None
        self.commits = 0
        self.last = ""
        self.branch: str | None = None
        self.noted = 0
        self.boot = ""
        self.job: str | None = None
        self.former: str | None = None


def read(private: str, suffix: str = "", held: int | None = None) -> Cursor | None:
    """Return the cursor of the enrolment with a ``suffix``; None where it is missing or damaged.

    ``held`` is a descriptor of it, which is read where the file is no more.
    """
    try:
        try:
            data = files.read(f"{private}/{layout.CURSOR}{suffix}")
        except FileNotFoundError:
            if held is None:
                raise
            data = gitdir.read_held(held)
        fields = jsonline.decode_object(data.partition(b"\n")[0])
        cursor = Cursor()
        for name in ("offset", "length", "seconds", "commits"):
            setattr(cursor, name, int(fields[name]))
        for name in ("digest", "sha", "last", "boot"):
            setattr(cursor, name, str(fields[name]))
        cursor.noted = int(fields.get("noted", 0))
        branch = fields.get("branch")
        cursor.branch = None if branch is None else str(branch)
        for name in ("job", "former"):
            if name in fields:
                setattr(cursor, name, names.checked(fields[name], "job id"))  # it becomes a path
        cursor.identity = str(fields["identity"]).encode("utf-8", "surrogateescape")
        for name in ("log", "intent"):
            setattr(cursor, name, log_position.from_json(fields.get(name)))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return cursor


def write(private: str, cursor: Cursor, suffix: str = "", held: int | None = None) -> None:
    """Write the cursor of the enrolment with a ``suffix``. The caller holds the session's lock.

    With ``held``, a descriptor of it, no file is made where it is no more: somebody may be deleting
    its folder just now. Raises `OSError`.
    """
    fields: dict[str, Any] = {}
    for name in Cursor.__slots__:
        value = getattr(cursor, name)
        if isinstance(value, Position):
            value = log_position.as_json(value)
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if value is not None:
            fields[name] = value
    data = jsonline.line(fields)
    path = f"{private}/{layout.CURSOR}{suffix}"
    if held is None:
        descriptor = files.create(path, os.O_WRONLY)
    else:
        try:
            descriptor = files.open_regular(path, os.O_WRONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            descriptor = os.dup(held)
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        files.write_all(descriptor, data)
        if os.fstat(descriptor).st_size > len(data):
            os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Return an id of the running system's start, or nothing where the system gives none."""
    try:
        return files.read("/proc/sys/kernel/random/boot_id").decode("ascii").strip()
    except (OSError, ValueError):
        return ""
