"""Claude Code's transcripts, and those of Cursor, which have messages of the same form.

``~/.claude/projects/{folder}/{session}.jsonl``, and of subagents
``{session}/subagents/agent-{id}.jsonl`` beside it, or in older versions ``agent-{id}.jsonl``. A line
has ``type``, ``message`` as the API has it, ``timestamp``, ``requestId``, ``uuid``, ``isSidechain``.
An answer has as many lines as parts, each with the whole answer's usage; ``cost-state`` has what the
session cost up to there, since 2026. Read from its documentation
and from ccusage (github.com/ryoppippi/ccusage, adapter/claude), June 2026.
"""

from typing import Any

from prodigy_git.transcripts import plain
from prodigy_git.transcripts.plain import Entry, Kind, Record, Use

_FIGURES = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
_MODELS = 50  # that a session has at most


def _costs(record: Record) -> dict[str, list[int]]:
    """Return what the program says of a session: by model its tokens, as `Use` has them, and its cost.

    Its subagents' are among them. Nothing where it does not know a price itself.
    """
    found = {}
    for model, usage in list(plain.fields(record, "modelUsage").items())[:_MODELS]:
        cost = plain.micros(usage.get("costUSD")) if isinstance(usage, dict) else None
        if plain.name(model) is not None and cost is not None:
            found[model] = [*(plain.count(usage.get(one)) for one in _FIGURES), cost]
    return {} if record.get("hasUnknownModelCost") is True else found


_TELLING = (None, "user", "assistant", "message", "system", "summary")
"""The lines that tell; the others are the program's own notes. Cursor's have no type."""


def tells(line: bytes) -> bool:
    """Whether a line may be one of those that `uses` looks at."""
    return b'"usage"' in line or b'"cost-state"' in line


def uses(record: Record, state: dict[str, Any], line: bytes) -> list[Use]:
    """Return the tokens of an answer; ``state`` keeps what all has cost, as the program says."""
    if record.get("type") == "cost-state":
        state["costs"] = _costs(record)
        return []
    message = plain.fields(record, "message")
    usage = plain.fields(message, "usage")
    if not usage or record.get("type") == "progress":
        return []
    model = plain.name(message.get("model")) or plain.NO_MODEL
    if usage.get("speed") == "fast":  # which has a price of its own
        model += "-fast"
    made = plain.fields(usage, "cache_creation")
    hour = plain.count(made.get("ephemeral_1h_input_tokens"))
    minutes = plain.count(made.get("ephemeral_5m_input_tokens"))
    written = max(plain.count(usage.get("cache_creation_input_tokens")), hour + minutes)
    answer = plain.text(message.get("id"))
    key = answer or plain.text(record.get("uuid")) or plain.digest(line)
    # A side question repeats its parent's answers under requests of its own: its copies give way.
    aside = record.get("isSidechain") is True and answer is not None
    found = Use(
        f"claude:{key}", None if aside else plain.text(record.get("requestId")) or "", model,
        plain.count(usage.get("input_tokens")), plain.count(usage.get("output_tokens")),
        plain.count(usage.get("cache_read_input_tokens")), written, hour,
        plain.micros(record.get("costUSD")),
    )  # fmt: skip
    return [found] if found.tokens else []


def entries(record: Record, seen: dict[str, Any]) -> list[Entry]:
    """Return what a line tells; ``seen`` is what was told before, of all files of a session."""
    uuid = plain.text(record.get("uuid"))
    if uuid is not None:  # a session that is resumed or forked may begin with a copy of the other
        if uuid in seen:
            return []
        seen[uuid] = True
    what = plain.text(record.get("type"))
    if what not in _TELLING:
        return []
    at = plain.text(record.get("timestamp"))
    message = plain.fields(record, "message")
    role: Any = plain.text(message.get("role")) or plain.text(record.get("role")) or what
    aside = plain.name(record.get("agentId"))
    if aside is None and record.get("isSidechain") is True:
        aside = "side"
    if (role != "user" and role != "assistant") or not message:
        shown = plain.said(record.get("content")) or plain.text(record.get("summary")) or ""
        return [Entry("system", shown, at, subagent=aside)] if shown else []
    if record.get("isMeta") is True:
        role = "system"
    model = plain.name(message.get("model"))
    content = message.get("content")
    found: list[Entry] = []
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            part = {"type": "text", "text": part}
        kind = part.get("type")
        if kind == "tool_use":
            found.append(
                Entry("tool", plain.given(part.get("input")), at, plain.name(part.get("name")) or "?",
                      plain.name(part.get("id")))
            )  # fmt: skip
        elif kind == "tool_result":
            found.append(
                Entry("result", plain.said(part.get("content")), at,
                      tool_id=plain.name(part.get("tool_use_id")),
                      failed=part.get("is_error") is True)
            )  # fmt: skip
        elif shown := plain.said(part):
            said: Kind = "thinking" if kind == "thinking" else role
            found.append(Entry(said, shown, at, model=model if role == "assistant" else None))
    for one in found:
        one.subagent = aside
    return found
