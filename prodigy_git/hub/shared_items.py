"""The items of a shared job: their files lie on the hub, and come down to each host that works on it.

They go up in the transaction of the event that names them, in pieces. What comes down is somebody
else's: it has the digest that the event says, each of its lines is an item whose id is a safe name, and
it takes the place of no file that is there.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from prodigy_git import layout, names
from prodigy_git.errors import Refused
from prodigy_git.hub import connection
from prodigy_git.record import archived, files, jsonline, within
from prodigy_git.store import events, stream

if TYPE_CHECKING:
    from prodigy_git.hub.connection import Connection
    from prodigy_git.hub.driver import Raw
    from prodigy_git.hub.job_streams import Stream
    from prodigy_git.hub.where import Where

PIECE = 1 << 20
"""Bytes of a file in one row."""
_WITHIN = 120.0
_LONGEST = 1 << 26
_NAME = re.compile(r"items(-[0-9a-f]{16})?\.jsonl")
NAMED = b'"items_sha256":"'
"""What stands in the line of each event that names a file of items."""


_HEX = frozenset("0123456789abcdef")


class _Item(msgspec.Struct):
    id: str
    data: msgspec.Raw


def put(tx: "Raw", number: int, path: str) -> None:
    """Put a file of items on the hub, for the job ``number`` there, in a transaction of the caller's.

    Raises `OSError`, and as psycopg does.
    """
    for statement in statements(number, path):
        tx.execute(statement)


def statements(number: int, path: str) -> Iterator[str]:
    """Yield what is to be said to the hub to put a file of items there. Raises `OSError`."""
    name = os.path.basename(path)
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name} is no file of items")
    with files.solid(path) as opened:
        for chunk, piece in enumerate(iter(lambda: opened.read(PIECE), b"")):
            yield (
                "INSERT INTO prodigy_hub.item_file (job, name, chunk, body)"
                f" VALUES ({number:d}, '{name}', {chunk:d}, decode('{piece.hex()}', 'hex'))"
                " ON CONFLICT DO NOTHING"
            )


def named(lines: Iterable[bytes]) -> list[tuple[str, bool]]:
    """Return (digest, whether they were added later) of each file that events' lines name."""
    found = []
    for line in lines:
        if NAMED not in line:
            continue
        try:
            event = jsonline.decode_object(line)
        except ValueError:
            continue
        digest, kind = event.get("items_sha256"), event.get("type") or event.get("event_type")
        if kind not in ("JobStarted", "WorkItemsAdded") or not isinstance(digest, str):
            continue
        if len(digest) == 64 and set(digest) <= _HEX:  # it becomes part of a path
            found.append((digest, kind == "WorkItemsAdded"))
    return found


def settle(conn: "Connection", where: "Where", there: "Stream") -> None:
    """Bring the files of items that a job's events name and that are missing here; give those it lacks.

    As after its events were pulled, or the hub was replaced by an empty one. Its locks are not held by
    the caller. Raises `Away`, `Refused`, `OSError`.
    """
    found = dict.fromkeys(_of_log(where))
    if not found:
        return
    with connection.transaction(conn, within=_WITHIN) as tx:
        rows = tx.execute(
            "SELECT name FROM prodigy_hub.item_file WHERE job = %s AND chunk = 0", (there.job,)
        )
        on_hub = {row[0] for row in rows}
    missing = [one for one in found if not os.path.lexists(path_of(where, *one))]
    lacking = [
        path
        for one in found
        if os.path.basename(path := path_of(where, *one)) not in on_hub and _is_sound(path, one[0])
    ]
    if missing or lacking:
        # As within a step: two that brought the same file would write into each other's.
        with where.claims_held(), connection.transaction(conn, within=_WITHIN) as tx:
            fetch(where, tx, there.job, missing)
            for path in lacking:
                put(tx, there.job, path)


