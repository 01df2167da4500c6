"""Gemini CLI's transcripts: ``~/.gemini/tmp/{project}/chats/session-{time}-{id}.jsonl``, or ``.json``.

The older ones are one object with ``messages``, written anew after each step. The newer ones have in
their first line what the session is, then a message a line; one that has become more (its tools have
ended, its tokens are known) is written again under its id. ``{"$set": …}`` changes what the session is,
also all messages at once; ``{"$rewindTo": id}`` takes back the messages from there on, the tokens of
which were spent. Read from google-gemini/gemini-cli, packages/core/src/services/chatRecordingService.ts
and chatRecordingTypes.ts, August 2026.
"""

from collections.abc import Iterator
from typing import Any

from prodigy_git.transcripts import plain
from prodigy_git.transcripts.plain import Entry, Record, Use

_ANSWERED = ("success", "error", "cancelled")


def messages(record: Record) -> Iterator[Record]:
    """Yield the messages in a line, or in a whole file of the older form."""
    if isinstance(record.get("$set"), dict):
        record = record["$set"]
    elif isinstance(record.get("id"), str):
        yield record
        return
    yield from (one for one in plain.some(record, "messages") if isinstance(one, dict))


def tells(line: bytes) -> bool:
    """Whether a line may be one of those that `uses` looks at."""
    return b'"tokens"' in line or b'"sessionId"' in line


def uses(record: Record, state: dict[str, Any], _line: bytes) -> list[Use]:
    """Return the tokens of the answers in a line."""
    if "session" not in state and (own := plain.name(record.get("sessionId"))) is not None:
        state["session"] = own
    found = []
    for message in messages(record):
        tokens, own = plain.fields(message, "tokens"), plain.name(message.get("id"))
        if message.get("type") != "gemini" or not tokens or own is None:
            continue
        # As usageMetadata of the API has it: what was cached is in the input, what was thought is not
        # in the output, what tools put in is in neither.
        cached = plain.count(tokens.get("cached"))
        taken = plain.count(tokens.get("input"))
        use = Use(
            f"gemini:{state.get('session', '')}:{own}", "",
            plain.name(message.get("model")) or plain.NO_MODEL,
            max(0, taken - cached) + plain.count(tokens.get("tool")),
            plain.count(tokens.get("output")) + plain.count(tokens.get("thoughts")),
            min(cached, taken) if taken else cached,
        )  # fmt: skip
        if use.tokens:
            found.append(use)
    return found


def entries(record: Record, seen: dict[str, Any]) -> list[Entry]:
    """Return what a line tells that ``seen`` does not have: messages are written again."""
    if (back := plain.name(record.get("$rewindTo"))) is not None:
        return [Entry("system", f"rewound: message {back} and what followed it was taken back")]
    found: list[Entry] = []
    for message in messages(record):
        found += _message(message, seen)
    return found


def _message(message: Record, seen: dict[str, Any]) -> Iterator[Entry]:
    own, at = plain.name(message.get("id")) or "", plain.text(message.get("timestamp"))
    what = message.get("type")
    for thought in plain.some(message, "thoughts"):
        if isinstance(thought, dict):
            parts = (plain.text(thought.get(one)) for one in ("subject", "description"))
            yield from _new(seen, own, Entry("thinking", ": ".join(filter(None, parts)), at))
    content = message.get("content")
    shown = plain.said(message.get("displayContent")) or plain.said(content)
    if shown and not (what == "user" and _is_of_tools(content)):
        kind: Any = {"user": "user", "gemini": "assistant"}.get(str(what), "system")
        if kind == "user" and shown.startswith("<session_context>"):
            kind = "system"
        model = plain.name(message.get("model")) if kind == "assistant" else None
        failed = True if what == "error" else None
        yield from _new(seen, own, Entry(kind, shown, at, model=model, failed=failed))
    for call in plain.some(message, "toolCalls"):
        if not isinstance(call, dict):
            continue
        tool, called = plain.name(call.get("name")) or "?", plain.name(call.get("id"))
        then = plain.text(call.get("timestamp")) or at
        yield from _new(seen, own, Entry("tool", plain.given(call.get("args")), then, tool, called))
        if call.get("status") in _ANSWERED:
            result = plain.said(call.get("result")) or plain.said(call.get("resultDisplay"))
            failed = call["status"] != "success"
            yield from _new(seen, own, Entry("result", result, then, tool_id=called, failed=failed))


def _is_of_tools(content: Any) -> bool:
    """Whether a message gives the model what its tools have said, which stands with the calls."""
    parts = content if isinstance(content, list) else []
    return bool(parts) and all(isinstance(one, dict) and "functionResponse" in one for one in parts)


def _new(seen: dict[str, Any], own: str, entry: Entry) -> Iterator[Entry]:
    parts = (own, entry.kind, entry.tool_id or entry.text)
    key = plain.digest("\0".join(parts).encode("utf-8", "surrogatepass"))
    if key not in seen:
        seen[key] = True
        yield entry
