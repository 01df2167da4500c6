"""How far a job's stream on the hub has been pulled: ``hub.json``, beside the job's state.

It is written after the lines that it speaks of, and neither is synced to the disk in a step: the lines
are on the hub. So a loss of power may leave the note and not the lines. It bears the boot in which it
was written for that: in another boot it holds only if what it speaks of was synced.

Two steps on a job in a second are common, and a hundred not rare: it is written in its place, for to
rename a file over another has ext4 write it out first, while others wait for the job. So it may be read
half written: it bears a checksum, and is read again.
"""

import os
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from prodigy_git import layout
from prodigy_git.record import files, jsonline

_BOOT = "/proc/sys/kernel/random/boot_id"
_CHECK = b',"check":'
_AGAIN = 10
"""How often a note that is not whole is read again, within as many milliseconds."""


@dataclass(frozen=True)
class Cursor:
    """Where a host stands in a job's stream.

    ``hub`` is the hub's id, ``host`` this store's, ``job`` the job's number on that hub. All rows up
    to ``seq`` are in this host's files, and the row ``seq`` bears ``mark``. ``sizes`` gives the bytes
    of the files of pulled events as of then: what lies behind them comes from a pull that was
    interrupted.
    """

    hub: str
    host: str
    job: int
    shared: bool = False
    """It was begun with ``job start --hub``: its items are the hub's."""
    seq: int = 0
    mark: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    again: bool = False
    """All is being pulled from the beginning, and has not come to its end yet."""
    offer: bool = False
    """The hub has lost events: it is still to be given what it lacks and stands here."""
    sent: dict[str, int] = field(default_factory=dict)
    """Of files that this host ships, the bytes that the hub has taken. Only the hub knows for sure;
    with this it is not asked where nothing has been appended."""
    skipped: tuple[str, ...] = ()
    """Ids of events in the rows to come that this host has recorded itself, after another one has."""
    items: bool = False
    """Events were pulled that name files of items, which may not be here yet."""
    boot: str | None = None
    """In which boot lines were written that may not be on the disk; None where all are."""

    @property
    def stream(self) -> tuple[str, str, int, bool]:
        """What stays the same as long as nobody begins to pull the job again."""
        return self.hub, self.host, self.job, self.again

    def lost_power(self) -> bool:
        """Whether lines may be missing that this speaks of, since the machine has been started anew."""
        return self.boot is not None and self.boot != boot()


def boot() -> str:
    """Return what tells this boot of the machine from others; empty where the system does not say."""
    try:
        return files.read(_BOOT).decode("ascii").strip()
    except (OSError, ValueError):
        return ""


def load(store: str, repo: str, job: str) -> Cursor | None:
    """Return where this host stands in a job's stream; None for a job that has none.

    What cannot be understood, as after a loss of power, is a cursor of no hub: the job is found there
    by its name, and pulled again. It counts as shared meanwhile, so that nobody claims without the
    hub. Raises `OSError`.
    """
    path = layout.hub_job(store, repo, job)
    for number in range(_AGAIN):
        if number > 1:
            time.sleep(0.001)
        try:
            found = _understood(files.read(path))
        except FileNotFoundError:
            return None
        if found is not None:
            return found
    return Cursor("", "", 0, shared=True)


def _understood(data: bytes) -> Cursor | None:
    whole, checked, rest = data.rpartition(_CHECK)
    try:
        if checked and int(rest.strip().removesuffix(b"}")) != zlib.crc32(whole):
            return None
        fields = jsonline.decode_object(data)
        return Cursor(
            hub=_text(fields["hub"]),
            host=_text(fields["host"]),
            job=_count(fields["job"]),
            shared=fields["shared"] is True,
            seq=_count(fields["seq"]),
            mark=_mark(fields["mark"]),
            sizes={_text(name): _count(size) for name, size in fields["sizes"].items()},
            again=fields.get("again") is True,
            offer=fields.get("offer") is True,
            sent={_text(name): _count(size) for name, size in fields.get("sent", {}).items()},
            skipped=tuple(map(_text, fields.get("skipped", ()))),
            items=fields.get("items") is True,
            boot=None if fields.get("boot") is None else _text(fields["boot"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError
    return value


def _mark(value: Any) -> int:
    if type(value) is not int or not -1 << 63 <= value < 1 << 63:
        raise TypeError
    return value


def save(store: str, repo: str, job: str, cursor: Cursor, *, durably: bool = False) -> None:
    """Write down where this host stands; the caller holds the log's lock. Raises `OSError`.

    With ``durably`` it survives a loss of power; the first one is written so in any case, since it
    makes the job one with a hub.
    """
    path = layout.hub_job(store, repo, job)
    fields = {
        "hub": cursor.hub, "job": cursor.job, "host": cursor.host, "shared": cursor.shared,
        "seq": cursor.seq, "mark": cursor.mark, "again": cursor.again, "offer": cursor.offer,
        "boot": cursor.boot, "sizes": cursor.sizes, "sent": cursor.sent, "skipped": cursor.skipped,
        "items": cursor.items,
    }  # fmt: skip
    whole = jsonline.encode(fields).encode("ascii").removesuffix(b"}")
    data = b"%b%b%d}\n" % (whole, _CHECK, zlib.crc32(whole))
    if durably or not os.path.lexists(path):
        files.make_private(os.path.dirname(path))
        files.replace(path, data)
        return
    descriptor = files.create(path, os.O_WRONLY)
    try:
        # Never shorter than before: nobody reads the end of what was there.
        files.write_all(descriptor, data.ljust(os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)


def anew(cursor: Cursor, hub: str, host: str, job: int, *, offer: bool) -> Cursor:
    """Return the cursor to pull all of a job again with; then ``offer`` what the hub has lost."""
    return replace(
        cursor, hub=hub, host=host, job=job, seq=0, mark=0, sizes={}, sent={}, skipped=(), again=True,
        offer=offer or cursor.offer, boot=None,
    )  # fmt: skip