_read: dict[tuple[str, str, str, str], tuple[int, list[tuple[str, bool]]]] = {}
"""What log files name, by store, repository, job and file, up to an offset: they only grow."""


def _of_log(where: "Where") -> Iterator[tuple[str, bool]]:
    """Yield what the events of a job's log name, as `named`."""
    for path in events.log_files(*where.name):
        key = (*where.name, events.position_name(path))
        begin, found = _read.get(key, (0, []))
        end = begin
        for offset, block in stream.blocks(path, begin):
            end = offset + block.rfind(b"\n") + 1
            if NAMED in block:
                found = found + named(block.split(b"\n"))
        if not path.endswith(archived.ENDING):
            _read[key] = end, found
        yield from found


def _is_sound(path: str, digest: str) -> bool:
    try:
        with files.solid(path) as opened:
            found = _sha256()
            while piece := opened.read(PIECE):
                found.update(piece)
            return bool(found.hexdigest() == digest)
    except OSError:
        return False


def path_of(where: "Where", digest: str, later: bool) -> str:
    """Return the path here of a file that `named` returns."""
    return layout.items_added(*where.name, digest) if later else layout.items(*where.name)


def fetch(where: "Where", tx: "Raw", number: int, wanted: Iterable[tuple[str, bool]]) -> None:
    """Bring down those files of a job's items that are missing here, as `named` returns them.

    ``number`` is the job's on the hub. What is not there, or is not what the event says, is said.
    Raises `OSError`, and as psycopg does.
    """
    for digest, later in wanted:
        path = path_of(where, digest, later)
        if os.path.lexists(path):
            continue  # what is wrong with it, is said by whoever reads it
        within.make_folder(where.store, os.path.dirname(path))
        try:
            _fetch(tx, number, path, digest)
        except Refused as error:
            where.say(str(error))


def _fetch(tx: "Raw", number: int, path: str, digest: str) -> None:
    name = os.path.basename(path)
    temporary = layout.temporary(path)
    descriptor = files.create_anew(temporary, os.O_RDWR)
    try:
        try:
            found = _sha256()
            rest = b""
            for piece in _pieces(tx, number, name):
                found.update(piece)
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > _LONGEST:
                    raise Refused(f"{name} on the hub has a line of more than {_LONGEST} bytes")
                for line in lines:
                    _check(line, name)
                files.write_all(descriptor, piece)
            if rest or found.hexdigest() != digest:
                raise Refused(f"{name} on the hub is not the file that the job was given")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _put_in_place(temporary, path)
        files.sync_folder(os.path.dirname(path))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _sha256() -> Any:
    import hashlib  # takes longer than a step that meets no file of items has

    return hashlib.sha256()


def _put_in_place(temporary: str, path: str) -> None:
    try:
        os.link(temporary, path)  # unlike a rename it takes no other file's place
    except FileExistsError:
        pass  # somebody was quicker
    except OSError:  # a filesystem without second names
        if not os.path.lexists(path):
            os.rename(temporary, path)


def _pieces(tx: "Raw", number: int, name: str) -> Iterable[bytes]:
    """Yield the pieces of a file, one at a time: it may be larger than what one wants in memory."""
    chunk = 0
    while True:
        row = tx.execute(
            "SELECT body FROM prodigy_hub.item_file WHERE job = %s AND name = %s AND chunk = %s",
            (number, name, chunk),
        ).fetchone()
        if row is None:
            return
        if len(row[0]) > PIECE:
            raise Refused(f"{name} on the hub is in pieces of more than {PIECE} bytes")
        yield bytes(row[0])
        chunk += 1


def _check(line: bytes, name: str) -> None:
    try:
        item = _decode(line)
    except (msgspec.MsgspecError, RecursionError):
        raise Refused(f"{name} on the hub has a line that is no item") from None
    if not names.is_safe(item.id):
        raise Refused(f"{name} on the hub has an item whose id is no name: {item.id[:40]!r}")


_decode = msgspec.json.Decoder(_Item).decode
