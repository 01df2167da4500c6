"""What follows from the lines of an activity file: which events, in the order in which they are
due.

Pure: a state and a line in, events out, the same whoever asks and however often. The state is plain
data, for the file's cursor (`telling`). A line is a repetition where its call was heard
before: a hook can be installed twice, a program can tell twice. A call that bears something of its
own (the id of a tool use, of a turn, a time) is known by that, wherever it stands. Another one, as
a second question in the same words, is one only where it is in step with what was heard:
`_is_repeated`.
"""

from __future__ import annotations

from prodigy_git.record import clock
from prodigy_git.record.conversations.call_identity import DIGITS, FIRST, STRAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALLS = 4096
"""How many calls of a program's session are remembered, to know a repetition."""
PROGRAMS = 20
"""How many sessions of programs are remembered that have ended, or were silent for a week."""
MOST_TOOLS = 64
MOST_FILES = 200
"""How many tools, and edited files, one turn names at most."""
_QUIET = 7 * 24 * 3600 * clock.SECOND


def begun() -> dict[str, Any]:
    """Return the state of a file of which nothing was read: what is known of each program's session."""
    return {}


def name_of(program: str | None, program_session: str | None) -> str:
    """Return under which name a state has a program's session."""
    return f"{program}:{program_session}"


def has_heard(known: dict[str, Any], call: str) -> bool:
    """Whether a call of a program's session was heard before in a worktree that it has left.

    ``known`` is what the state of that has of it. As in `_is_repeated`, but what has nothing of its own
    is a repetition only where a row of calls is being told again.
    """
    anywhere = call.endswith("!")
    newest = known["before"] + len(known["calls"]) // DIGITS - 1
    if not anywhere and known["last"] >= newest:
        return False
    return _place_of(known, call[:DIGITS], 0 if anywhere else known["last"]) is not None


