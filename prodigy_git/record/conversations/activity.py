"""What agent programs do in a session's worktree: a file with a line for each of their events.

A line holds names, ids and paths, never a prompt or an output. It is written at once and not synced:
the agent waits, and what a loss of power takes was news. Who shows it reads the file's end (`tail`).
"""

from __future__ import annotations

import os

from prodigy_git import layout
from prodigy_git.record import clock, files, jsonline, locks
from prodigy_git.record.conversations import bindings, call_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from prodigy_git.record.conversations.normal_form import Heard

PATIENCE = 0.05
"""Seconds that the file's lock is waited for; the agent waits meanwhile."""
READ = 256 * 1024
"""How many bytes of the file's end `tail` reads."""
LONGEST = 32 * 1024
"""How many bytes a line has at most: of more edited files than fit, the first are named."""

WORKING, WAITING, IDLE, ENDED = "working", "waiting", "idle", "ended"
_ALWAYS = ("event", "source", "reason", "tool", "tool_id", "subagent", "subagent_type")
_AT_TIMES = ("transcript", "subagent_transcript", "model", "cwd", "name", "path")
_OFTEN = ("tool", "working", "seen")
_TOLD = ("start", "prompt", "tool", "waiting", "idle", "subagent_start", "subagent_end", "end")
"""The kinds of events from which others follow in the job's log (`telling`)."""
_SPEECH = ("prompt", "idle", "subagent_end", "working")


def is_told(heard: Heard) -> bool:
    """Whether something follows from an event in the job's log: also if an agent says what it does."""
    return heard.kind in _TOLD or (heard.kind == "working" and heard.text is not None)


def append(store: str, repo: str, session: str, heard: Heard) -> dict[str, Any]:
    """Append the line of one event, and return what it says.

    One write, under the file's lock; where that is not to be had soon, without: an append of one
    line is whole then too, but what a full disk has torn before it might not be closed off. Raises
    `OSError` where it cannot be written; then the file is as it was.
    """
    path = layout.activity(store, repo, session)
    flags = os.O_RDWR | os.O_APPEND
    try:
        descriptor = files.create(path, flags)
    except FileNotFoundError:
        files.make_private(os.path.dirname(path))
        descriptor = files.create(path, flags)
    try:
        line = _line(heard)
        rest = jsonline.encode(line)
        try:
            held = locks.hold(descriptor, PATIENCE)
        except OSError:
            held = False  # a filesystem that has no locks
        line["at"] = clock.stamp(clock.now())
        text = f'{{"at":"{line["at"]}",{rest[1:]}\n'.encode("ascii")
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = b"\n" + text
        written = os.write(descriptor, text)
        if written != len(text):
            # A full disk took a part. Without the lock it may have another's line behind it.
            if held and os.fstat(descriptor).st_size == size + written:
                os.ftruncate(descriptor, size)
            raise OSError(28, "no space left", path)
        return line
    finally:
        os.close(descriptor)


def _line(heard: Heard) -> dict[str, Any]:
    line: dict[str, Any] = {
        "program": heard.program,
        "program_session": heard.program_session,
        "kind": heard.kind,
    }
    for name in _ALWAYS if heard.kind in _OFTEN else _ALWAYS + _AT_TIMES:
        value = getattr(heard, name)
        if value is not None:
            line[name] = value
    if heard.kind not in _OFTEN:
        by = bindings.called_by(heard.process)
        if by is not None:
            line["by"] = by
    if is_told(heard):
        line["call"] = call_identity.call_of(heard)
        if heard.text is not None and heard.kind in _SPEECH:
            line["said"] = True
    if heard.failed:
        line["failed"] = True
    if heard.files:
        room = LONGEST - 8192
        named = []
        for one in heard.files:
            room -= 6 * len(one)  # as it is escaped, at worst
            if room < 0:
                break
            named.append(one)
        line["files"] = named
    return line


