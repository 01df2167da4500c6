"""The number that a repository has on a hub: found by its names there, and remembered here.

A repository that is remembered keeps its number, whatever its remote is called by now: what it was
called before stays a name of it. A number is believed only together with a name that the hub has for
it: a hub that was put back from a backup may have given it to another repository since.
"""

import os
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from prodigy_git import layout, names
from prodigy_git.errors import ProdigyError
from prodigy_git.hub import connection, identity
from prodigy_git.hub.connection import Connection
from prodigy_git.hub.identity import SETTING, Identity
from prodigy_git.record import files, jsonline, locks

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw

_TRIES = 20
"""Each failed one means that another host has just taken a name: it is there at the next look."""
_MOST_NAMES = 200
"""Names of earlier remotes that are remembered."""


class Remembered(NamedTuple):
    """What ``state/{repo}/hub.json`` holds: which hub, the number there, and by which names."""

    hub: uuid.UUID
    number: int
    names: tuple[str, ...]


class _Taken(Exception):
    """Another host has taken a name since it was looked for."""


def note_path(store: str, repo: str) -> str:
    """Return the path of what says which repository of its hub one is."""
    return f"{layout.state(store, repo)}/hub.json"


def remembered(store: str, repo: str) -> Remembered | None:
    """Return what this store knows of a repository's number; None: nothing that can be used.

    A damaged file is one that is not there: the number is found again by the names.
    """
    try:
        held = jsonline.decode_object(files.read(note_path(store, repo)))
        number, known = held["repository"], held["names"]
        hub = uuid.UUID(held["hub"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    if not isinstance(known, list) or not all(isinstance(one, str) for one in known):
        return None
    return Remembered(hub, number, tuple(known))


def number(
    conn: Connection, hub: uuid.UUID, store: str, repo: str, common: str, *, within: float
) -> int:
    """Return the number that a repository has on the hub with the id ``hub``, taking one if needed.

    ``repo`` is its key in the store, ``common`` its common git directory, ``within`` how many seconds
    each transaction may take. Raises `identity.Unidentified` where nothing tells which repository it
    is, `ProdigyError` where that is ambiguous; `errors.Away`, `errors.Refused`; `OSError` where it
    cannot be noted.
    """
    before = remembered(store, repo)
    found = identity.by_setting(common)
    if found is None:
        # The roots of a long history take seconds. Who is known there need not ask for them.
        known = before is not None and before.hub == hub and _is_there(conn, before, within)
        found = Identity("roots", ()) if known else identity.by_roots(common)
    result = resolve(conn, found, repo, before=before, hub=hub, within=within)
    kept = dict.fromkeys((*found.names, *(before.names if before is not None else ())))
    now = Remembered(hub, result, tuple(kept)[:_MOST_NAMES])
    if now != before:
        _write(store, repo, now)
    return result


def resolve(
    conn: Connection,
    found: Identity,
    repo: str,
    *,
    before: Remembered | None = None,
    hub: uuid.UUID | None = None,
    within: float,
) -> int:
    """Return the number of the repository with these names, making one where nobody has them.

    ``repo`` is what people here call it, ``before`` what was remembered of it, ``hub`` the id of this
    hub. In one transaction: two hosts that come at once get one number. Raises `ProdigyError` where the
    names are those of two repositories; `errors.Away`, `errors.Refused`.
    """
    for _ in range(_TRIES):
        try:
            with connection.transaction(conn, within=within) as tx:
                return _within(tx, found, repo, before, hub)
        except _Taken:
            continue
    raise ProdigyError("the hub's repositories change all the time: try again")


def _within(
    tx: "Raw", found: Identity, repo: str, before: Remembered | None, hub: uuid.UUID | None
) -> int:
    earlier = before.names if before is not None else ()
    there = _numbers(tx, (*found.names, *earlier))
    now = {there[name] for name in found.names if name in there}
    then = {there[name] for name in earlier if name in there}
    mine = before.number if before is not None and before.hub == hub else None
    if mine not in then:
        # Never there, or the hub is another one, or was put back: what it is called decides. The
        # earlier names are offered again where nobody has them.
        ours = now or then
        if len(ours) > 1:
            raise ProdigyError(_two(tx, ours, repo))
        mine = next(iter(ours), None)
    elif now - {mine}:
        raise ProdigyError(_another(tx, mine, now - {mine}, repo))
    if mine is None:
        mine = _make(tx, found, repo)
    missing = sorted({*found.names, *earlier} - there.keys())
    for name in missing:  # in order, so that two hosts do not wait for each other
        added = tx.execute(
            "INSERT INTO prodigy_hub.repository_name (name, repository) VALUES (%s, %s) "
            "ON CONFLICT DO NOTHING RETURNING name",
            (name, mine),
        ).fetchone()
        if added is None:
            raise _Taken
    return mine


def _is_there(conn: Connection, before: Remembered, within: float) -> bool:
    with connection.transaction(conn, within=within) as tx:
        return before.number in _numbers(tx, before.names).values()


def _numbers(tx: "Raw", called: Iterable[str]) -> dict[str, int]:
    """Return which of some names the hub has, each with the number of its repository."""
    rows = tx.execute(
        "SELECT name, repository FROM prodigy_hub.repository_name WHERE name = ANY(%s)",
        (sorted(set(called)),),
    ).fetchall()
    return dict(rows)


def _make(tx: "Raw", found: Identity, repo: str) -> int:
    label = found.names[0].partition(":")[2] if found.kind in ("id", "url") else repo
    row = tx.execute(
        "INSERT INTO prodigy_hub.repository (label, made_at) VALUES (%s, clock_timestamp()) "
        "RETURNING id",
        (names.printable(label),),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _two(tx: "Raw", ours: set[int], repo: str) -> str:
    return (
        f"{repo} could be any of these on the hub: {_labels(tx, ours)}; say which it is: "
        f"'git config {SETTING} NAME', the same on each host that has it"
    )


def _another(tx: "Raw", mine: int, others: set[int], repo: str) -> str:
    return (
        f"{repo} is {_labels(tx, {mine})} on the hub, and is called by now what is another's there: "
        f"{_labels(tx, others)}; give its remote the earlier URL, or 'git config {SETTING} NAME' "
        "where it is to stay what it is"
    )


def _labels(tx: "Raw", numbers: set[int]) -> str:
    rows = tx.execute(
        "SELECT id, label FROM prodigy_hub.repository WHERE id = ANY(%s) ORDER BY id",
        (sorted(numbers),),
    ).fetchall()
    return ", ".join(f"{names.printable(label)[:80]} (number {one})" for one, label in rows)


def _write(store: str, repo: str, now: Remembered) -> None:
    document = {"hub": str(now.hub), "repository": now.number, "names": list(now.names)}
    lock = locks.take(layout.state_lock(store, repo))
    try:
        data = (jsonline.encode(document) + "\n").encode("ascii")
        files.replace(note_path(store, repo), data)
    finally:
        os.close(lock)
