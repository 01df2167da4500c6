"""From an activity file to the job's log: each event that follows from its lines, exactly once.

The file is to the events what git's journal is to the commits. The steps, all but the first under
the session's lock, and what a kill after each leaves behind:

1. the hook has appended its line (`activity`)                  the next event, or the end, goes on
2. read the cursor, find the events behind it (`what_follows`)  nothing has changed
3. under the log's lock, write the intent into the cursor       the next looks for the ids behind it
4. append the events with one write, sync the log               the same: none stands twice
5. move the cursor, without the intent                          recorded
6. note in the session's file whose conversations it has        the next event notes it

What was said stands in no file of ours but the log, so a message waits in the cursor for who has
its text: the hook that heard it, or the one that hears the same call again. Who has it and is
killed loses it to the program's own transcript; after `OPEN` the event says only that there was a
message.
"""

from __future__ import annotations

import os

from prodigy_git import layout, names
from prodigy_git.record import clock, files, jsonline, locks, log, log_position, session
from prodigy_git.record import cursor as cursors
from prodigy_git.record.conversations import what_follows
from prodigy_git.record.conversations.call_identity import DIGITS
from prodigy_git.record.log_position import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPEN = 60 * clock.SECOND
"""For how long a message waits for its text: who has it looks closely for secrets first."""
AT_ONCE = 1 << 22
"""How many bytes of an activity file are taken at once: a hook has seconds for all."""
PROGRAM_SESSIONS = "program_sessions"
"""Where in a session's metadata the conversations are that agent programs had there."""
KEPT = 20
_VERSION = 1


class Text:
    """What was said in a ``call`` (`call_identity`), harmless and cut; None: it is not to be kept."""

    __slots__ = ("call", "said")

    def __init__(self, call: str, said: str | None) -> None:
        """Take what was said."""
        self.call = call
        self.said = said


class Cursor:
    """How far an activity file has been told, see the module.

    ``offset`` is behind the last line taken; ``state`` is `what_follows`'; ``open`` are the messages
    that wait for their text: events with ``since``. ``log``, ``intent`` and ``boot`` as in
    `cursor.Cursor`. ``behind``, which is in no file, says that there was more than is taken at once.
    """

    __slots__ = ("behind", "boot", "intent", "log", "offset", "open", "state")

    def __init__(self) -> None:
        """Begin at the file's beginning."""
        self.offset = 0
        self.state: dict[str, Any] = what_follows.begun()
        self.open: list[dict[str, Any]] = []
        self.log: Position | None = None
        self.intent: Position | None = None
        self.boot = ""
        self.behind = False


def bring_all(
    store: str, name: str, *, text: Text | None = None, patience: float = locks.PATIENCE
) -> Cursor | None:
    """As `bring`, to the file's end however far that is: for whoever has the time."""
    while True:
        cursor = bring(store, name, text=text, patience=patience)
        if cursor is None or not cursor.behind:
            return cursor


def bring(
    store: str,
    name: str,
    *,
    text: Text | None = None,
    over: bool = False,
    patience: float = locks.PATIENCE,
) -> Cursor | None:
    """Record what follows from a session's activity file; return its cursor, None: it has no file.

    ``text`` is what was said in one of its calls. ``over`` says that turns are to be closed that
    nothing has closed, of programs that have ended. ``patience`` is in seconds, for each lock. Raises
    `locks.Busy`, `OSError`, `ValueError` where the session's file or the store are broken; a later
    call then does it.
    """
    lock = locks.take(layout.session_lock(store, name), patience)
    try:
        return _bring(store, name, text, over, patience)
    finally:
        os.close(lock)


def state_of(store: str, repo: str, name: str) -> dict[str, Any] | None:
    """Return the state that a session's activity was in when it was last told; None: never.

    Takes no lock.
    """
    cursor = _read(layout.activity_cursor(store, repo, name))
    return None if cursor is None else cursor.state


def is_due(store: str, repo: str, name: str) -> bool:
    """Whether `bring` might write anything: for whoever only reads. Takes no lock."""
    try:
        about = os.stat(layout.activity(store, repo, name))
    except OSError:
        return False
    cursor = _read(layout.activity_cursor(store, repo, name))
    if cursor is None or cursor.intent is not None or cursor.offset > about.st_size:
        return True
    if what_follows.has_rest(cursor.state):
        return True
    if cursor.offset == about.st_size:
        return _late(cursor, clock.now())
    # Tools are told at a turn's end: lines behind the cursor are usual. Others are told at once.
    lines, _, behind = _lines(layout.activity(store, repo, name), cursor.offset)
    quiet = ("tool", "working", "seen", "cwd")
    return (
        behind
        or _late(cursor, clock.now())
        or any(line.get("kind") not in quiet or line.get("said") for _, line in lines)
        or any(line.get("kind") == "tool" and _is_behind_end(cursor, line) for _, line in lines)
    )


