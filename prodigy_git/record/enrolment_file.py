"""The file of an enrolment, which says where a worktree's commits are recorded.

It lies in the worktree's private git directory and wins over the environment, so that a hook that a
graphical client starts finds the same store as the terminal does.

It says where it was written, too (path and inode of the private git directory), and the store knows
it in turn by its nonce (the text of the session's lock file, and the session's file). Where one of the
two does not fit, something was moved, copied or put back: then `whose` looks more closely. Whoever asks
for a worktree's enrolment asks `enrolment.read`, which sees to that; here is what the file says.

Where several users commit in one worktree, the first one's enrolment has the plain name, and every
other one's its uid behind that: each records in a store of its own, and touches nobody else's file.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import files, jsonline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Start = tuple[int, int, str, str, int]

VERSION = 1
_TEXTS = ("store", "repo", "session", "job", "agent", "item", "worktree", "nonce")


class Enrolment:
    """A worktree's membership: store, repository key, session, job, agent, item, nonce.

    ``opening`` lists the events that the session's log begins with, as (type, own fields): the first
    drain writes them, so that they too are recorded once, whatever is killed when. ``start`` is
    the journal's last line before the session: its end, length, SHA-1, new commit and time, as in
    `cursor.Cursor`; None where the session has the whole journal. ``private`` and ``inode`` are of the
    private git directory when it was written (None: by a release that did not note them).

    ``known`` is False where no store in sight knows the session: then nothing is recorded. ``stale``
    says that the file is to be written anew, since store or worktree are elsewhere now. ``suffix`` is
    what the names of its file and of its cursor's end with: nothing, or `own_suffix`.
    """

    __slots__ = (
        "agent",
        "inode",
        "item",
        "job",
        "known",
        "nonce",
        "opening",
        "private",
        "repo",
        "session",
        "stale",
        "start",
        "store",
        "suffix",
        "worktree",
    )

    def __init__(
        self,
        *,
        store: str,
        repo: str,
        session: str,
        job: str,
        nonce: str,
        worktree: str,
        agent: str | None = None,
        item: str | None = None,
        opening: list[tuple[str, dict[str, Any]]] | None = None,
        start: Start | None = None,
        private: str | None = None,
        inode: int | None = None,
        suffix: str = "",
    ) -> None:
        """Check every id, since they become paths. Raises `names.BadName`."""
        self.store = store
        self.repo = names.checked(repo, "repository key")
        self.session = names.checked(session, "session id")
        self.job = names.checked(job, "job id")
        self.agent = None if agent is None else names.checked(agent, "agent id")
        self.item = None if item is None else names.checked(item, "item id")
        self.nonce = nonce
        self.worktree = worktree
        self.opening = opening or []
        self.start = start
        self.private = private
        self.inode = inode
        self.suffix = suffix
        self.known = True
        self.stale = False


def is_at(there: Enrolment, private: str) -> bool:
    """Whether an enrolment was written in this private git directory: by path and inode."""
    return there.private == private and there.inode == os.stat(private).st_ino


def knows(store: str, there: Enrolment) -> bool:
    """Whether a store is the one that an enrolment belongs to: its session's lock bears the nonce."""
    try:
        return files.read(layout.session_lock(store, there.session)) == there.nonce.encode()
    except OSError:
        return False


def own_suffix() -> str:
    """Return what the name of this user's enrolment ends with where the plain one is another's."""
    return f".{os.geteuid()}"


def as_written(private: str) -> Enrolment | None:
    """Return what the file in a private git directory says, copied or not; None: there is none.

    Of the files of several users the first that this one can read. Raises `ValueError` for one that
    is damaged, `OSError`; both only for a file of this user's.
    """
    try:
        there = in_file(private, "")
    except (PermissionError, ValueError) as error:
        owner = os.stat(f"{private}/{layout.ENROLMENT}").st_uid
        # Root reads all there is: what is damaged then is for root to say.
        if owner == os.geteuid() or (files.ROOT and not isinstance(error, OSError)):
            raise
        there = None
    return in_file(private, own_suffix()) if there is None else there


