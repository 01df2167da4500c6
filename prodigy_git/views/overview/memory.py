"""What a view keeps from one look to the next, so that a look costs what has changed since."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from prodigy_git import glance, layout
from prodigy_git.git import divergence
from prodigy_git.jobs import index as indexes
from prodigy_git.jobs import peek, processes, prodigy_runs, replay
from prodigy_git.jobs.books import ENDED
from prodigy_git.jobs.index import Index
from prodigy_git.record import clock, jsonline
from prodigy_git.record.conversations import activity, call_identity
from prodigy_git.record.gitdir import Place
from prodigy_git.store import briefs, edits, events
from prodigy_git.store.events import Broken

_STATES = 32 << 10
"""How many bytes of an activity file's end tell how it stands with the programs."""
_OFTEN = (b"tool", b"work")
"""How the kinds begin that say no more than that work goes on."""
_AT = slice(len('{"at":"'), len('{"at":"2025-01-11T12:00:00.123456Z'))
"""Where a line has its time, which sorts as a text."""
_AS_WRITTEN = re.compile(rb'"program":"[^"\\]*","program_session":"[^"\\]*","kind":"')
"""What a line has before its kind: the same in all of a program's session."""
_Activity = tuple[list[activity.State], dict[str, str]]
_Counts = dict[tuple[str, str], tuple[int, int]]


class Memory:
    """To be used by one thread, which closes it: connections to SQLite belong to theirs."""

    def __init__(self, *, keep: bool = False) -> None:
        """Begin with nothing; with ``keep`` the jobs' states stay open between looks."""
        self.briefs: briefs.Cache = {}
        self.seen: dict[tuple[str, str], dict[str, int]] = {}
        """By (repository, job): when each session or agent was heard of last."""
        self._keep = keep
        self._logs: dict[tuple[str, str], Any] = {}
        self._open: dict[tuple[str, str], Index] = {}
        self._closing = contextlib.ExitStack()
        self._ended: set[tuple[str, str]] = set()
        self._diverged: dict[str, tuple[frozenset[tuple[str, str]], _Counts]] = {}
        self._standing: processes.Standing | None = None
        self._activity: dict[tuple[str, str], tuple[tuple[int, int, str], _Activity]] = {}
        self.messages: dict[tuple[str, int], str] = {}
        """By session and the moment from which it waits: what was said then; "" for nothing."""

    def close(self) -> None:
        """Close what is open."""
        self._closing.close()

    def reads_log(self, store: str, repo: str, job: str) -> None:
        """Note what a job's log is like, before it is read for ``seen``; the first time counts."""
        if not self._keep and (repo, job) not in self._logs:
            self._logs[repo, job] = _like(store, repo, job)

    def look_again(
        self, store: str = "", key: str = "", names: Iterable[tuple[str | None, str]] = ()
    ) -> None:
        """Forget what changes without an event: which processes there are.

        And when some (job, session or agent) of a repository were heard of last, where the log is not
        as it was; unless whoever keeps this notes each event.
        """
        self._standing = None
        as_it_was: dict[str | None, bool] = {}
        for job, name in () if self._keep else names:
            if job is not None and job not in as_it_was:
                before = self._logs.get((key, job))
                as_it_was[job] = before is not None and before == _like(store, key, job)
            if not as_it_was.get(job):
                self.seen.get((key, job or ""), {}).pop(name, None)

    def heard(self, repo: str, job: str, names: dict[str, int]) -> None:
        """Note when sessions and agents of a job were heard of; it may have been opened again."""
        self._ended.discard((repo, job))
        seen = self.seen.setdefault((repo, job), {})
        for name, moment in names.items():
            seen[name] = max(moment, seen.get(name, 0))

    @contextlib.contextmanager
    def job(
        self, store: str, repo: str, job: str, broken: Broken, *, ended: bool
    ) -> Iterator[Index | None]:
        """Give a job's state, up to its log; None for one that has ended, unless those are asked for.

        Raises as `peek.opened`.
        """
        pair = repo, job
        if not ended and (
            pair in self._ended or (pair not in self._open and _has_ended(store, repo, job))
        ):
            self._ended.add(pair)
            yield None
            return
        if not self._keep:
            with peek.opened(store, repo, job, broken) as index:
                yield None if not ended and prodigy_runs.is_done_with(index) else index
            return
        known = self._open.get(pair)
        if (
            known is not None
            and known.run is None
            and replay.holds(store, repo, job, known.meta.position)
        ):
            indexes.advance(known, broken)
        else:
            known = self._closing.enter_context(peek.opened(store, repo, job, broken))
            self._open[pair] = known
        yield None if not ended and prodigy_runs.is_done_with(known) else known

    def diverged(self, place: Place, pairs: frozenset[tuple[str, str]]) -> _Counts:
        """Return what `divergence.ahead_behind` does; asks git where the commits are others now."""
        before = self._diverged.get(place.common)
        if before is None or before[0] != pairs:
            before = pairs, divergence.ahead_behind(place, pairs)
            self._diverged[place.common] = before
        return before[1]

    def activity(self, store: str, repo: str, session: str, top: str) -> _Activity:
        """Return how it stands with the programs in a session's worktree ``top``, and their edits.

        As `activity.states` and `edits.of_data`. Reads again where something was added. Raises
        `OSError`.
        """
        try:
            about = os.stat(layout.activity(store, repo, session))
        except (FileNotFoundError, NotADirectoryError):
            return [], {}
        mark = about.st_ino, about.st_size, top
        known = self._activity.get((repo, session))
        if known is None or known[0] != mark:
            data = edits.tail(store, repo, session)
            some = data[-_STATES:]
            if len(some) < len(data):
                some = some[some.find(b"\n") + 1 :]  # the first may be half a line
            states = activity.states(_telling(some), _decoded)
            known = mark, (states, edits.of_data(data, top))
            self._activity[repo, session] = known
        return known[1]

    def stands_in(self, place: Place) -> bool:
        """Whether a live process stands in a worktree, as far as can be seen."""
        if self._standing is None:
            self._standing = processes.Standing()
        return self._standing.is_one_in(place.top)


