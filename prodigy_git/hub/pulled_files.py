"""Files of events that came from the hub: in the job's log folder, each host's in files of its own.

``events-YYYYMMDD-HHHHHHHHHHHH.jsonl``: the day of its events, and twelve digits that stand for the
host that they come from. A host's own steps on a shared job stand in such a file too. Whoever only
appends what happens here never writes to one (`record.log`): what is in them is on the hub, and is not
shipped.

Bytes behind those that the job's cursor speaks of come from a pull that was interrupted. What it wrote
whole is not written again; half a line at the end is cut off.
"""

import contextlib
import functools
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping

from prodigy_git import layout
from prodigy_git.record import archived, clock, files, log, within
from prodigy_git.store import events, host_files, stream

_DIGITS = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
_TAIL = 1 << 16


def host_of(store: str, name: str) -> uuid.UUID | None:
    """Return the host whose events are in a log file; None where they were recorded here, or none says.

    Raises `OSError`.
    """
    tag = host_files.tag_in(name)
    return None if tag is None else host_files.origin(store, tag)


@functools.lru_cache(maxsize=10_000)
def tag_of(store: str, host: uuid.UUID) -> str:
    """Return the digits that stand for a host in this store: the first of its id, mostly.

    A note is made of it, for the hub may lose what it knows of its hosts. Raises `OSError`.
    """
    # The first is what everybody takes. Who made up an id that begins as another's gets other digits.
    for tag in (host.hex[:12], *(files.sha1_hex(host.bytes + bytes([n]))[:12] for n in range(99))):
        there = host_files.origin(store, tag)
        if there == host:
            return tag
        if there is None:
            path = f"{host_files.origins(store)}/{tag}"
            within.make_folder(store, os.path.dirname(path))
            files.replace(path, f"{host}\n".encode())
            return tag
    raise FileExistsError(f"{host_files.origins(store)}: no digits are left for host {host}")


def append(
    store: str, repo: str, job: str, lines: Mapping[uuid.UUID, list[bytes]]
) -> dict[str, int]:
    """Append hosts' events to their files, and return the new size of each file by its name.

    The caller holds the log's lock. A host's events of one day are written at once. What the disk did
    not take whole is taken back. Nothing is synced. Raises `OSError`; what was written of other hosts
    stays, behind what the cursor speaks of.
    """
    folder = layout.job_log(store, repo, job)
    within.make_folder(store, folder)
    there = set(os.listdir(folder))
    sizes: dict[str, int] = {}
    for host, some in lines.items():
        tag = tag_of(store, host)
        for day, text in _by_day(some):
            name = _file_for(folder, day, tag, there)
            there.add(name)
            sizes[name] = _appended(folder, name, text)
    return sizes


