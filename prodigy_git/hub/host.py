"""Which host this is: a store takes part in a hub under an id of its own, which it makes once."""

import json
import os
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodigy_git import __version__, layout
from prodigy_git.hub.job_streams import MICROS
from prodigy_git.record import clock as clocks
from prodigy_git.record import files, locks

if TYPE_CHECKING:
    from prodigy_git.hub.driver import Raw


_LONGEST = 200


@dataclass(frozen=True)
class Host:
    """A store as a host: two machines that mount one store are one."""

    id: uuid.UUID
    name: str
    """For display: what the machine is called."""
    earlier: tuple[uuid.UUID, ...] = ()
    """Ids that it had before it was found to be a copy, or restored."""

    @property
    def short(self) -> str:
        """The beginning of its id, as names of files have it."""
        return self.id.hex[:12]


@dataclass(frozen=True)
class Clock:
    """How the server's clock stands against this host's, in microseconds."""

    apart: int
    """What is added to this host's time to get the server's."""
    within: int
    """How far off that may be: half the time that the question took."""


def known(store: str) -> Host | None:
    """Return which host a store is; None where it has never taken part in a hub.

    Raises `files.Damaged` where the file that says so is damaged, `OSError` where it cannot be read.
    """
    path = layout.hub_host(store)
    try:
        data = files.read(path)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(data)
        return Host(
            uuid.UUID(document["id"]), str(document["name"]),
            tuple(uuid.UUID(one) for one in document.get("earlier", [])),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError):
        # A new id made silently would make all that was shipped another host's.
        raise files.Damaged(
            f"{path} is damaged: restore it; without it, this store would be a new host"
        ) from None


def own(store: str) -> Host:
    """Return which host a store is; one that has never taken part gets an id. Raises as `known`."""
    there = known(store)
    if there is not None:
        return there
    lock = locks.take(layout.hub_lock(store))
    try:
        # Somebody may have been quicker.
        return known(store) or _written(store, Host(uuid.uuid4(), name()))
    finally:
        os.close(lock)


def renewed(store: str, old: Host) -> Host:
    """Give a store another id in the place of ``old``, which some other store has too; return it.

    Whoever comes second gets what the first made. Raises as `known`.
    """
    lock = locks.take(layout.hub_lock(store))
    try:
        there = known(store)
        if there is not None and there.id != old.id:
            return there
        return _written(store, Host(uuid.uuid4(), name(), (*old.earlier, old.id)))
    finally:
        os.close(lock)


def _written(store: str, host: Host) -> Host:
    document = {
        "id": str(host.id),
        "name": host.name,
        "earlier": [str(one) for one in host.earlier],
    }
    path = layout.hub_host(store)
    files.make_private(os.path.dirname(path))
    files.replace(path, json.dumps(document).encode() + b"\n")
    return host


def name() -> str:
    """Return what this machine is called, for display."""
    return os.uname().nodename or "?"


def clock(tx: "Raw") -> Clock:
    """Ask how the server's clock stands against this host's."""
    before = time.time_ns()
    begun = time.monotonic_ns()
    row = tx.execute(f"SELECT {MICROS.format('clock_timestamp()')}").fetchone()
    took = time.monotonic_ns() - begun
    assert row is not None
    return Clock(row[0] - (before + took // 2) // 1000, took // 2000)


def sign_of_life(tx: "Raw", host: Host, clock: Clock | None = None) -> None:
    """Say on the hub that a host is there, by the server's clock; one that is new to it is entered."""
    tx.execute(
        "INSERT INTO prodigy_hub.host AS h (id, name, program_version, clock_apart_us)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
        " seen_at = clock_timestamp(), program_version = excluded.program_version,"
        " clock_apart_us = coalesce(excluded.clock_apart_us, h.clock_apart_us)",
        (host.id, name(), __version__, None if clock is None else clock.apart),
    )


def joined(tx: "Raw", host: Host) -> None:
    """Enter a host, or take back that it has left."""
    sign_of_life(tx, host, clock(tx))
    tx.execute("UPDATE prodigy_hub.host SET left_at = NULL WHERE id = %s", (host.id,))


def leave(tx: "Raw", host: Host) -> None:
    """Say on the hub that a host takes part no more; `joined` takes it back."""
    tx.execute("UPDATE prodigy_hub.host SET left_at = clock_timestamp() WHERE id = %s", (host.id,))


def all_of(tx: "Raw") -> tuple[list[dict[str, Any]], str | None]:
    """Return what the hub says of its hosts, and when it said so."""
    # Others have written it: no name fills a screen, and a time that is none (infinity) is not known.
    rows = tx.execute(
        f"SELECT id, left(name, {_LONGEST}), {_moment('seen_at')}, {_moment('left_at')},"
        f" left(program_version, {_LONGEST}), clock_apart_us, {_moment('clock_timestamp()')}"
        " FROM prodigy_hub.host ORDER BY name, id"
    ).fetchall()
    hosts = [
        {"id": str(row[0]), "name": row[1], "seen_at": _time(row[2]), "left_at": _time(row[3]),
         "program_version": row[4], "clock_apart_us": row[5]}
        for row in rows
    ]  # fmt: skip
    return hosts, _time(rows[0][6]) if rows else None


def note_all(tx: "Raw", store: str, hub: uuid.UUID) -> list[dict[str, Any]]:
    """Write down what the hub says of its hosts, for views, which ask no server; and return it."""
    hosts, at = all_of(tx)
    document = {"hub": str(hub), "at": at, "hosts": hosts}
    lock = locks.take(layout.hub_lock(store))
    try:
        files.replace(layout.hub_hosts(store), json.dumps(document).encode() + b"\n")
    finally:
        os.close(lock)
    return hosts


def noted(store: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return what the hub said last of its hosts, as `all_of`; nothing where that cannot be read."""
    try:
        document = json.loads(files.read(layout.hub_hosts(store)))
        return [_known(one) for one in document["hosts"]], _time(document["at"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return [], None


def _known(one: dict[str, Any]) -> dict[str, Any]:
    apart = one.get("clock_apart_us")
    return {
        "id": str(uuid.UUID(one["id"])), "name": str(one["name"])[:_LONGEST],
        "seen_at": _time(one.get("seen_at")), "left_at": _time(one.get("left_at")),
        "program_version": str(one.get("program_version") or "")[:_LONGEST] or None,
        "clock_apart_us": apart if type(apart) is int else None,
    }  # fmt: skip


def _moment(what: str) -> str:
    """Return SQL for a time as the store writes it; in the session's zone it is the server's choice."""
    return f"""to_char({what} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _time(text: object) -> str | None:
    return text if isinstance(text, str) and clocks.parse(text) is not None else None
