"""The other hosts of a hub, as they were when the hub was asked last: for views, which ask
no server."""

import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from prodigy_git import layout, names
from prodigy_git.record import clock, files
from prodigy_git.store import host_files

GONE_AFTER = 15 * 60 * clock.SECOND
"""For how long a host gives no sign of life, by the server's clock, before it is called gone."""
_NAME = 60  # characters of a host's name


class _Host(msgspec.Struct):
    id: str
    name: str = ""
    seen_at: str | None = None
    left_at: str | None = None
    clock_apart_us: int | None = None


class _Hosts(msgspec.Struct):
    at: str | None = None
    hosts: list[_Host] = []


@dataclass(frozen=True)
class Host:
    """A host; moments are in microseconds since 1970, by the server's clock."""

    id: str
    name: str
    """For people: what its machine is called, with some of its id where two have one name."""
    own: bool
    seen_at: int | None
    """Its last sign of life."""
    has_left: bool


@dataclass(frozen=True)
class Seen:
    """Another host as it is shown; ``at`` is its last sign of life, by the clock here, if known."""

    id: str
    name: str
    at: int | None
    is_gone: bool


@dataclass(frozen=True)
class Hosts:
    """What is known of a hub's hosts."""

    by_id: dict[str, Host] = field(default_factory=dict)
    at: int | None = None
    """When the hub was asked, by the server's clock."""
    asked: int | None = None
    """When that was, by the clock here."""
    apart: int = 0
    """What is added to a moment here to have the server's."""

    def several(self) -> bool:
        """Whether there is any other host than this one."""
        return any(not one.own for one in self.by_id.values())

    def named(self, host: str | None) -> str:
        """Return what people call a host, by its id; this one for None."""
        if host is None:
            return next((one.name for one in self.by_id.values() if one.own), "here")
        known = self.by_id.get(host)
        return host[:8] if known is None else known.name

    def silent(self, host: str) -> int | None:
        """Return for how long a host had given no sign of life as the hub was asked, if known."""
        known = self.by_id.get(host)
        if known is None or known.seen_at is None or self.at is None:
            return None
        return max(0, self.at - known.seen_at)

    def seen_ago(self, host: str, now: int) -> int | None:
        """Return how long ago a host gave its last sign of life; ``now`` is by the clock here.

        What has passed since the hub was asked counts: the other one may well have gone on meanwhile.
        """
        silent = self.silent(host)
        return None if silent is None else silent + max(0, now - (self.asked or now))

    def is_gone(self, host: str) -> bool:
        """Whether a host gave no sign of life for long, as the hub was asked. One that left is gone."""
        known = self.by_id.get(host)
        silent = self.silent(host)
        return known is not None and (known.has_left or (silent or 0) > GONE_AFTER)

    def seen(self, host: str, now: int) -> Seen:
        """Return how a host is shown; ``now`` as in `seen_ago`."""
        ago = self.seen_ago(host, now)
        return Seen(host, self.named(host), None if ago is None else now - ago, self.is_gone(host))

    def as_of(self, store: str, repo: str, job: str) -> int | None:
        """Return up to when what is known here of a job of others goes, by the server's clock.

        None: nothing came from a hub. A lease that ended later may have been renewed.
        """
        asked = [self.asked] if self.asked is not None else []
        with contextlib.suppress(OSError):
            asked.append(os.stat(layout.hub_job(store, repo, job)).st_mtime_ns // 1000)
        return max(asked) + self.apart if asked else None


NONE = Hosts()


def known(store: str) -> Hosts:
    """Return what the hub said last of its hosts; without a hub nobody, for one look at the disk.

    A file that cannot be read says nothing; names in it are made harmless.
    """
    path = layout.hub_hosts(store)
    try:
        held = msgspec.json.decode(files.read(path), type=_Hosts)
        asked = os.stat(path).st_mtime_ns // 1000
    except (OSError, msgspec.MsgspecError, RecursionError):
        return NONE
    own = {str(one) for one in host_files.own_ids(store)}
    called = Counter(one.name for one in held.hosts)
    ids = {one.id for one in held.hosts}
    digits = next(n for n in (4, 8, 36) if n == 36 or len({one[:n] for one in ids}) == len(ids))
    found = {}
    apart = 0
    for one in held.hosts:
        name = names.printable(one.name).strip()[:_NAME] or one.id[:8]
        if called[one.name] > 1:
            name = f"{name}-{names.printable(one.id[:digits])}"
        is_own = one.id in own
        if is_own:
            apart = one.clock_apart_us or 0
        seen = None if one.seen_at is None else clock.parse(one.seen_at)
        found[one.id] = Host(names.printable(one.id), name, is_own, seen, one.left_at is not None)
    return Hosts(found, None if held.at is None else clock.parse(held.at), asked, apart)
