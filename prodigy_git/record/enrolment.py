"""The enrolment: the small file that says where a worktree's commits are recorded.

It lies in the worktree's private git directory and wins over the environment, so that a hook that a
graphical client starts finds the same store as the terminal does.
"""

from __future__ import annotations

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
    `cursor.Cursor`; None where the session has the whole journal.
    """

    __slots__ = (
        "agent",
        "item",
        "job",
        "nonce",
        "opening",
        "repo",
        "session",
        "start",
        "store",
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


def read(private: str) -> Enrolment | None:
    """Return the enrolment in a private git directory, None where there is none.

    Raises `ValueError` for one that is damaged.
    """
    try:
        data = files.read(f"{private}/{layout.ENROLMENT}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    fields = jsonline.decode_object(data)
    if fields.get("version") != VERSION:
        raise ValueError(f"enrolment of an unknown version: {private}/{layout.ENROLMENT}")
    texts: dict[str, Any] = {}
    for name in _TEXTS:
        value = fields.get(name)
        if value is None and name in ("agent", "item"):
            continue
        if not isinstance(value, str) or not value:
            raise ValueError(f"damaged enrolment, no {name}: {private}/{layout.ENROLMENT}")
        texts[name] = value
    if not texts["store"].startswith("/"):
        raise ValueError(f"damaged enrolment, store not absolute: {private}/{layout.ENROLMENT}")
    try:
        texts["opening"] = [(str(kind), dict(own)) for kind, own in fields.get("opening", [])]
        if "start" in fields:
            end, length, digest, sha, seconds = fields["start"]
            texts["start"] = (int(end), int(length), str(digest), str(sha), int(seconds))
    except (TypeError, ValueError):
        raise ValueError(f"damaged enrolment: {private}/{layout.ENROLMENT}") from None
    return Enrolment(**texts)


def ours(there: Enrolment | None, store: str) -> bool:
    """Whether an enrolment belongs to a store, however the store is called in it."""
    return there is not None and files.same(there.store, store)


def write(private: str, enrolment: Enrolment) -> None:
    """Write an enrolment; the caller holds the session's lock. Raises `OSError`."""
    fields: dict[str, Any] = {"version": VERSION}
    for name in _TEXTS:
        value = getattr(enrolment, name)
        if value is not None:
            fields[name] = value
    fields["opening"] = enrolment.opening
    if enrolment.start is not None:
        fields["start"] = enrolment.start
    files.replace(f"{private}/{layout.ENROLMENT}", (jsonline.encode(fields) + "\n").encode("ascii"))


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
