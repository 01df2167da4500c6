"""How `logs` shows what was said: an entry in some lines for people, or as JSON."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from prodigy_git.cli import output
from prodigy_git.record import clock
from prodigy_git.record.suspicion import suspicious
from prodigy_git.transcripts.plain import Entry

RESULT_LINES = 8
"""Of a tool's result, and of what a tool was given, where not all is asked for."""
_LONGEST = 2000
"""Characters of a line, where not all is asked for."""
_INDENT = 20
_COLOURS = {
    "user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta",
}  # fmt: skip
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;:]*m")
"""SGR, as ECMA-48 has it: what commands colour their output with."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def safe(text: str) -> str:
    """Return a text without what looks like a secret."""
    if not suspicious(text):
        return text
    from prodigy_git.redaction import gate

    return gate.redact(text)


def shown(line: str) -> str:
    """Return a line of a command's output as a terminal may have it, without colours.

    Of what was written over itself (a bar that grows) the last is left.
    """
    plain = _COLOUR_CODES.sub("", line).rstrip("\r")
    return output.clean(plain.rpartition("\r")[2].replace("\t", "    "))


def in_words(entry: Entry, *, full: bool) -> Iterator[str]:
    """Yield the lines that tell people of an entry: time, who, what."""
    if entry.kind == "thinking" and not full:
        return
    at = entry.at[11:19] if entry.at and _TIME.match(entry.at) else " " * 8
    text = safe(entry.text)
    if entry.kind == "tool":
        text = f"{entry.tool}: {text}" if text.strip() else str(entry.tool)
    lines = text.strip("\n").splitlines() or [""]
    if entry.kind in ("tool", "result") and not full and len(lines) > RESULT_LINES:
        more = len(lines) - RESULT_LINES
        lines = [*lines[:RESULT_LINES], f"… {more} more line{'' if more == 1 else 's'}: --full"]
    label = "failed" if entry.failed and entry.kind == "result" else entry.kind
    if entry.subagent:
        lines[0] = f"[{entry.subagent}] {lines[0]}"
    colour = "red" if entry.failed else _COLOURS.get(entry.kind)
    style: dict[str, Any] = {"fg": colour} if colour else {"dim": True}
    for number, line in enumerate(lines):
        if not full and len(line) > _LONGEST:
            line = f"{line[:_LONGEST]}…"
        head = output.styled(f"{label:<9}", **style) if number == 0 else " " * 9
        first = at if number == 0 else " " * 8
        yield f"{first}  {head} {shown(line)}".rstrip()


class Days:
    """Says when another day begins, of what has times only."""

    def __init__(self) -> None:
        """Begin with no day."""
        self._day = ""

    def line(self, entry: Entry) -> str | None:
        """Return a line for the day of an entry, where it is another than the one before."""
        day = entry.at[:10] if entry.at and _TIME.match(entry.at) else self._day
        if day == self._day:
            return None
        self._day = day
        return output.styled(f"{day} (UTC)", dim=True)


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as ``logs --json`` has it, without what looks like a secret."""
    moment = clock.parse(entry.at or "")
    return {
        "kind": entry.kind, "at": None if moment is None else clock.stamp(moment),
        "text": safe(entry.text), "tool": entry.tool,
        "tool_id": entry.tool_id, "failed": entry.failed, "model": entry.model,
        "subagent_id": entry.subagent,
    }  # fmt: skip


def output_as_json(line: str) -> dict[str, Any]:
    """Return a line of a command's output in the same form."""
    nothing = ("at", "tool", "tool_id", "failed", "model", "subagent_id")
    return {"kind": "output", "text": safe(line), **dict.fromkeys(nothing)}


def raw(data: bytes) -> str:
    """Return a line of a transcript as its file has it, but for secrets and control characters."""
    from prodigy_git.transcripts import plain

    record = plain.decoded(data)
    text = data.decode("utf-8", "backslashreplace")
    if record is not None and suspicious(text):
        mended = _each(record, safe)  # within the texts: an escape may hide what a rule looks for
        if mended != record:
            text = output.json_text(mended)
    return safe("".join(one if one.isprintable() or one == "\t" else _escaped(one) for one in text))


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    if isinstance(value, dict):
        # With its name: a password is known by it.
        return {name: _named(name, one, change) for name, one in value.items()}
    return value


def _named(name: str, value: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(value, str):
        return _each(value, change)
    mended = change(value)
    asked = f"{name}: {value}"
    return mended if mended != value or change(asked) == asked else "[redacted]"


def _escaped(one: str) -> str:
    """Return a control character as JSON has it."""
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one.encode("unicode_escape").decode()
