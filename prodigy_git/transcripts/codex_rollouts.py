"""Codex's transcripts: ``~/.codex/sessions/{year}/{month}/{day}/rollout-{time}-{id}.jsonl``.

Since September 2025 a line is ``{timestamp, type, payload}``, before it was the payload alone, with no
tokens. ``event_msg`` of type ``token_count`` has ``info.last_token_usage`` of an answer, and
``info.total_token_usage`` up to there; the same one is written again when only a limit has changed. The
model is in the ``turn_context`` before. A fork, and a subagent that knows what its parent did, begin
with a copy of the other's lines, written in the moment that they began. Read from openai/codex
(codex-rs/protocol/src/protocol.rs) and ccusage (adapter/codex), June 2026.
"""

import re
from typing import Any

from prodigy_git.record import clock
from prodigy_git.transcripts import plain
from prodigy_git.transcripts.plain import Entry, Record, Use

_COPIED = clock.SECOND
"""For how long after its beginning a fork's lines are the other's: a model takes longer to answer."""


def tells(line: bytes) -> bool:
    """Whether a line may be one of those that `uses` looks at."""
    return b"token_count" in line or b"turn_context" in line or b"session_meta" in line


def uses(record: Record, state: dict[str, Any], _line: bytes) -> list[Use]:
    """Return the tokens of an answer; ``state`` is what the lines before have told."""
    what, payload = record.get("type"), plain.fields(record, "payload")
    if what == "session_meta":
        _began(record, payload, state)
    elif what == "turn_context":
        state["model"] = plain.name(payload.get("model")) or state.get("model")
    elif what == "event_msg" and payload.get("type") == "token_count":
        return _counted(record, payload, state)
    return []


def _began(record: Record, payload: Record, state: dict[str, Any]) -> None:
    own = plain.name(payload.get("id")) or plain.name(payload.get("session_id"))
    if "session" not in state:
        state["session"] = own or plain.digest(str(payload).encode("utf-8", "surrogatepass"))
        state["began"] = clock.parse(plain.text(record.get("timestamp")) or "") or 0
        state["copies"] = bool(payload.get("forked_from_id"))
    elif own not in (None, state["session"]):
        state["copies"] = True  # the other's first line


def _counted(record: Record, payload: Record, state: dict[str, Any]) -> list[Use]:
    info = plain.fields(payload, "info")
    before, total = state.get("total"), _figures(plain.fields(info, "total_token_usage"))
    last = _figures(plain.fields(info, "last_token_usage"))
    if any(total):
        if total == before:
            return []
        state["total"] = total
    if not any(last):
        grown = [now - then for now, then in zip(total, before or (0,) * len(total), strict=True)]
        last = total if any(one < 0 for one in grown) else grown
    moment = clock.parse(plain.text(record.get("timestamp")) or "")
    if state.get("copies") and moment is not None and moment <= state.get("began", 0) + _COPIED:
        return []
    if not any(last):
        return []
    state["count"] = number = state.get("count", 0) + 1
    model = plain.name(info.get("model")) or plain.name(payload.get("model")) or state.get("model")
    taken, cached, output = last
    cached = min(cached, taken)
    key = f"codex:{state.get('session', '')}:{number}"
    return [Use(key, "", model or plain.NO_MODEL, taken - cached, output, cached)]


def _figures(usage: Record) -> list[int]:
    """Return input, what of it was cached, output; the tokens of reasoning are in the output."""
    cached = usage.get("cached_input_tokens", usage.get("cache_read_input_tokens"))
    return [
        plain.count(one) for one in (usage.get("input_tokens"), cached, usage.get("output_tokens"))
    ]


_INJECTED = (
    "<environment_context>", "<user_instructions>", "# AGENTS.md instructions", "<permissions",
    "<skills", "<INSTRUCTIONS>", "<turn_aborted>", "<subagent_notification>",
)  # fmt: skip
_EXIT = re.compile(r"^(?:Process exited with code|Exit code:) (-?[0-9]{1,9})$", re.MULTILINE)
_HEAD = 500
"""Characters of a tool's output before what it has put out itself."""
_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "web_search_call")
_RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


def entries(record: Record, seen: dict[str, Any]) -> list[Entry]:
    """Return what a line tells; ``seen`` is what was told before."""
    at = plain.text(record.get("timestamp"))
    what = record.get("type")
    if what == "event_msg":
        return _event(plain.fields(record, "payload"), at, seen)
    item = plain.fields(record, "payload") if what == "response_item" else record
    kind = item.get("type")
    if kind == "message":
        return _message(item, at, seen)
    call = plain.name(item.get("call_id")) or plain.name(item.get("id"))
    if kind in _CALLS:
        arguments = next(
            (item[one] for one in ("arguments", "input", "action") if one in item), None
        )
        tool = plain.name(item.get("name")) or str(kind).removesuffix("_call")
        return [Entry("tool", plain.given(arguments), at, tool, call)]
    if kind in _RESULTS:
        shown, failed = _result(item.get("output"))
        return [Entry("result", shown, at, tool_id=call, failed=failed)]
    if kind == "reasoning":
        shown = plain.said(item.get("summary")) or plain.said(item.get("content"))
        return [Entry("thinking", shown, at)] if shown else []
    if what == "compacted":
        return [Entry("system", "the conversation was compacted", at)]
    return []


def _message(item: Record, at: str | None, seen: dict[str, Any]) -> list[Entry]:
    shown, role = plain.said(item.get("content")), item.get("role")
    if not shown:
        return []
    if role == "assistant":
        return _once("assistant", shown, at, "item", seen)
    if role == "user" and not shown.lstrip().startswith(_INJECTED):
        return _once("user", shown, at, "item", seen)
    return [Entry("system", shown, at)]


def _event(payload: Record, at: str | None, seen: dict[str, Any]) -> list[Entry]:
    what = payload.get("type")
    shown = plain.text(payload.get("message"))
    if shown and what == "user_message":
        return _once("user", shown, at, "event", seen)
    if shown and what == "agent_message":
        return _once("assistant", shown, at, "event", seen)
    if what in ("error", "stream_error", "warning") and shown:
        return [Entry("system", shown, at, failed=what != "warning")]
    if what == "turn_aborted":
        return [Entry("system", f"turn aborted: {plain.text(payload.get('reason')) or '?'}", at)]
    return []


def _once(kind: Any, shown: str, at: str | None, by: str, seen: dict[str, Any]) -> list[Entry]:
    """Return a message, unless the other kind of line has had it: most are written as both."""
    key = f"{kind}:{plain.digest(shown.strip().encode('utf-8', 'surrogatepass'))}"
    before = seen.get(key)
    if before is not None and before != by:
        del seen[key]  # told twice now; said again later it is another
        return []
    seen[key] = by
    return [Entry(kind, shown, at)]


def _result(output: Any) -> tuple[str, bool | None]:
    """Return what a tool has put out, and whether it failed, which older versions wrote as JSON."""
    inner = plain.decoded(output.encode("utf-8", "surrogatepass")) if _is_json(output) else None
    if inner is None and isinstance(output, dict):
        inner = output
    if inner is None:
        shown = plain.said(output)
        code: Any = _EXIT.search(shown[:_HEAD])
        return shown, None if code is None else int(code[1]) != 0
    code = plain.fields(inner, "metadata").get("exit_code")
    failed = code != 0 if isinstance(code, int) else None
    if inner.get("success") is False:
        failed = True
    return plain.said(inner) or plain.said(output), failed


def _is_json(output: Any) -> bool:
    return isinstance(output, str) and output.startswith("{")
