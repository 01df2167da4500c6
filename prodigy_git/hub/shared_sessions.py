"""Sessions of all hosts: what became of ours is told to the hub, what became of the others' comes here.

Each host numbers what it tells: whoever has seen a number has seen all before it, since a host's row is
held while it tells. Our part is found by when a session's file changed last; to tell the same again
changes nothing, so whoever is killed begins anew. What comes lies apart from our sessions
(`store.other_sessions`).
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from prodigy_git import names
from prodigy_git.hub import connection, pulled_files, told_session
from prodigy_git.hub import host as hosts
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.host import Host
from prodigy_git.record import clock, files, jsonline, locks, within
from prodigy_git.store import other_sessions
from prodigy_git.store.broken import Broken

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_AT_ONCE = 500  # sessions in a transaction
_SLACK = 5_000_000_000  # nanoseconds; some filesystems note a change by whole seconds
_PATIENCE = 60.0  # seconds for another sync of this store, which holds the lock as long as it takes
_MOST_ASIDE = 1000
_SHOWN = 2000  # characters of what is set aside
_HIGHEST = (
    1 << 62
)  # No host tells so often: a member has set its number, and it would soon be no bigint.


@dataclass(frozen=True)
class _Cursor:
    """How far sessions were told, and heard of; ``hub`` and ``host`` are ids."""

    hub: str = ""
    host: str = ""
    since: int = 0
    """Up to when all that changed was told, in nanoseconds since 1970, by the clock of the files."""
    told: int = 0
    """The number of what was told last."""
    heard: dict[str, int] = field(default_factory=dict)
    """The number of what was heard last, of each other host."""


def cursor_path(store: str, repo: str) -> str:
    """Return the path of the note on how far hosts have told each other of sessions."""
    return f"{other_sessions.folder(store)}/{repo}/cursor.json"


def aside_path(store: str, repo: str) -> str:
    """Return the path of what other hosts told that is no session's, and why, a line for each."""
    return f"{other_sessions.folder(store)}/{repo}/set-aside.jsonl"


def _lock_path(store: str, repo: str) -> str:
    return f"{store}/locks/hub-sessions-{repo}.lock"


def ship_sessions(
    conn: Connection,
    hub: uuid.UUID,
    store: str,
    repo: str,
    number: int,
    host: Host,
    *,
    stays: Callable[[str], bool],
    within: float,
) -> int:
    """Tell the hub what became of this host's sessions since the last time; return of how many.

    ``hub`` is the hub's id, ``number`` the repository's there; ``stays`` says of which jobs nothing
    goes there; ``within`` is how many seconds each transaction has. Raises `errors.Away`,
    `errors.Refused`, `OSError`.
    """
    with _held(store, repo):
        cursor = _load(store, repo, hub, host)
        begun = time.time_ns()
        since = max(0, cursor.since - _SLACK)
        if cursor.since > begun or _has_forgotten(conn, host, cursor, within):
            # The clock was put back since, or the hub: what changed then is older than what was told.
            since = 0
        count = 0
        for some in _in_parts(_changed(store, repo, since, stays)):
            with connection.transaction(conn, within=within) as tx:
                changed, told = _tell(tx, number, host, some, cursor.told)
            cursor = replace(cursor, told=told)
            count += changed
        _save(store, repo, replace(cursor, since=begun))
        return count


def _has_forgotten(conn: Connection, host: Host, cursor: _Cursor, within: float) -> bool:
    """Whether the hub knows less of this host than it was told: it was put back from a backup."""
    with connection.transaction(conn, within=within) as tx:
        row = tx.execute(
            "SELECT session_seq FROM prodigy_hub.host WHERE id = %s", (host.id,)
        ).fetchone()
    return row is None or row[0] < cursor.told


