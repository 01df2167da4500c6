"""How this host stands with the hub: whether it is reached, what is to be told yet, who else is there.

It only looks: nothing is written, here or there, and what is not shipped is told from this host's own
files, whether the hub is reached or not.
"""

import os
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

from prodigy_git.errors import Away, Refused
from prodigy_git.hub import connection, host, job_cursor, schema, shipping, staying
from prodigy_git.hub.address import Address
from prodigy_git.hub.host import Clock, Host
from prodigy_git.hub.schema import Hub
from prodigy_git.hub.where import Where
from prodigy_git.store import events, stream
from prodigy_git.store.broken import Broken

_NOBODY = Host(uuid.UUID(int=0), "?")


@dataclass(frozen=True)
class Unshipped:
    """What of a job this host has recorded and the hub has not taken yet."""

    job: str
    events: int
    bytes: int


@dataclass
class Standing:
    """How a host stands with a hub."""

    address: Address
    host: Host | None
    trouble: Away | Refused | None = None
    """Why the hub is not to be had now; None where it is."""
    hub: Hub | None = None
    clock: Clock | None = None
    hosts: list[dict[str, Any]] = field(default_factory=list)
    hosts_at: str | None = None
    """When the hub said that of its hosts; where it is not reached, some time ago."""
    unshipped: list[Unshipped] = field(default_factory=list)
    local_jobs: list[str] = field(default_factory=list)
    """Jobs that stay here: they were opened with items of their own."""


def look(
    address: Address, store: str, repo: str | None, *, patience: float, say: Broken
) -> Standing:
    """Look at how things stand, with the hub and, where ``repo`` is given, with that repository's jobs.

    ``patience`` is how many seconds are waited for the hub. Raises `files.Damaged`, `OSError` where
    this host's own files cannot be read.
    """
    found = Standing(address, host.known(store))
    try:
        _ask(found, patience)
    except (Away, Refused) as error:
        found.trouble = error
        found.hosts, found.hosts_at = host.noted(store)
    if repo is not None:
        _look_at_jobs(found, store, repo, say)
    return found


def _ask(found: Standing, patience: float) -> None:
    conn = connection.connected(found.address, patience=patience)
    with connection.transaction(conn, within=patience) as tx:
        found.hub = schema.there(tx)
        found.clock = host.clock(tx)
        found.hosts, found.hosts_at = host.all_of(tx)


def _look_at_jobs(found: Standing, store: str, repo: str, say: Broken) -> None:
    for _, job in sorted(events.jobs(store, repo)):
        if staying.stays(store, repo, job):
            found.local_jobs.append(job)
            continue
        one = _unshipped(found, store, repo, job, say)
        if one.bytes:
            found.unshipped.append(one)


def _unshipped(found: Standing, store: str, repo: str, job: str, say: Broken) -> Unshipped:
    cursor = job_cursor.load(store, repo, job)
    # What another hub has taken this one has not.
    is_this = cursor is not None and (found.hub is None or cursor.hub == str(found.hub.id))
    sent = cursor.sent if cursor is not None and is_this else {}
    count = size = 0
    where = Where(store, repo, job, found.host or _NOBODY, say)
    for path in shipping.own_files(where):
        start = sent.get(shipping.key_of(path), 0)
        if shipping.text_length(path) == start:
            continue
        try:
            for _, block in stream.blocks(path, start):
                whole = block.rfind(b"\n") + 1
                size += whole
                count += block.count(b"\n")
        except (OSError, EOFError, zlib.error) as error:
            say(f"{os.path.basename(path)} of job {job} cannot be read ({error})")
    return Unshipped(job, count, size)