def _by_day(lines: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield what is to be written for each day; an event without a time is of today."""
    today = clock.stamp(clock.now())[:10].encode()
    days: dict[bytes, list[bytes]] = {}
    only = {line[58:69] for line in lines}
    if len(only) == 1 and _DIGITS.match(one := only.pop()):
        days, lines = {one[:10]: lines}, []
    for line in lines:
        # As we write it. Of other dialects the day does not matter so much as to decode them.
        day = line[58:68] if _DIGITS.match(line, 58) else today
        days.setdefault(day, []).append(line)
    for day, some in sorted(days.items()):
        yield day.decode().replace("-", ""), b"\n".join(some) + b"\n"


def _file_for(folder: str, day: str, tag: str, there: set[str]) -> str:
    """Return which file a host's events of a day go to: the newest that has room, else a new one.

    None that an archive stands for, and none where something else than a file is.
    """
    plain = f"events-{day}-{tag}.jsonl"
    later = re.compile(rf"events-{day}T[0-9]{{6}}Z-{tag}\.jsonl")
    current = max(filter(later.fullmatch, there), default=plain)
    moment = clock.now()
    while not _has_room(folder, current, there):
        text = clock.stamp(moment)[11:19].replace(":", "")
        current = f"events-{day}T{text}Z-{tag}.jsonl"
        moment += clock.SECOND
    return current


def _has_room(folder: str, name: str, there: set[str]) -> bool:
    if f"{name}{archived.ENDING}" in there:
        return False
    if name not in there:
        return True
    about = os.lstat(f"{folder}/{name}")
    return about.st_mode & 0o170000 == 0o100000 and about.st_size < log.MAX_FILE


def _appended(folder: str, name: str, text: bytes) -> int:
    """Append to a file; return its size then. Raises `OSError`, and the file is as it was."""
    descriptor = files.create(f"{folder}/{name}", os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        whole = _end_of_lines(descriptor, size)
        if whole < size:
            os.ftruncate(descriptor, whole)
        written = 0
        try:
            while written < len(text):
                written += os.write(descriptor, text[written:])
        except OSError:
            os.ftruncate(descriptor, whole)  # nobody else writes here: we hold the log's lock
            raise
        return whole + written
    finally:
        os.close(descriptor)


def _end_of_lines(descriptor: int, size: int) -> int:
    """Return where a file's last whole line ends."""
    while size > 0:
        begin = max(0, size - _TAIL)
        cut = os.pread(descriptor, size - begin, begin).rfind(b"\n")
        if cut >= 0:
            return begin + cut + 1
        size = begin
    return 0


def beyond(
    store: str, repo: str, job: str, sizes: Mapping[str, int], hosts: Iterable[uuid.UUID]
) -> Iterator[bytes]:
    """Yield the whole lines of hosts' files that stand behind what a cursor speaks of.

    The caller holds the log's lock. Raises as reading does.
    """
    tags = {tag_of(store, host) for host in hosts}
    for path in log_files(store, repo, job):
        if host_files.tag_in(path) in tags:
            yield from _lines(path, sizes.get(events.position_name(path), 0))


def log_files(store: str, repo: str, job: str) -> list[str]:
    """Return the paths of a job's log files, but for what only has the name of one, as a FIFO.

    A link to a file is one. Raises `OSError`.
    """
    return [path for path in events.log_files(store, repo, job) if os.path.isfile(path)]


def collect(
    store: str,
    repo: str,
    job: str,
    use: Callable[[bytes], None],
    begin: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Hand on the whole lines of all of a job's log, archived or not; return up to where, of each file.

    Of each file from the offset on that ``begin`` gives, if it does. Raises as reading does.
    """
    ends = {}
    begin = begin or {}
    for path in log_files(store, repo, job):
        name = events.position_name(path)
        ends[name] = start = begin.get(name, 0)
        if _length(path) <= start:
            continue
        with contextlib.suppress(FileNotFoundError):  # cleaned since the folder was listed
            for offset, block in stream.blocks(path, start):
                *lines, rest = block.split(b"\n")
                ends[name] = offset + len(block) - len(rest)
                for line in lines:
                    use(line)
    return ends


def other_lines(store: str, repo: str, job: str) -> Iterator[bytes]:
    """Yield the whole lines of the files that did not come from the hub. Raises as reading does."""
    for path in log_files(store, repo, job):
        if host_files.tag_in(path) is None:
            yield from _lines(path, 0)


def _length(path: str) -> int:
    """Return how long a log file's text is; 0 where it was cleaned since the folder was listed."""
    with contextlib.suppress(FileNotFoundError):
        if not path.endswith(archived.ENDING):
            try:
                return os.stat(path).st_size
            except FileNotFoundError:  # archived since
                path += archived.ENDING
        return archived.length(path)
    return 0


def _lines(path: str, start: int) -> Iterator[bytes]:
    if _length(path) <= start:
        return
    for _, block in stream.blocks(path, start):
        *lines, _ = block.split(b"\n")
        yield from lines


def shrunk(store: str, repo: str, job: str, sizes: Mapping[str, int], cleaned: int) -> str | None:
    """Return the name of a file that has lost what a cursor says is in it; None where none has.

    Not one that is archived, nor one that clean-up has taken: those are of no later day than
    ``cleaned``, the moment up to which it has, in microseconds since 1970.
    """
    folder = layout.job_log(store, repo, job)
    last_day = clock.stamp(cleaned)[:10].replace("-", "") if cleaned else ""
    for name, size in sizes.items():
        try:
            if os.stat(f"{folder}/{name}").st_size < size:
                return name
        except FileNotFoundError:
            if name[7:15] > last_day and not os.path.exists(f"{folder}/{name}{archived.ENDING}"):
                return name
    return None


def sync(store: str, repo: str, job: str, names: Iterable[str]) -> None:
    """Make what is in files of these names survive a loss of power. Raises `OSError`."""
    folder = layout.job_log(store, repo, job)
    for name in names:
        try:
            descriptor = files.open_regular(f"{folder}/{name}")
        except FileNotFoundError:
            continue  # archived, which is synced, or cleaned
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    files.sync_folder(folder)
