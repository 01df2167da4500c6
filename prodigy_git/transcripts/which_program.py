"""Which program a transcript is of: by what is in it, since a path may be anything."""

from collections.abc import Callable
from typing import Any, NamedTuple

from prodigy_git.transcripts import claude_code, codex_rollouts, copilot_events, gemini_chats
from prodigy_git.transcripts.plain import Entry, Record, Use


class Form(NamedTuple):
    """How one program writes: see the modules."""

    program: str
    tells: Callable[[bytes], bool]
    uses: Callable[[Record, dict[str, Any], bytes], list[Use]]
    entries: Callable[[Record, dict[str, Any]], list[Entry]]


_OF_CLAUDE = {"uuid", "sessionId", "leafUuid"}
FORMS = {
    name: Form(name, module.tells, module.uses, module.entries)
    for name, module in (
        ("claude", claude_code), ("codex", codex_rollouts), ("gemini", gemini_chats),
        ("copilot", copilot_events),
    )
}  # fmt: skip


def of_record(record: Record) -> Form | None:
    """Return the form of a line; None where it could be of several, or of none."""
    what = record.get("type")
    if "$set" in record or "$rewindTo" in record or {"sessionId", "projectHash"} <= record.keys():
        return FORMS["gemini"]
    if isinstance(record.get("payload"), dict) or "record_type" in record:
        return FORMS["codex"]
    if isinstance(record.get("data"), dict) and isinstance(what, str) and "." in what:
        return FORMS["copilot"]
    if isinstance(record.get("message"), dict) or _OF_CLAUDE & record.keys():
        return FORMS["claude"]
    if what == "gemini":
        return FORMS["gemini"]
    old = {"id", "timestamp", "instructions"} <= record.keys()
    return FORMS["codex"] if old or what in ("message", "function_call", "reasoning") else None