def _place_of(known: dict[str, Any], digest: str, since: int) -> int | None:
    """Return which of the calls a digest is of, of those since one; None: of none."""
    calls = known["calls"]
    found = calls.find(digest, max(0, since - known["before"]) * DIGITS)
    while found >= 0 and found % DIGITS:
        found = calls.find(digest, found + 1)
    return None if found < 0 else int(known["before"] + found // DIGITS)


def going(state: dict[str, Any], moment: int, quiet: int) -> list[str]:
    """Return the sessions of programs that have not ended, and have said something of late.

    That is within ``quiet`` microseconds before ``moment``: one that was killed tells no end.
    """
    return [
        name
        for name, known in state.items()
        if known["started"] and not known["ended"] and moment - known["at"] < quiet
    ]


def is_the_programs(state: dict[str, Any], name: str, by: str) -> bool:
    """Whether a process, as `bindings.called_by` has it, is that of a program's session.

    So it is where it has called more than once. ``name`` is the session's `name_of`.
    """
    known = state.get(name, {})
    return bool(known.get("called_again")) and known.get("called_by") == by


def has_ended(state: dict[str, Any], name: str) -> bool:
    """Whether a program's session, by its `name_of`, has said that it ends, and nothing since."""
    known = state.get(name)
    return known is not None and bool(known["ended"])


def events(state: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    """Take a line into the state, and return the events that follow from it.

    ``offset`` is where the line begins. Each event has its ``type``, ``what``, by which its id is made,
    and its own fields; one for which the line's own text is needed has the ``call`` in ``text_of``.
    """
    kind, call = line.get("kind"), line.get("call")
    at = line.get("at")
    moment = clock.parse(at) if isinstance(at, str) else None
    if moment is None or kind in ("seen", "cwd", "worktree_create", "worktree_remove"):
        return []
    line = {**line, "at": moment}
    name = name_of(line.get("program"), line.get("program_session"))
    known = state.get(name)
    if known is None:
        known = state[name] = _unheard()
        _forget(state, moment)
    known["at"] = max(known["at"], moment)
    for field in ("transcript", "model"):
        if line.get(field) is not None and (field == "transcript" or line.get("subagent") is None):
            known[field] = line[field]
    _note_caller(known, line)
    if kind == "working" and not line.get("said"):
        known["waiting"] = None
        return _starting(known, offset, line) if not known["ended"] else []
    if isinstance(call, str) and _is_repeated(known, kind == "start", call):
        return []
    due = _start(known, offset, line) if kind == "start" else _starting(known, offset, line)
    return due + _OF_KIND[str(kind)](known, offset, line) if kind in _OF_KIND else due


def has_rest(state: dict[str, Any]) -> bool:
    """Whether `rest` has turns to close."""
    return any(known["ended"] and known["turns"] for known in state.values())


def rest(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Close the turns that nothing has closed of programs that have ended; return their events."""
    due = []
    for name, known in state.items():
        if known["ended"]:
            program, _, session = name.partition(":")
            due += _close(
                known, {"program": program, "program_session": session, "at": known["at"]}
            )
    return due


def _unheard() -> dict[str, Any]:
    return {
        "calls": "", "before": 0, "last": 0, "started": False, "began": 0, "ended": 0, "at": 0,
        "waiting": None, "turns": {}, "transcript": None, "model": None,
    }  # fmt: skip


def _note_caller(known: dict[str, Any], line: dict[str, Any]) -> None:
    """Note which process has called, and whether it did before: with another call, not told twice."""
    by, call = line.get("by"), line.get("call")
    if by is None:
        return
    if known.get("called_by") != by:
        known.update(called_by=by, called_first=call, called_again=False)
    elif known["called_first"] != call:
        known["called_again"] = True


def _forget(state: dict[str, Any], moment: int) -> None:
    """Forget the oldest of the sessions that are over, where there are many."""
    over = [
        (known["at"], name)
        for name, known in state.items()
        if known["at"] and (known["ended"] or moment - known["at"] > _QUIET)
    ]
    for _, name in sorted(over)[: max(0, len(over) - PROGRAMS)]:
        del state[name]


def _is_repeated(known: dict[str, Any], start: bool, call: str) -> bool:
    """Whether a call was heard before; note it.

    One that has nothing of its own was, if it stands at or behind the call that the last line was: who
    tells a row of calls again tells it in the same order, and a new question is behind all that was
    said. After a program's end everything is late, or told again, but a start.
    """
    anywhere = call.endswith("!") or (known["ended"] and not start)
    place = _place_of(known, call[:DIGITS], 0 if anywhere else known["last"])
    if place is not None:
        known["last"] = place
        return True
    calls = known["calls"] + call[:DIGITS]
    if len(calls) > CALLS * DIGITS:
        calls = calls[DIGITS:]
        known["before"] += 1
    known["calls"] = calls
    known["last"] = known["before"] + len(calls) // DIGITS - 1
    return False


def _event(kind: str, offset: int, line: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return an event that follows from a line; fields that are None are left out."""
    made = {
        "type": kind,
        "what": f"{offset}:{line['at']}:{kind}",
        "agent_program": line.get("program"),
        "program_session": line.get("program_session"),
    }
    made.update((name, value) for name, value in own.items() if value is not None)
    if line.get("subagent") is not None:
        made["correlation_id"] = line["subagent"]
    return made


def _start(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    source = line.get("source")
    if known["ended"] and source in FIRST:  # its end was quicker
        return [_started(offset, line, source)] if known.pop("untold", False) else []
    if known["started"] and not known["ended"] and source in (*FIRST, "compact"):
        return []  # something else of it was quicker; or it goes on as before
    known.update(started=True, began=line["at"], ended=0, waiting=None)
    return [_started(offset, line, source)]


def _starting(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the start of a program that was heard of for the first time by something else.

    Or that says something long after its end: some say nothing of being taken up again.
    """
    again = known["ended"] and line["kind"] == "prompt" and line["at"] - known["ended"] > STRAY
    if known["started"] and not again:
        return []
    if line["kind"] == "end":
        known.update(started=True, began=line["at"], untold=True)
        return []
    known.update(started=True, began=line["at"], ended=0, untold=False)
    return [_started(offset, line, None)]


def _started(offset: int, line: dict[str, Any], source: str | None) -> dict[str, Any]:
    return _event(
        "AgentProgramStarted", offset, {**line, "subagent": None}, source=source,
        json_log_location=line.get("transcript"), model=line.get("model"),
    )  # fmt: skip


def _said(offset: int, line: dict[str, Any], message_type: str) -> list[dict[str, Any]]:
    if not line.get("said"):
        return []
    transcript = line.get("subagent_transcript") or line.get("transcript")
    return [
        _event(
            "ClaudeMessage", offset, line, message_type=message_type, json_log_location=transcript,
            text_of=line.get("call"),
        )
    ]  # fmt: skip


def _prompt(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    known["waiting"] = None
    return _close(known, line, "") + _said(offset, line, "user")


def _idle(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    known["waiting"] = None
    return _close(known, line, line.get("subagent") or "") + _said(offset, line, "assistant")


def _spoke(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    """What an agent says in the midst of its turn."""
    known["waiting"] = None
    return _said(offset, line, "assistant")


def _waiting(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    reason = line.get("reason") or "question"
    if known["waiting"] == reason:
        return []  # the program tells in two ways that it waits for one answer
    known["waiting"] = reason
    return [_event("AgentWaiting", offset, line, reason=reason, text_of=line.get("call"))]


def _tool(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    known["waiting"] = None
    turn = known["turns"].setdefault(
        line.get("subagent") or "",
        {"offset": offset, "at": line["at"], "tools": {}, "failed": 0, "files": []},
    )
    tool = line.get("tool")
    if isinstance(tool, str):
        tools = turn["tools"]
        name = tool if tool in tools or len(tools) < MOST_TOOLS else "…"
        tools[name] = tools.get(name, 0) + 1
        turn["failed"] += line.get("failed") is True
    for path in line.get("files") or ():
        if path not in turn["files"] and len(turn["files"]) < MOST_FILES:
            turn["files"].append(path)
    return []


def _close(
    known: dict[str, Any], line: dict[str, Any], only: str | None = None
) -> list[dict[str, Any]]:
    """Return what was done in the turns that a line is the end of: of one subagent, or of all.

    A subagent in the background works on when the turn ends: its own end closes its turn.
    """
    due = []
    for who in list(known["turns"]) if only is None else (only,):
        turn = known["turns"].pop(who, None)
        if turn is None or not (turn["tools"] or turn["files"]):
            continue
        took = max(0, line["at"] - turn["at"])
        begun = {**line, "at": turn["at"], "subagent": who or None}
        due.append(
            _event(
                "ToolsUsed", turn["offset"], begun, tools=turn["tools"],
                failed=turn["failed"] or None, files=turn["files"] or None,
                duration={"secs": took // clock.SECOND, "nanos": took % clock.SECOND * 1000},
            )
        )  # fmt: skip
    return due


def _subagent(kind: str, offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    if line.get("subagent") is None:
        return []
    return [
        _event(
            kind, offset, line, subagent_id=line["subagent"], parent=True,
            subagent_type=line.get("subagent_type"),
            json_log_location=line.get("subagent_transcript"),
        )
    ]  # fmt: skip


def _subagent_start(
    known: dict[str, Any], offset: int, line: dict[str, Any]
) -> list[dict[str, Any]]:
    del known
    return _subagent("SubagentStarted", offset, line)


def _subagent_end(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    who = line.get("subagent")
    if who is None:
        return []
    due = _close(known, line, who) + _said(offset, line, "assistant")
    return due + _subagent("SubagentEnded", offset, line)


def _end(known: dict[str, Any], offset: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    due = _close(known, line)
    known.update(waiting=None, ended=line["at"])
    ended = _event(
        "AgentProgramEnded", offset, {**line, "subagent": None}, reason=line.get("reason"),
        json_log_location=line.get("transcript"),
    )  # fmt: skip
    return [*due, ended]


_OF_KIND = {
    "prompt": _prompt,
    "idle": _idle,
    "working": _spoke,
    "waiting": _waiting,
    "tool": _tool,
    "subagent_start": _subagent_start,
    "subagent_end": _subagent_end,
    "end": _end,
}