def _is_behind_end(cursor: Cursor, line: dict[str, Any]) -> bool:
    """Whether a line is of a program that has ended: no turn's end will tell what it says."""
    name = what_follows.name_of(line.get("program"), line.get("program_session"))
    return what_follows.has_ended(cursor.state, name)


def _late(cursor: Cursor, now: int) -> bool:
    return any(now - one["since"] > OPEN for one in cursor.open)


def _bring(store: str, name: str, text: Text | None, over: bool, patience: float) -> Cursor | None:
    fields = session.read(store, name)
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("repo"), str):
        raise ValueError(f"session {name} names no repository")
    repo = names.checked(metadata["repo"], "repository key")
    job = session.job_of(fields)
    path = layout.activity_cursor(store, repo, name)
    found = _read(path)
    cursor = found or Cursor()
    try:
        if cursor.offset > os.stat(layout.activity(store, repo, name)).st_size:
            found, cursor = None, Cursor()  # cleaned, and begun anew
    except FileNotFoundError:
        return None
    lines, end, behind = _lines(layout.activity(store, repo, name), cursor.offset)
    due, now = [], clock.now()
    for offset, line in lines:
        due += what_follows.events(cursor.state, offset, line)
    if over and not behind:
        due += what_follows.rest(cursor.state)
    made, still_open = [], []
    whole = [{**one, "since": now} for one in due]
    for one in cursor.open + whole:
        event = _event(job, name, metadata, one)
        if "text_of" not in one:
            made.append(event)
        elif text is not None and _same(one["text_of"], text.call):
            made.append(_with_text(event, text.said))
        elif now - one["since"] > OPEN:
            made.append(_with_text(event, None))
        else:
            still_open.append((one, event["id"]))
    boot = cursors.boot_id()
    since = _since(cursor, found is None, lines, boot, now)
    ids = {event["id"] for event in made} | {identity for _, identity in still_open}
    folder = layout.job_log(store, repo, job)
    written = log.find(folder, ids, since) if since is not None and ids else set()
    missing = [event for event in made if event["id"] not in written]
    held = jsonline.encode(_fields(_read(path) or Cursor())) if missing else ""

    def mark(position: Position) -> None:
        # The old cursor, with the intent: whoever comes next reads the same lines again.
        old = jsonline.decode(held)
        _write(path, {**old, "intent": log_position.as_json(since or position)})

    if missing:
        cursor.log = log.append(store, repo, job, missing, patience=patience, before=mark)
    if missing or lines or due or len(still_open) != len(cursor.open) or cursor.intent is not None:
        cursor.open = [one for one, identity in still_open if identity not in written]
        cursor.offset, cursor.boot = end, boot
        # What was told before may be anywhere behind it, also of the lines that are taken next.
        cursor.intent = since if behind else None
        _write(path, _fields(cursor))
    cursor.behind = behind
    if _note(metadata, cursor.state):
        session.write(store, name, fields)
    return cursor


def _note(metadata: dict[str, Any], state: dict[str, Any]) -> bool:
    """Put into a session's metadata whose conversations it has; return whether that changed anything.

    The newest of them stand in ``program_sessions``, the last one's transcript is the session's log.
    """
    noted = metadata.get(PROGRAM_SESSIONS)
    before = [one for one in noted if isinstance(one, dict)] if isinstance(noted, list) else []
    known = {(one.get("program"), one.get("id")): one for one in before}
    for name, of in sorted(state.items(), key=lambda item: item[1]["began"]):
        program, _, identity = name.partition(":")
        if not of["started"]:
            continue
        said = {
            "program": program,
            "id": identity,
            "transcript": of["transcript"],
            "model": of["model"],
            "started_at": clock.stamp(of["began"]),
            "ended_at": clock.stamp(of["ended"]) if of["ended"] else None,
        }
        known.pop((program, identity), None)
        known[program, identity] = {
            field: value for field, value in said.items() if value is not None
        }
    newest = list(known.values())[-KEPT:]
    own: dict[str, Any] = {PROGRAM_SESSIONS: newest}
    if newest:
        own["agent_program"] = newest[-1].get("program")
        if newest[-1].get("transcript") is not None:
            own["json_log_location"] = newest[-1]["transcript"]
    if not newest or own.items() <= metadata.items():
        return False
    metadata.update(own)
    return True


