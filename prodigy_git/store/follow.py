"""Following logs as they grow, from a cursor on, without loss or repetition.

A cursor says how far each file of each job has been read. What a file system tells of its changes only
says when to look; what has been read is decided by the offsets alone.
"""

import base64
import contextlib
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from prodigy_git.errors import ProdigyError
from prodigy_git.model.event import Event, parse_line, parse_lines
from prodigy_git.record import archived, clock, files
from prodigy_git.store import events, many_logs
from prodigy_git.store.stream import Broken, blocks, blocks_of, merge, opened
from prodigy_git.store.watching import Told, changes

Jobs = Callable[[], list[tuple[str, str]]]
"""Returns the (repository key, job id) to be followed; asked again and again, since jobs begin."""
Found = tuple[str, str, Event]
"""(repository key, job id, event)."""

_TURN = 0.005  # seconds that the jobs of which nothing was told are looked at for, in turn
_IDLE_TURN = 0.05  # the same where nothing at all was told
_REST = 20  # how many times as long as a turn has taken there is none, while changes are told
_ATTEMPTS = 5
_ROTATED = ".rotated"
_RECENT = 200
_SINCE = "since"  # no job: their names have a slash
_SLACK = 10 * 60 * clock.SECOND  # by how much an event's time may be ahead of its file's