def in_file(private: str, suffix: str) -> Enrolment | None:
    """Return what the enrolment of that ``suffix`` says, None where there is none.

    Raises `ValueError` for one that is damaged, `OSError`.
    """
    path = f"{private}/{layout.ENROLMENT}{suffix}"
    try:
        data = files.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parsed(data, path, suffix)


def parsed(data: bytes, path: str, suffix: str = "") -> Enrolment:
    """Return the enrolment that ``data``, the text of a file ``path``, is. Raises `files.Damaged`."""
    try:
        return Enrolment(**_parsed(data), suffix=suffix)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise files.Damaged(
            f"{path} is damaged ({error}): 'prodigy-git doctor' says what helps"
        ) from None


def _parsed(data: bytes) -> dict[str, Any]:
    """Return what an enrolment's text says; raises what parsing and converting raise."""
    fields = jsonline.decode_object(data)
    if fields.get("version") != VERSION:
        raise ValueError("of an unknown version")
    texts: dict[str, Any] = {}
    for name in _TEXTS:
        value = fields.get(name)
        if value is None and name in ("agent", "item"):
            continue
        if not isinstance(value, str) or not names.is_text(value):
            raise ValueError(f"no {name}")
        texts[name] = value
    if not texts["store"].startswith("/"):
        raise ValueError("store is not absolute")
    texts["opening"] = [(str(kind), dict(own)) for kind, own in fields.get("opening", [])]
    if "start" in fields:
        end, length, digest, sha, seconds = fields["start"]
        texts["start"] = (int(end), int(length), str(digest), str(sha), int(seconds))
    if "private" in fields:
        texts["private"], texts["inode"] = str(fields["private"]), int(fields["inode"])
    return texts


def ours(there: Enrolment | None, store: str) -> bool:
    """Whether an enrolment belongs to a store, however the store is called in it."""
    return there is not None and there.known and files.same(there.store, store)


def claim(lock: int, enrolment: Enrolment) -> None:
    """Write into the session's lock, which is held, whose enrolment it is. Raises `OSError`."""
    text = enrolment.nonce.encode()
    if os.pread(lock, len(text) + 1, 0) != text:
        os.ftruncate(lock, os.pwrite(lock, text, 0))


def write(private: str, enrolment: Enrolment) -> None:
    """Write an enrolment; the caller holds the session's lock. Raises `OSError`."""
    enrolment.private, enrolment.inode = private, os.stat(private).st_ino
    enrolment.stale = False
    fields: dict[str, Any] = {"version": VERSION}
    for name in _TEXTS:
        value = getattr(enrolment, name)
        if value is not None:
            fields[name] = value
    fields["opening"] = enrolment.opening
    if enrolment.start is not None:
        fields["start"] = enrolment.start
    fields["private"], fields["inode"] = enrolment.private, enrolment.inode
    # The note is of the one before: without it a hook waits, and writes another.
    try:
        os.unlink(f"{private}/{layout.WAKE}")
    except OSError:
        pass
    path = f"{private}/{layout.ENROLMENT}{enrolment.suffix}"
    files.replace(path, jsonline.line(fields))


def envelope(enrolment: Enrolment, identity: str, kind: str) -> dict[str, Any]:
    """Return the first fields of an event of this enrolment (DESIGN, section 6), without stamp."""
    event: dict[str, Any] = {
        "id": identity,
        "timestamp": "",
        "type": kind,
        "event_type": kind,
        "correlation_id": enrolment.session,
        "job_id": enrolment.job,
        "session_id": enrolment.session,
    }
    if enrolment.agent is not None:
        event["agent_id"] = enrolment.agent
    if enrolment.item is not None:
        event["item_id"] = enrolment.item
    return event
