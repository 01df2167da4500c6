"""Following logs as they grow, from a cursor on, without loss or repetition.

A cursor says how far each file of each job has been read. What a file system tells of its changes only
says when to look; what has been read is decided by the offsets alone.
"""

import base64
import contextlib
import json
import os
import threading
import zlib
from collections.abc import Callable, Iterator

from prodigy_git.errors import ProdigyError
from prodigy_git.model.event import Event, parse_line
from prodigy_git.record import archived, files
from prodigy_git.store import events
from prodigy_git.store.stream import Broken, blocks, merge

Jobs = Callable[[], list[tuple[str, str]]]
"""Returns the (repository key, job id) to be followed; asked again and again, since jobs begin."""
Found = tuple[str, str, Event]
"""(repository key, job id, event)."""

_LOOK = 1000  # milliseconds; where no change is told, as on a network's file system
_SETTLE = 10  # milliseconds that changes are collected for


class Follower:
    """What has been read of each job, and what has come since."""

    def __init__(self, store: str, jobs: Jobs, since: str | int | None, broken: Broken) -> None:
        """Begin at a cursor, at a time (microseconds since 1970), or with None now.

        Raises `ProdigyError` for a text that is no cursor.
        """
        self._store = store
        self._jobs = jobs
        self._broken = broken
        self._since = since if isinstance(since, int) else None
        self._read: dict[str, dict[str, int]] = _decoded(since) if isinstance(since, str) else {}
        self._complete: dict[str, tuple[int, int]] = {}
        if since is None:
            for repo, job in jobs():
                self._read[f"{repo}/{job}"] = {
                    events.position_name(path): _end(path)
                    for path in events.log_files(store, repo, job)
                }

    def cursor(self) -> str:
        """Return where to go on after all that has been yielded."""
        text = json.dumps(self._read, separators=(",", ":"), sort_keys=True)
        return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode("ascii")

    def before(self) -> Iterator[Found]:
        """Yield, job by job and in time order, what lies before where it begins: at a cursor, or now.

        For those who need the whole story and then what comes; to be asked before `new`.
        """
        for repo, job in sorted(tuple(name.split("/", 1)) for name in self._read):
            paths = events.log_files(self._store, repo, job)
            read = self._read[f"{repo}/{job}"]
            _carry_on(read, {events.position_name(path) for path in paths})
            ends = {path: read.get(events.position_name(path), 0) for path in paths}
            for event in merge(paths, self._broken, ends=ends):
                yield repo, job, event

    def new(self) -> Iterator[list[Found]]:
        """Yield, file by file and a block at a time, what has come since; `cursor` is behind each."""
        for repo, job in self._jobs():
            paths = events.log_files(self._store, repo, job)
            read = self._read.setdefault(f"{repo}/{job}", {})
            _carry_on(read, {events.position_name(path) for path in paths})
            for path in paths:
                yield from self._of_file(repo, job, path, read)

    def _of_file(
        self, repo: str, job: str, path: str, read: dict[str, int]
    ) -> Iterator[list[Found]]:
        name = events.position_name(path)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return  # archived or cleaned since the folder was listed
        mark = (status.st_size, status.st_mtime_ns)
        start = read.get(name, 0)
        packed = path.endswith(archived.ENDING)
        if self._complete.get(path) == mark or (not packed and status.st_size == start):
            return
        if not packed and status.st_size < start:
            self._broken(f"{path} is shorter than it was: followed from its new end on")
            read[name] = status.st_size
            return
        try:
            for offset, block in blocks(path, start):
                whole = block[: block.rfind(b"\n") + 1]
                if whole:  # never half a line: the rest of it comes with the next change
                    found = list(self._parsed(repo, job, path, whole))
                    read[name] = offset + len(whole)
                    if found:
                        yield found
        except (OSError, EOFError, zlib.error) as error:
            self._broken(f"{path}: cannot be read ({error})")
        if packed:
            self._complete[path] = mark

    def _parsed(self, repo: str, job: str, path: str, block: bytes) -> Iterator[Found]:
        for line in block.split(b"\n")[:-1]:
            if not line or line.isspace():
                continue
            try:
                event = parse_line(line)
            except ValueError as error:
                self._broken(f"{path}: not an event ({error}), skipped")
                continue
            moment = event.moment if self._since is not None else None
            if moment is None or self._since is None or moment >= self._since:
                yield repo, job, event

    def follow(self, stop: threading.Event | None = None) -> Iterator[list[Found]]:
        """Yield what has come and what comes, until ``stop`` is set."""
        from watchfiles import watch  # takes long to import, and few commands follow

        folder = f"{self._store}/events"
        files.make_private(folder)
        yield from self.new()
        # Each round looks, told or not: so nothing is missed that came before the watch was there.
        for _ in watch(
            folder, stop_event=stop, watch_filter=None, debounce=_SETTLE, step=5,
            rust_timeout=_LOOK, yield_on_timeout=True, raise_interrupt=True,
            ignore_permission_denied=True,
        ):  # fmt: skip
            yield from self.new()


def _carry_on(read: dict[str, int], there: set[str]) -> None:
    """Go on in a file that a rotation has given another name; what has its name now is a new one."""
    for name in list(read):
        rotated = f"{name}.rotated"
        if rotated in there and rotated not in read:
            read[rotated] = read.pop(name)


def _end(path: str) -> int:
    """Return the offset behind a file's last whole line."""
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if path.endswith(archived.ENDING):
            return max((offset + len(block) for offset, block in blocks(path)), default=0)
        with open(path, "rb") as stream:
            at = os.fstat(stream.fileno()).st_size
            while at > 0:
                begin = max(0, at - 8192)
                stream.seek(begin)
                cut = stream.read(at - begin).rfind(b"\n")
                if cut >= 0:
                    return begin + cut + 1
                at = begin
    return 0


def _decoded(cursor: str) -> dict[str, dict[str, int]]:
    try:
        text = zlib.decompress(base64.urlsafe_b64decode(cursor.encode("ascii")))
        read = json.loads(text)
        for jobs in read.values():
            for offset in jobs.values():
                if not isinstance(offset, int) or offset < 0:
                    raise ValueError
    except (ValueError, zlib.error, AttributeError) as error:
        raise ProdigyError(
            "that is no cursor: give one that 'events follow' has printed"
        ) from error
    found: dict[str, dict[str, int]] = read
    return found