class Follower:
    """What has been read of each job, and what has come since."""

    def __init__(
        self,
        store: str,
        jobs: Jobs,
        since: str | int | None,
        broken: Broken,
        meant: Callable[[str, str], bool] | None = None,
    ) -> None:
        """Begin at a cursor, at a time (microseconds since 1970), or with None now.

        ``meant`` says of a job that begins whether ``jobs`` has it, where that is known without asking.
        Raises `ProdigyError` for a text that is no cursor.
        """
        self._store = store
        self._jobs = jobs
        self._broken = broken
        self._meant = meant
        self._read: dict[str, dict[str, int]] = _decoded(since) if isinstance(since, str) else {}
        # A cursor of one who began at a time: what it has not come to yet may be older.
        begun = self._read.pop(_SINCE, {}).get(_SINCE)
        self._since = since if isinstance(since, int) else begun
        self._complete: dict[str, tuple[int, int]] = {}
        """Of archives that have been read, size and time."""
        self._inodes: dict[str, int] = {}
        self._base = ""
        self._recent: set[str] = set()
        """Which jobs' positions have changed since ``_base`` was worked out."""
        self._turns: Iterator[tuple[str, str]] = iter(())
        self._next_turn = 0.0
        self._wanted: set[tuple[str, str]] = set()
        self._unwanted: set[tuple[str, str]] = set()
        if since is None:
            for repo, job in jobs():
                self._skip(repo, job, events.log_files(store, repo, job))

    def _skip(self, repo: str, job: str, paths: list[str]) -> None:
        read = self._read.setdefault(f"{repo}/{job}", {})
        for path in paths:
            with contextlib.suppress(OSError):
                status = os.stat(path)
                read[events.position_name(path)] = _end(path)
                self._inodes[path] = status.st_ino
                if path.endswith(archived.ENDING):
                    self._complete[path] = (status.st_size, status.st_mtime_ns)

    def cursor(self) -> str:
        """Return where to go on after all that has been yielded.

        In two parts, the first of which stays the same as long as few jobs have changed: with that of
        thousands of jobs there is too much to do to work it out at each event.
        """
        if not self._base or len(self._recent) > _RECENT:
            self._base, self._recent = _encoded(self._read), set()
        recent = {name: self._read[name] for name in self._recent if name in self._read}
        if self._since is not None:
            recent[_SINCE] = {_SINCE: self._since}
        return f"{self._base}.{_encoded(recent)}"

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
            yield from self._of_job(repo, job)

    def _of_job(
        self, repo: str, job: str, grown: Iterable[str] | None = None
    ) -> Iterator[list[Found]]:
        """Yield what has come of a job; of the files that have ``grown`` alone, if they are given."""
        read = self._read.setdefault(f"{repo}/{job}", {})
        # Once more where a file is found to be another than it was when the folder was listed.
        for _ in range(_ATTEMPTS):
            paths = list(grown or ())
            if grown is None:
                paths = events.log_files(self._store, repo, job)
                if _carry_on(read, {events.position_name(path) for path in paths}):
                    self._recent.add(f"{repo}/{job}")
                paths.sort(key=_in_order)
            for path in paths:
                try:
                    yield from self._of_file(repo, job, path, read)
                except _Rotated:
                    grown = None
                    break
            else:
                return

    def _of_file(
        self, repo: str, job: str, path: str, read: dict[str, int]
    ) -> Iterator[list[Found]]:
        name = events.position_name(path)
        packed = path.endswith(archived.ENDING)
        try:
            status = os.stat(path)
            start = read.get(name, 0)
            mark = (status.st_size, status.st_mtime_ns)
            if (self._complete.get(path) == mark) if packed else status.st_size == start:
                return
            stream, plain = opened(path)
            status = os.fstat(stream.fileno())
        except FileNotFoundError:
            return  # archived or cleaned since the folder was listed
        except OSError as error:
            self._broken(f"{path}: cannot be read ({error})")
            return
        self._recent.add(f"{repo}/{job}")
        with stream:
            if plain:
                known = self._inodes.setdefault(path, status.st_ino)
                self._inodes[path] = status.st_ino
                if known != status.st_ino and os.path.exists(f"{path}{_ROTATED}"):
                    raise _Rotated
                if status.st_size < start:
                    self._broken(f"{path} is shorter than it was: followed from its new end on")
                    read[name] = _end(path)
                    return
            if self._since is not None and status.st_mtime_ns // 1000 < self._since - _SLACK:
                self._skip(repo, job, [path])  # nothing was appended since
                return
            try:
                text = many_logs.of(stream, path, plain=plain)
                for offset, block in blocks_of(text, plain, start):
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
        lines = block.split(b"\n")[:-1]
        for event in parse_lines(lines) or self._one_by_one(path, lines):
            moment = event.moment if self._since is not None else None
            if moment is None or self._since is None or moment >= self._since:
                yield repo, job, event

    def _one_by_one(self, path: str, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            if line and not line.isspace():
                try:
                    yield parse_line(line)
                except ValueError as error:
                    self._broken(f"{path}: not an event ({error}), skipped")

    def follow(
        self, stop: threading.Event | None = None, *, rounds: bool = False
    ) -> Iterator[list[Found]]:
        """Yield what has come and what comes, until ``stop`` is set.

        With ``rounds`` also an empty list each time that all that was told has been looked at, which
        is at least once a second.

        What the system tells of is looked at at once. It may tell nothing, of a network's file
        system or where its watches are used up, and of a folder that was made a moment ago it may
        miss the first file: so all other jobs are looked at, too, some in each round.
        """
        folder = f"{self._store}/events"
        files.make_private(folder)
        watched = changes(folder, stop or threading.Event(), self._broken)
        next(watched)  # before what is there is read, so that nothing is missed in between
        yield from self.new()
        if rounds:
            yield []
        for told in watched:
            yield from self._of_changes(folder, told)
            yield from self._in_turn(busy=bool(told))
            if rounds:
                yield []

    def _of_changes(self, folder: str, told: Told) -> Iterator[list[Found]]:
        """Yield what has come of the jobs in whose folders something has changed."""
        changed: dict[tuple[str, str], set[str] | None] = {}
        for grown, path in told:
            repo, job, name, *_ = [*path[len(folder) + 1 :].split("/"), "", ""]
            if job:
                files_of = changed.setdefault((repo, job), set())
                known = name in self._read.get(f"{repo}/{job}", ())
                if files_of is not None and grown and known:
                    files_of.add(path)
                else:
                    changed[repo, job] = None  # it has to be seen which files there are
        fresh = changed.keys() - self._wanted - self._unwanted
        if fresh and self._meant is not None:
            self._wanted |= {pair for pair in fresh if self._meant(*pair)}
            self._unwanted |= fresh - self._wanted
        elif fresh:
            self._wanted = set(self._jobs())
            self._unwanted |= fresh - self._wanted
        for (repo, job), paths in sorted(changed.items(), key=itemgetter(0)):
            if (repo, job) in self._wanted:
                yield from self._of_job(repo, job, paths)

    def _in_turn(self, *, busy: bool) -> Iterator[list[Found]]:
        """Look at further jobs for a while, at most at each once; go on there the next time."""
        begin = time.monotonic()
        if busy and begin < self._next_turn:
            return
        until = begin + (_TURN if busy else _IDLE_TURN)
        begun = False
        while time.monotonic() < until:
            pair = next(self._turns, None)
            if pair is None:
                if begun:
                    break
                begun = True
                jobs = self._jobs()
                self._wanted, self._unwanted = set(jobs), set()
                self._turns = iter(jobs)
                continue
            yield from self._of_job(*pair)
        end = time.monotonic()
        self._next_turn = end + _REST * (end - begin)


class _Rotated(Exception):
    """A file is another one than it was, and the one that it was has another name."""


def _carry_on(read: dict[str, int], there: set[str]) -> bool:
    """Go on in a file that a rotation has given another name; what has its name now is a new one.

    Returns whether there was any. One that was rotated before anybody read it is noted as unread, or
    its successor would be taken for it later on.
    """
    rotated = [name for name in there if name.endswith(_ROTATED) and name not in read]
    for name in rotated:
        read[name] = read.pop(name.removesuffix(_ROTATED), 0)
    return bool(rotated)


def _in_order(path: str) -> tuple[str, bool]:
    """Sort what was rotated before what has its name now."""
    name = events.position_name(path)
    return name.removesuffix(_ROTATED), not name.endswith(_ROTATED)


def _end(path: str) -> int:
    """Return the offset behind a file's last whole line."""
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if path.endswith(archived.ENDING):
            return max((offset + len(block) for offset, block in blocks(path)), default=0)
        with files.stream(path) as stream:
            at = os.fstat(stream.fileno()).st_size
            while at > 0:
                begin = max(0, at - 8192)
                stream.seek(begin)
                cut = stream.read(at - begin).rfind(b"\n")
                if cut >= 0:
                    return begin + cut + 1
                at = begin
    return 0


def _encoded(read: dict[str, dict[str, int]]) -> str:
    text = json.dumps(read, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 1)).decode("ascii")


def _decoded(cursor: str) -> dict[str, dict[str, int]]:
    read: dict[str, dict[str, int]] = {}
    try:
        for part in cursor.split("."):
            text = zlib.decompress(base64.urlsafe_b64decode(part.encode("ascii")))
            read.update(json.loads(text))
        for jobs in read.values():
            for offset in jobs.values():
                if not isinstance(offset, int) or offset < 0:
                    raise ValueError
    except (ValueError, TypeError, zlib.error, AttributeError) as error:
        raise ProdigyError(
            "that is no cursor: give one that 'events follow' has printed"
        ) from error
    return read