def _decoded(line: bytes) -> dict[str, Any]:
    """Return what `jsonline.decode_object` does, most often much faster. Raises `ValueError`."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return jsonline.decode_object(line)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _telling(data: bytes) -> list[bytes]:
    """Return the lines that say how it stands: of a stretch of work, the first and the last.

    Decoding the thousand between them takes longer than all else that a look does. Lines are as
    `activity.append` writes them; what looks otherwise is kept.
    """
    found = _AS_WRITTEN.match(data, data.find(b'"program"'))
    if (
        found is None
        or data.count(found[0]) != data.count(b"\n")
        or b'"subagent"' in data
        or found[0] + b"end" in data
    ):
        return _telling_one_by_one(data.split(b"\n"))
    # One program alone, as nearly always: no line is looked at but the others and those beside them.
    begins = {0, data.rfind(b"\n", 0, -1) + 1}
    for other in re.finditer(re.escape(found[0]) + b"(?!tool|work)", data):
        begin = data.rfind(b"\n", 0, other.start()) + 1
        behind = data.find(b"\n", other.end()) + 1
        begins |= {begin, behind if behind < len(data) else begin}
        begins.add(data.rfind(b"\n", 0, max(0, begin - 1)) + 1)
    return [data[begin : data.find(b"\n", begin)] for begin in sorted(begins)]


def _telling_one_by_one(lines: Iterable[bytes]) -> list[bytes]:
    """Return what `_telling` does, of lines of which each is looked at."""
    kept: list[bytes] = []
    pending: dict[bytes, bytes] = {}
    stray: dict[bytes, bytes] = {}
    for text in lines:
        cut = text.find(b'"kind":"')
        who = text[text.find(b'"program"') : cut]  # the program and its session
        if cut > 0 and text[cut + 8 : cut + 12] in _OFTEN and b'"subagent"' not in text:
            if text[_AT] <= stray.get(who, b""):
                kept.append(text)  # is passed over perhaps, so that the next is the first
                continue
            if who not in pending:
                kept.append(text)
            pending[who] = text
            continue
        if (last := pending.pop(who, None)) is not None:
            kept.append(last)
        kept.append(text)
        if text.startswith(b'"kind":"end"', cut):
            ended = clock.parse(text[_AT].decode("ascii", "replace"))
            if ended is not None:
                stray[who] = clock.stamp(ended + call_identity.STRAY).encode()
    return [*kept, *pending.values()]


def _like(store: str, repo: str, job: str) -> list[tuple[Any, ...]] | None:
    """Return what tells that nothing was added to a job's log; None where that cannot be told."""
    try:
        return [
            (path, about.st_ino, about.st_size, about.st_mtime_ns)
            for path in events.log_files(store, repo, job)
            for about in (os.stat(path),)
        ]
    except OSError:
        return None  # archived just now


def _has_ended(store: str, repo: str, job: str) -> bool:
    """Whether a job has ended, by its index as it stands: an end is final, and durable before it.

    No lock is taken: what a writer changes meanwhile is looked at again as a whole.
    """
    try:
        return any(
            msgspec.json.decode(value, type=indexes.Meta).job.status in ENDED
            for (value,) in glance.rows(layout.index(store, repo, job), "SELECT value FROM meta")
        )
    except (msgspec.MsgspecError, ValueError, TypeError):
        return False
