"""Copilot CLI's transcripts: ``~/.copilot/session-state/{session}/events.jsonl``.

A line is ``{type, data, id, timestamp, parentId, agentId?}``. How many tokens each model took is in
``session.shutdown`` alone, at the end of each run of the program: there are none before. Versions that
keep ``assistant.usage`` tell of each answer. Read from github/copilot-sdk,
nodejs/src/generated/session-events.ts, 2026.
"""

from typing import Any

from prodigy_git.transcripts import plain
from prodigy_git.transcripts.plain import Entry, Record, Use


def tells(line: bytes) -> bool:
    """Whether a line may be one of those that `uses` looks at."""
    return b'"session.st' in line or b'"session.sh' in line or b'"assistant.usage"' in line


def uses(record: Record, state: dict[str, Any], line: bytes) -> list[Use]:
    """Return the tokens of an answer, or those of a run by model."""
    what, data = record.get("type"), plain.fields(record, "data")
    own = plain.name(record.get("id")) or plain.digest(line)
    if what == "session.start":
        state["session"] = plain.name(data.get("sessionId")) or state.get("session")
    elif what == "assistant.usage":
        state["answers"] = True
        return _use(f"copilot:{own}", plain.name(data.get("model")), data)
    elif what == "session.shutdown" and not state.get("answers"):
        # A run that is told of twice has one beginning.
        began = data.get("sessionStartTime")
        run = f"{state.get('session')}:{began}" if isinstance(began, int) and began else own
        found = []
        for model, metric in plain.fields(data, "modelMetrics").items():
            if isinstance(metric, dict):
                usage = plain.fields(metric, "usage")
                found += _use(f"copilot:{run}:{model}", plain.name(model), usage)
        return found
    return []


def _use(key: str, model: str | None, usage: Record) -> list[Use]:
    taken, read, written = (
        plain.count(usage.get(f"{one}Tokens")) for one in ("input", "cacheRead", "cacheWrite")
    )
    # What came from a cache is in the input, as with the APIs that it asks.
    fresh = taken - read - written if taken >= read + written else taken
    output = plain.count(usage.get("outputTokens"))
    found = Use(key, "", model or plain.NO_MODEL, fresh, output, read, written)
    return [found] if found.tokens else []


def entries(record: Record, _seen: dict[str, Any]) -> list[Entry]:
    """Return what a line tells."""
    what, data = record.get("type"), plain.fields(record, "data")
    found = _told(str(what), data)
    for one in found:
        one.at = plain.text(record.get("timestamp"))
        one.subagent = plain.name(record.get("agentId"))
    return found


def _told(what: str, data: Record) -> list[Entry]:
    call = plain.name(data.get("toolCallId"))
    if what == "user.message":
        return _said("user", data.get("content"))
    if what == "assistant.message":
        return _said("assistant", data.get("content"), plain.name(data.get("model")))
    if what == "assistant.reasoning":
        return _said("thinking", data.get("content"))
    if what == "tool.execution_start":
        tool = plain.name(data.get("toolName")) or "?"
        return [Entry("tool", plain.given(data.get("arguments")), tool=tool, tool_id=call)]
    if what == "tool.execution_complete":
        failed: bool | None = data.get("success") is False
        shown = plain.said(data.get("error") if failed else data.get("result"))
        return [Entry("result", shown, tool_id=call, failed=failed)]
    if what in ("session.error", "session.warning", "session.info", "system.notification"):
        shown = plain.text(data.get("message")) or plain.said(data.get("content"))
        failed = True if what == "session.error" else None
        return [Entry("system", shown, failed=failed)] if shown else []
    return []


def _said(kind: Any, content: Any, model: str | None = None) -> list[Entry]:
    shown = plain.said(content)
    return [Entry(kind, shown, model=model)] if shown else []