def _same(call: object, other: str) -> bool:
    """Whether two calls are one that was heard twice."""
    return isinstance(call, str) and call[:DIGITS] == other[:DIGITS]


def _with_text(event: dict[str, Any], said: str | None) -> dict[str, Any]:
    """Put what was said where an event of that type has it."""
    if event["type"] == "AgentWaiting":
        return event if said is None else {**event, "message": said}
    return {**event, "content": said or ""}


def _event(job: str, name: str, metadata: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """Return an event of `what_follows` as it stands in the log, without its stamp."""
    nonce = metadata.get(session.NONCE) or name
    own = {
        field: value
        for field, value in one.items()
        if field not in ("type", "what", "since", "text_of", "correlation_id", "parent")
    }
    whose = f"{own['agent_program']}:{own['program_session']}"
    event: dict[str, Any] = {
        "id": log.event_id(str(nonce), f"{whose}:{one['what']}"),
        "timestamp": "",
        "type": one["type"],
        "event_type": one["type"],
        "correlation_id": one.get("correlation_id", name),
        "job_id": job,
        "session_id": name,
    }
    for field in ("agent_id", "item_id"):
        if isinstance(metadata.get(field), str):
            event[field] = metadata[field]
    if one.get("parent"):
        own["parent_session"] = name
    return event | own


def _since(
    cursor: Cursor,
    anew: bool,
    lines: list[tuple[int, dict[str, Any]]],
    boot: str,
    now: int,
) -> Position | None:
    """Return from where on the log may hold an event that is about to be written; None: nowhere.

    So it is on the usual way, see `drain`. Of a file that has begun just now nothing was told; of an
    older one the cursor is lost, and the whole log is looked at.
    """
    if anew:
        first = clock.parse(str(lines[0][1].get("at"))) if lines else None
        return None if first is not None and 0 <= now - first < OPEN else Position("", 0)
    if cursor.intent is not None:
        return cursor.intent
    return None if cursor.boot == boot else cursor.log or Position("", 0)


def _lines(path: str, offset: int) -> tuple[list[tuple[int, dict[str, Any]]], int, bool]:
    """Return the whole lines of a file behind ``offset``, each with where it begins, and their end.

    Not more than `AT_ONCE`; the last of three says whether there are more. What is no object is passed
    over: torn, and closed off by the next line.
    """
    descriptor, about = files.opened(path)
    try:
        left = max(0, about.st_size - offset)
        data = os.pread(descriptor, min(AT_ONCE, left), offset)
    finally:
        os.close(descriptor)
    end = data.rfind(b"\n") + 1
    found, at = [], 0
    while at < end:
        to = data.index(b"\n", at)
        try:
            found.append((offset + at, jsonline.decode_object(data[at:to])))
        except ValueError:
            pass
        at = to + 1
    return found, offset + end, left > AT_ONCE


def _read(path: str) -> Cursor | None:
    """Return the cursor in a file; None where there is none, or it is damaged."""
    cursor = Cursor()
    try:
        fields = jsonline.decode_object(files.read(path))
        if fields["version"] != _VERSION:
            return None
        cursor.offset, cursor.boot = int(fields["offset"]), str(fields["boot"])
        cursor.state, cursor.open = dict(fields["state"]), list(fields["open"])
        for name in ("log", "intent"):
            setattr(cursor, name, log_position.from_json(fields.get(name)))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return cursor


def _fields(cursor: Cursor) -> dict[str, Any]:
    fields: dict[str, Any] = {"version": _VERSION}
    for name in ("boot", "intent", "log", "offset", "open", "state"):
        value = getattr(cursor, name)
        if isinstance(value, Position):
            value = log_position.as_json(value)
        if value is not None:
            fields[name] = value
    return fields


def _write(path: str, fields: dict[str, Any]) -> None:
    """Put a cursor in its place at once; not synced: one that is lost is made anew from the file."""
    folder, name = os.path.split(path)
    files.put(path, jsonline.line(fields), through=f"{folder}/.{name}.new")
