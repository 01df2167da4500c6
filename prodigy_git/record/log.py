"""Appending to a job's event log: the one implementation (DESIGN, sections 3 and 6).

Under the log's lock: choose the file, close off an unterminated last line, give the events stamps
that do not go backwards, and append them with one write. The write is made durable after the lock is
given back, so that writers of one job do not queue for the disk.
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import clock, files, jsonline, locks, redacting, within
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

MAX_FILE = 100 * 1000 * 1000
"""A file of this many bytes or more is not appended to; the next one is named by the second."""
LONGEST = 1 << 26
"""How many bytes a line of a log may have that is read backwards: an event has a megabyte at most."""
_AHEAD = 5 * 60 * clock.SECOND  # a last stamp further ahead than this came from a wrong clock
_TAIL = 8192


def event_id(nonce: str, what: str) -> str:
    """Return the UUID (version 5's form) of one event of one enrolment: the same whenever asked.

    ``nonce`` is the enrolment's, ``what`` tells its events apart: for a commit, its SHA.
    """
    digest = bytearray.fromhex(
        files.sha1_hex(f"{nonce}:{what}".encode("utf-8", "surrogatepass"))[:32]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    h = digest.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def append(
    store: str,
    repo: str,
    job: str,
    events: list[dict[str, Any]],
    *,
    patience: float = locks.PATIENCE,
    before: Callable[[Position], None] | None = None,
    stamp: str | None = None,
) -> Position:
    """Append ``events`` to a job's log, durably, and return the position behind them.

    Each event is a dict with ``id`` and ``type``, then what else it holds in the order in which it
    is to be written; ``timestamp`` and ``event_type`` are put in here, and what looks like a secret is
    taken out of its texts (`redacting`). ``before`` is called under
    the log's lock with the position at which the events will begin. ``stamp`` is the timestamp of
    events that may have been recorded elsewhere already: byte for byte the same. Raises `locks.Busy`
    where the lock is not to be had, `OSError` where the disk refuses; then nothing, or a torn last line
    that the next append closes off, was written: what cannot be made durable is taken back.
    """
    folder = layout.job_log(store, repo, job)
    within.refuse_links(store, folder)
    events = [redacting.value(store, repo, event) for event in events]
    lock = locks.take(layout.log_lock(store, repo, job), patience)
    try:
        last, newest, packed = _last_stamp(folder)
        moment = clock.now()
        if last is not None and moment < last:
            moment = last
        name = _file_for(folder, moment, newest, packed)
        text = encoded(events, stamp or clock.stamp(moment))
        descriptor, size, created = _open(folder, name)
        try:
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                _report_unterminated(store, folder, name, descriptor, size)
                text = b"\n" + text
            if before is not None:
                before(Position(name, size))
            _write_once(descriptor, text, size)
        except BaseException:
            os.close(descriptor)
            raise
    finally:
        os.close(lock)
    try:
        os.fsync(descriptor)
        if created:
            files.sync_folder(folder)
    except OSError as error:
        # On a network filesystem this may be the first that is heard of a full disk.
        if _taken_back(store, repo, job, descriptor, size, size + len(text)):
            raise
        report(store, f"the disk did not confirm what is at {size} of {folder}/{name}: {error}")
    finally:
        os.close(descriptor)
    return Position(name, size + len(text))


def _taken_back(store: str, repo: str, job: str, descriptor: int, size: int, end: int) -> bool:
    """Cut a file back to ``size``; False where that fails, or others have written behind ``end``."""
    try:
        lock = locks.take(layout.log_lock(store, repo, job))
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_size != end:
            return False
        os.ftruncate(descriptor, size)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)


def encoded(events: list[dict[str, Any]], stamp: str) -> bytes:
    """Return events as they stand in a log, a line each, with ``stamp`` for a timestamp."""
    out = []
    for event in events:
        whole = {"id": event["id"], "timestamp": stamp, "type": event["type"]}
        whole["event_type"] = event["type"]
        whole.update(event)
        whole["timestamp"] = stamp
        out.append(jsonline.encode(whole))
    return ("\n".join(out) + "\n").encode("ascii")


def _open(folder: str, name: str) -> tuple[int, int, bool]:
    """Open a log file for appending; return its descriptor and size, and whether it is new."""
    path = f"{folder}/{name}"
    # Reading too: the last byte tells whether the last line is whole.
    flags = os.O_RDWR | os.O_APPEND
    try:
        descriptor, about = files.opened(path, flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        files.make_private(folder)
        return files.create(path, flags), 0, True
    return descriptor, about.st_size, False


def _write_once(descriptor: int, text: bytes, size: int) -> None:
    """Write ``text`` behind ``size`` with one system call, or leave the file as it was."""
    written = os.write(descriptor, text)
    if written == len(text):
        return
    # A full disk took a part. Take it back if nobody has appended since, and try no second write:
    # a record in two pieces could have another writer's between them.
    if os.fstat(descriptor).st_size == size + written:
        os.ftruncate(descriptor, size)
    raise OSError(28, "no space left for the event log")


def _report_unterminated(store: str, folder: str, name: str, descriptor: int, size: int) -> None:
    """Note a torn last line; one that parses counts as written and needs only its newline."""
    line = next(lines_backwards(descriptor, size), b"")
    try:
        jsonline.decode_object(line)
    except ValueError:
        report(store, f"torn line closed off at the end of {folder}/{name} (was {size} bytes)")


def report(store: str, text: str) -> None:
    """Append a line to the store's ``hook-errors.log``; never raises."""
    try:
        files.make_private(f"{store}/logs")
        descriptor = files.create(layout.hook_errors(store), os.O_WRONLY | os.O_APPEND)
        try:
            line = f"{clock.stamp(clock.now())} {os.getpid()} {redacting.line(text)!r}\n"
            files.write_all(descriptor, line.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)
    except Exception:
        pass  # the place to report troubles to is the trouble


def _file_for(folder: str, moment: int, newest: list[str], packed: set[str]) -> str:
    """Return the name of the file that an event stamped ``moment`` goes to.

    None that an archive stands for: it would take that archive's place. And none where something
    else than a file is: the events go into the next one, as behind one that is full.
    """
    text = clock.stamp(moment)
    day = text[:10].replace("-", "")
    plain = f"events-{day}.jsonl"
    # Sorted newest first; of one day, the names with a time sort behind the plain one.
    current = next((name for name in newest if name.startswith(f"events-{day}")), plain)
    while not _has_room(folder, current, packed):
        current = f"events-{day}T{text[11:19].replace(':', '')}Z.jsonl"
        moment += clock.SECOND
        text = clock.stamp(moment)
        day = text[:10].replace("-", "")
    return current


def _has_room(folder: str, name: str, packed: set[str]) -> bool:
    try:
        about = os.lstat(f"{folder}/{name}")
    except FileNotFoundError:
        return name not in packed
    return about.st_mode & 0o170000 == 0o100000 and about.st_size < MAX_FILE


def is_own(name: str) -> bool:
    """Whether a file's name is one that this module gives."""
    stem = name[7:-6]
    return name[:7] == "events-" and name[-6:] == ".jsonl" and (
        (len(stem) == 8 and stem.isdigit())
        or (len(stem) == 16 and stem[8] == "T" and stem[15] == "Z" and stem[:8].isdigit())
    )  # fmt: skip


def _names(folder: str) -> tuple[list[str], set[str]]:
    """Return our files' names, newest first, and the names for which there is an archive."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return [], set()
    packed = {name[:-3] for name in names if name[-3:] == ".gz" and is_own(name[:-3])}
    return sorted(filter(is_own, names), reverse=True), packed


def _last_stamp(folder: str) -> tuple[int | None, list[str], set[str]]:
    """Return the last event's moment (None for an empty log) and what `_names` does.

    Events of more than five minutes ahead are passed over: a clock that was wrong wrote them.
    """
    newest, packed = _names(folder)
    latest = clock.now() + _AHEAD
    limit = clock.stamp(latest)[:10].replace("-", "")
    for name in sorted(packed.union(newest), reverse=True) if packed else newest:
        if name[7:15] > limit:
            continue  # written while the clock was wrong: not followed
        path = f"{folder}/{name}"
        with_stamp = _last_stamp_in(path, latest) if name in newest else _packed_stamp(path, latest)
        if with_stamp is not None:
            return with_stamp, newest, packed
    return None, newest, packed


def _packed_stamp(path: str, latest: int) -> int | None:
    from prodigy_git.record import archived  # only where there is one

    moment = archived.newest(f"{path}{archived.ENDING}")
    return moment if moment is not None and moment <= latest else None


def _last_stamp_in(path: str, latest: int) -> int | None:
    """Return the moment of the last line of ``path`` that has one not behind ``latest``."""
    try:
        descriptor, about = files.opened(path)
    except (FileNotFoundError, files.NotRegular):
        return None  # a link to nothing, a FIFO: no log, and nothing is written to it either
    try:
        for line in lines_backwards(descriptor, about.st_size):
            moment = stamp_of(line)
            if moment is not None and moment <= latest:
                return moment
    finally:
        os.close(descriptor)
    return None


def stamp_of(line: bytes) -> int | None:
    """Return the moment of an event's line; None where it has none."""
    # Our own lines have it at a known place: no need to decode a line of a megabyte.
    if line[:7] == b'{"id":"' and line[43:58] == b'","timestamp":"' and line[-1:] == b"}":
        return clock.parse(line[58:].split(b'"', 1)[0].decode("ascii", "replace"))
    try:
        text = jsonline.decode_object(line).get("timestamp")
    except ValueError:
        return None
    return clock.parse(text) if isinstance(text, str) else None


def lines_backwards(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield the lines of the first ``size`` bytes of a file, the last first, without newlines.

    As far as one of more than `LONGEST` bytes: that is a hole in the file, or no log.
    """
    rest = b""
    at = size
    step = _TAIL
    while at > 0:
        length = min(step, at)
        at -= length
        step = min(step * 2, 1 << 20)
        rest = os.pread(descriptor, length, at) + rest
        if at > 0 and b"\n" not in rest[:-1]:
            if len(rest) > LONGEST:
                return
            # A line that is longer than the step: as much again as there is of it already.
            step = max(step, len(rest))
            continue
        lines = rest.split(b"\n")
        rest = lines.pop(0) if at > 0 else b""
        for line in reversed(lines):
            if line:
                yield line


def find(folder: str, wanted: Iterable[str], since: Position | None) -> set[str]:
    """Return those of the event ids ``wanted`` that stand in whole lines of a log.

    Looks in every file, archived or not, also in those that came from a hub: what was recorded here
    may have come back from there. With ``since``, only in that file from that offset on and in files
    of later names, none of which came from elsewhere. Only lines as `append` writes them are looked
    at.
    """
    remaining = set(wanted)
    found: set[str] = set()
    names, packed = _names(folder)
    there = packed.union(names)
    if since is None:
        there |= _from_a_hub(folder)
    for name in sorted(there):
        if since is not None and name < since.file:
            continue
        start = since.offset if since is not None and name == since.file else 0
        for line in _lines_from(f"{folder}/{name}", start):
            if line[:7] != b'{"id":"':
                continue
            identity = line[7:43].decode("ascii", "replace")
            if identity in remaining and _whole(line):
                remaining.discard(identity)
                found.add(identity)
        if not remaining:
            break
    return found


def _from_a_hub(folder: str) -> set[str]:
    """Return the names of files of events that came from a hub: such as ours, with a host's digits."""
    try:
        names = {name.removesuffix(".gz") for name in os.listdir(folder)}
    except FileNotFoundError:
        return set()
    return {name for name in names if name[-19:-18] == "-" and is_own(f"{name[:-19]}.jsonl")}


def whole_lines(folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the lines of a log that are whole, each with the name of its file, archived or not."""
    names, packed = _names(folder)
    for name in sorted(packed.union(names)):
        yield from ((name, line) for line in _lines_from(f"{folder}/{name}", 0) if _whole(line))


def _whole(line: bytes) -> bool:
    try:
        jsonline.decode_object(line)
    except ValueError:
        return False
    return True


def _lines_from(path: str, start: int) -> Iterator[bytes]:
    """Yield the lines of a log file, then those of its archive, from an offset of the file on."""
    missing = None
    try:
        with files.stream(path) as stream:
            stream.seek(start)
            while line := stream.readline(LONGEST):
                yield line
    except FileNotFoundError as error:
        missing = error  # archived, perhaps since the folder was listed
    except files.NotRegular:
        return  # nothing of ours is in it
    if os.path.exists(f"{path}.gz"):
        from prodigy_git.record import archived

        yield from archived.lines(f"{path}{archived.ENDING}", start)
    elif missing is not None:
        raise missing
