"""What agent programs did between the other events of a session, in short: they tell thousands."""

from collections.abc import Iterable
from typing import Any

from prodigy_git.model.event import Event
from prodigy_git.views import tools_used
from prodigy_git.views.overview.words import FOR

TYPE = "AgentProgram"
"""What stands in a stretch where an event has its type."""
_THEIRS = frozenset((
    "AgentProgramStarted", "AgentProgramEnded", "ClaudeMessage", "ToolsUsed", "AgentWaiting",
    "SubagentStarted", "SubagentEnded",
))  # fmt: skip


def life(told: Iterable[Event], of_note: frozenset[str]) -> list[dict[str, Any]]:
    """Return the events ``of_note`` and, for each row of a program's between them, a stretch.

    That has ``type`` (`TYPE`), ``timestamp`` and ``last_event_at``, ``agent_program``, ``source`` and
    ``model`` as the program began (null: it had begun before), ``reason`` (why it ended; null: it has
    not, or gave none), ``ended``, ``messages`` (how many), ``tools`` (how often it used which),
    ``failed``, ``files`` (that it edited), ``waited`` (how often for what) and ``subagents``.
    """
    found: list[dict[str, Any]] = []
    stretch: dict[str, Any] | None = None
    for event in told:
        own = event.own()
        program = own.get("agent_program")
        if event.type in _THEIRS and isinstance(program, str):
            begins = stretch is None or stretch["agent_program"] != program
            if begins or event.type == "AgentProgramStarted":
                stretch = _begun(event, program)
                found.append(stretch)
            assert stretch is not None
            _take(stretch, event, own)
        elif event.type in of_note:
            stretch = None
            found.append(event.fields())
    return found


def _begun(event: Event, program: str) -> dict[str, Any]:
    return {
        "type": TYPE, "timestamp": event.timestamp, "last_event_at": event.timestamp,
        "agent_program": program, "source": None, "model": None, "reason": None, "ended": False,
        "messages": 0, "tools": {}, "failed": 0, "files": [], "waited": {}, "subagents": 0,
    }  # fmt: skip


def _take(stretch: dict[str, Any], event: Event, own: dict[str, Any]) -> None:
    stretch["last_event_at"] = event.timestamp
    if event.type == "AgentProgramStarted":
        # It begins a stretch, so that each has one at most.
        stretch["source"] = _text(own.get("source")) or "started"
        stretch["model"] = _text(own.get("model"))
    elif event.type == "AgentProgramEnded":
        stretch["ended"], stretch["reason"] = True, _text(own.get("reason"))
    elif event.type == "ClaudeMessage":
        stretch["messages"] += 1
    elif event.type == "SubagentStarted":
        stretch["subagents"] += 1
    elif event.type == "AgentWaiting":
        _count(stretch["waited"], _text(own.get("reason")) or "somebody", 1)
    elif event.type == "ToolsUsed":
        tools, files = own.get("tools"), own.get("files")
        for name, count in tools.items() if isinstance(tools, dict) else ():
            _count(stretch["tools"], name, _number(count))
        stretch["failed"] += _number(own.get("failed"))
        known = dict.fromkeys(stretch["files"])
        known |= dict.fromkeys(map(str, files if isinstance(files, list) else ()))
        stretch["files"] = list(known)


def _count(into: dict[str, int], name: str, count: int) -> None:
    into[name] = into.get(name, 0) + count


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def in_words(stretch: dict[str, Any]) -> str:
    """Return what a stretch says, not made harmless; ``claude, startup: 2 messages, 3 Edit``."""
    began = [stretch[name] for name in ("agent_program", "source", "model") if stretch[name]]
    did = []
    for count, what in ((stretch["messages"], "message"), (stretch["subagents"], "subagent")):
        if count:
            did.append(f"{count} {what}{'' if count == 1 else 's'}")
    did += filter(None, (tools_used.tools(stretch),))
    for reason, count in stretch["waited"].items():
        times = "" if count == 1 else f" {count} times"
        did.append(f"waited{times} for {FOR.get(reason, 'somebody')}")
    if stretch["ended"]:
        why = f" ({stretch['reason']})" if stretch["reason"] else ""
        did.append(f"ended{why}")
    return f"{', '.join(began)}{': ' if did else ''}{', '.join(did)}"