class State:
    """How it stands with one session of a program, see `tail`. Times in microseconds since 1970.

    ``state`` is `WORKING`, `WAITING`, `IDLE` or `ENDED`, ``since`` when it began; ``reason`` is for
    what is waited, or why it ended. ``seen`` is the last event's time, ``subagents`` are the ids of
    those under way.
    """

    __slots__ = (
        "_actors",
        "model",
        "program",
        "program_session",
        "reason",
        "seen",
        "since",
        "state",
        "subagents",
        "transcript",
    )

    def __init__(self, program: str, program_session: str | None) -> None:
        """Begin with a session of which nothing was heard yet."""
        self.program = program
        self.program_session = program_session
        self.state = IDLE
        self.since = 0
        self.seen = 0
        self.reason: str | None = None
        self.transcript: str | None = None
        self.model: str | None = None
        self.subagents: tuple[str, ...] = ()
        # The state of the agent itself (None) and of each subagent, with what it waits for.
        self._actors: dict[str | None, tuple[str, str | None]] = {}

    def take(self, line: dict[str, Any]) -> None:
        """Go on to what stood after the event of ``line``."""
        at = clock.parse(_text(line.get("at")) or "") or self.seen
        kind, actor = line.get("kind"), _text(line.get("subagent"))
        reason = _text(line.get("reason"))
        self.seen = max(at, self.seen)
        if self.state == ENDED and self._is_late(line, at):
            return
        self.transcript = _text(line.get("transcript")) or self.transcript
        if actor is None:
            self.model = _text(line.get("model")) or self.model
        if kind == "start":
            # Compacting its memory is done in the midst of a turn, and tells nothing of it.
            if line.get("source") != "compact" or self.state == ENDED:
                self._actors = {None: (IDLE, None)}
        elif kind == "end":
            self._actors = {}
            self._become(ENDED, at, reason)
            return
        elif kind in ("prompt", "tool", "working"):
            if kind == "prompt":
                # Who writes has seen what was asked; and a subagent that was stopped says no more.
                self._actors = {
                    name: stands for name, stands in self._actors.items() if stands[0] != WAITING
                }
            self._actors[actor] = (WORKING, None)
        elif kind == "waiting":
            self._actors[actor] = (WAITING, reason)
        elif kind == "idle" and actor is None:
            # A subagent that goes on in the background is heard of again.
            self._actors = {
                name: stands
                for name, stands in self._actors.items()
                if name is not None and stands[0] == WAITING
            }
            self._actors[None] = (IDLE, None)
        elif kind == "subagent_start" and actor is not None:
            self._actors[actor] = (WORKING, None)
            self.subagents = (*(one for one in self.subagents if one != actor), actor)
        elif kind in ("subagent_end", "idle"):
            self._actors.pop(actor, None)
            self.subagents = tuple(one for one in self.subagents if one != actor)
        elif self.state == ENDED or self._actors:
            return  # it says nothing of what goes on
        self._conclude(at)

    def _is_late(self, line: dict[str, Any], at: int) -> bool:
        """Whether an ended program has said something before its end: hooks overtake each other."""
        again = line.get("kind") == "start" and line.get("source") not in call_identity.FIRST
        return not again and at - self.since <= call_identity.STRAY

    def _conclude(self, at: int) -> None:
        standing = list(self._actors.values())
        for state in (WAITING, WORKING):
            for one, reason in standing:
                if one == state:
                    self._become(state, at, reason)
                    return
        self._become(IDLE, at, None)

    def _become(self, state: str, at: int, reason: str | None) -> None:
        if state == ENDED:
            self.subagents = ()
        if (state, reason) != (self.state, self.reason) or not self.since:
            self.state, self.since, self.reason = state, at, reason


_URGENT = (WAITING, WORKING, IDLE, ENDED)


def foremost(states: Iterable[State]) -> State | None:
    """Return the one of several programs in a worktree that says how it stands there; None of none.

    Who waits for a person comes first, then who works; of two that are alike the latest heard.
    """
    return min(states, key=lambda one: (_URGENT.index(one.state), -one.seen), default=None)


def tail(store: str, repo: str, session: str, most: int = READ) -> list[State]:
    """Return how it stands with each program's session in a session's worktree, the latest heard last.

    Reads the last ``most`` bytes of the activity file, without a lock. Empty where there is none.
    Raises `OSError` for one that cannot be read.
    """
    try:
        descriptor, about = files.opened(layout.activity(store, repo, session))
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        begin = max(0, about.st_size - most)
        data = os.pread(descriptor, min(most, about.st_size), begin)
    finally:
        os.close(descriptor)
    lines = data.split(b"\n")
    # The first may be half a line, and the last one be about to be written.
    return states(lines[1 if begin else 0 : -1])


def states(
    lines: Iterable[bytes], decode: Callable[[bytes], dict[str, Any]] = jsonline.decode_object
) -> list[State]:
    """Return what `tail` does, of lines of an activity file, in their order; others are passed over.

    ``decode`` is as `jsonline.decode_object`: of who may import a quicker one.
    """
    known: dict[tuple[str, str | None], State] = {}
    for text in lines:
        try:
            line = decode(text)
        except ValueError:
            continue  # torn, and closed off by the next
        program = _text(line.get("program"))
        if program is None:
            continue
        key = program, _text(line.get("program_session"))
        state = known.get(key) or State(*key)
        known[key] = state
        state.take(line)
    return sorted(known.values(), key=lambda one: one.seen)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