def _changed(
    store: str, repo: str, since: int, stays: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield (id, what is told) of each session whose file has changed since; as it is now.

    By the time of the file's own change: a file that was moved back has its old time of writing.
    """
    local: dict[str, bool] = {}
    try:
        entries = sorted(os.scandir(f"{store}/sessions"), key=lambda one: one.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = entry.name.removesuffix(".json")
        if name == entry.name or not names.is_safe(name):
            continue
        try:
            if entry.stat(follow_symlinks=False).st_ctime_ns < since:
                continue
            fields = jsonline.decode_object(files.read(entry.path))
        except (OSError, ValueError):
            continue  # cleaned, or damaged, which every command that reads sessions says
        metadata = fields.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("repo") != repo:
            continue
        told = told_session.out(fields) if fields.get("id") == name else None
        if told is None:
            continue
        job = str(jsonline.decode_object(told.encode("ascii"))["job_id"])
        if job not in local:
            local[job] = stays(job)
        if not local[job]:
            yield name, told


def _in_parts(found: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    some: list[tuple[str, str]] = []
    for one in found:
        some.append(one)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _tell(
    tx: "Raw", number: int, host: Host, some: list[tuple[str, str]], told: int
) -> tuple[int, int]:
    """Tell of some sessions; return of how many there was something new, and the last number.

    ``told`` is what this host knows as its last number: where the hub has forgotten some, others have
    heard of them, so none is used again.
    """
    hosts.sign_of_life(tx, host)  # which holds the host's row, too
    row = tx.execute(
        "SELECT session_seq FROM prodigy_hub.host WHERE id = %s FOR UPDATE", (host.id,)
    ).fetchone()
    assert row is not None
    # Where the number goes down, others hear all of this host again.
    last = max([one for one in (row[0], told) if one < _HIGHEST], default=0)
    ids, docs = zip(*some, strict=True)
    numbers = range(last + 1, last + len(some) + 1)
    changed = tx.execute(
        "INSERT INTO prodigy_hub.session AS s (repository, host, id, seq, doc)"
        " SELECT %s, %s, u.id, u.seq, u.doc"
        " FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS u(id, seq, doc)"
        " ON CONFLICT (repository, host, id) DO UPDATE SET seq = excluded.seq, doc = excluded.doc"
        " WHERE s.doc <> excluded.doc",
        (number, host.id, list(ids), list(numbers), list(docs)),
    ).rowcount
    if changed:
        last = numbers[-1]
    if last != row[0]:
        tx.execute("UPDATE prodigy_hub.host SET session_seq = %s WHERE id = %s", (last, host.id))
    return changed, last


def pull_sessions(
    conn: Connection,
    hub: uuid.UUID,
    store: str,
    repo: str,
    number: int,
    host: Host,
    *,
    within: float,
    say: Broken,
) -> int:
    """Write down what the other hosts told of their sessions since the last time; return of how many.

    Arguments as those of `ship_sessions`. What is no session's is set aside, and named to ``say``.
    Raises `errors.Away`, `errors.Refused`, `OSError`.
    """
    count = 0
    with _held(store, repo):
        cursor = _load(store, repo, hub, host)
        mine = [host.id, *host.earlier]
        with connection.transaction(conn, within=within) as tx:
            rows = tx.execute(
                "SELECT id, session_seq FROM prodigy_hub.host WHERE id <> ALL(%s) ORDER BY id",
                (mine,),
            ).fetchall()
        for other, last in rows:
            heard = cursor.heard.get(str(other), 0)
            if heard > last:
                heard = 0  # the hub was put back from a backup
            while heard < last:
                with connection.transaction(conn, within=within) as tx:
                    told, heard = _heard(tx, number, other, heard, last)
                count += _write(store, repo, other, told, say)
                cursor = replace(cursor, heard={**cursor.heard, str(other): heard})
                _save(store, repo, cursor)
    return count


def _heard(
    tx: "Raw", number: int, other: uuid.UUID, heard: int, last: int
) -> tuple[list[tuple[str, str | None]], int]:
    """Return (id, what was told) behind the number ``heard``, and the number up to which that is all.

    What is too long does not come here at all: None.
    """
    rows = tx.execute(
        "SELECT seq, left(id, 200), CASE WHEN octet_length(doc) <= %s THEN doc END"
        " FROM prodigy_hub.session WHERE host = %s AND repository = %s AND seq > %s AND seq <= %s"
        " ORDER BY seq LIMIT %s",
        (told_session.LONGEST, other, number, heard, last, _AT_ONCE),
    ).fetchall()
    return [row[1:] for row in rows], last if len(rows) < _AT_ONCE else rows[-1][0]


def _write(
    store: str, repo: str, other: uuid.UUID, told: list[tuple[str, str | None]], say: Broken
) -> int:
    """Write down what a host told; return of how many sessions that is."""
    count = 0
    aside = []
    tag = pulled_files.tag_of(store, other) if told else ""
    for name, text in told:
        try:
            found = told_session.taken_in(name, text)
        except ValueError as error:
            aside.append((name, str(error), text))
            continue
        other_sessions.write(store, repo, tag, found, ended=told_session.is_over(found))
        count += 1
    if aside:
        _set_aside(store, repo, other, aside, say)
    return count


def _set_aside(
    store: str,
    repo: str,
    other: uuid.UUID,
    aside: list[tuple[str, str, str | None]],
    say: Broken,
) -> None:
    """Keep, and name, what is no session's: each fault of a session's once."""
    path = aside_path(store, repo)
    known = set()
    try:
        for line in files.read(path).splitlines():
            with contextlib.suppress(ValueError, KeyError):
                held = jsonline.decode_object(line)
                known.add((held["host"], held["session_id"], held["why"]))
    except FileNotFoundError:
        pass
    fresh = [one for one in aside if (str(other), one[0], one[1]) not in known]
    fresh = fresh[: max(0, _MOST_ASIDE - len(known))]
    if not fresh:
        return
    now = clock.stamp(clock.now())
    lines = b"".join(
        jsonline.line({
            "at": now, "host": str(other), "session_id": name, "why": why,
            "text": None if text is None else text[:_SHOWN],
        })
        for name, why, text in fresh
    )  # fmt: skip
    descriptor = files.create(path, os.O_WRONLY | os.O_APPEND)
    try:
        files.write_all(descriptor, lines)
    finally:
        os.close(descriptor)
    for name, why, _ in fresh[:3]:
        shown = names.printable(name)[:80]
        say(f"session {shown} of host {other} was set aside: {why}")
    if len(fresh) > 3:
        say(f"{len(fresh) - 3} more sessions of host {other} were set aside: {path} has them")


@contextlib.contextmanager
def _held(store: str, repo: str) -> Iterator[None]:
    """Let no other process of this store tell, or hear, of a repository's sessions meanwhile."""
    within.make_folder(store, f"{other_sessions.folder(store)}/{repo}")
    lock = locks.take(_lock_path(store, repo), _PATIENCE)
    try:
        yield
    finally:
        os.close(lock)


def _load(store: str, repo: str, hub: uuid.UUID, host: Host) -> _Cursor:
    """Return the cursor; of another hub, or of this store as another host, nothing counts."""
    fresh = _Cursor(hub=str(hub), host=str(host.id))
    try:
        data = files.read(cursor_path(store, repo))
        found = msgspec.json.decode(data, type=_Cursor)
    except (OSError, msgspec.MsgspecError):
        return fresh
    return found if (found.hub, found.host) == (fresh.hub, fresh.host) else fresh


def _save(store: str, repo: str, cursor: _Cursor) -> None:
    files.replace(cursor_path(store, repo), jsonline.line(asdict(cursor)))
