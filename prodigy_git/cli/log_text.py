"""How `logs` shows what was said: an entry in some lines for people, or as JSON."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from prodigy_git.cli import output
from prodigy_git.record import clock
from prodigy_git.transcripts import in_words
from prodigy_git.transcripts.plain import Entry

_COLOURS = {
    "user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta",
}  # fmt: skip
_COLOUR_CODES = re.compile(r"\x1b\[[0-9;:]*m")
"""SGR, as ECMA-48 has it: what commands colour their output with."""
Safe = Callable[[str], str]
"""Returns a text without what looks like a secret."""


def shown(line: str) -> str:
    """Return a line of a command's output as a terminal may have it, without colours.

    Of what was written over itself (a bar that grows) the last is left.
    """
    plain = _COLOUR_CODES.sub("", line).rstrip("\r")
    return output.clean(plain.rpartition("\r")[2].replace("\t", "    "))


def for_people(entry: Entry, safe: Safe, *, full: bool) -> Iterator[str]:
    """Yield the lines that tell people of an entry: time, who, what."""
    colour = "red" if entry.failed else _COLOURS.get(entry.kind)
    style: dict[str, Any] = {"fg": colour} if colour else {"dim": True}
    for at, who, text in in_words.lines(entry, safe, full=full):
        head = output.styled(f"{who:<9}", **style) if who else " " * 9
        yield f"{at:<8}  {head} {shown(text)}".rstrip()


class Days:
    """Says when another day begins, of what has times only."""

    def __init__(self) -> None:
        """Begin with no day."""
        self._day = ""

    def line(self, entry: Entry) -> str | None:
        """Return a line for the day of an entry, where it is another than the one before."""
        day = in_words.day(entry)
        if day in (None, self._day):
            return None
        self._day = str(day)
        return output.styled(f"{day} (UTC)", dim=True)


def as_json(entry: Entry, safe: Safe) -> dict[str, Any]:
    """Return an entry as ``logs --json`` has it, without what looks like a secret."""
    moment = clock.parse(entry.at or "")
    return {
        "kind": entry.kind, "at": None if moment is None else clock.stamp(moment),
        "text": safe(entry.text), "tool": entry.tool,
        "tool_id": entry.tool_id, "failed": entry.failed, "model": entry.model,
        "subagent_id": entry.subagent,
    }  # fmt: skip


def output_as_json(line: str, safe: Safe) -> dict[str, Any]:
    """Return a line of a command's output in the same form."""
    nothing = ("at", "tool", "tool_id", "failed", "model", "subagent_id")
    return {"kind": "output", "text": safe(line), **dict.fromkeys(nothing)}


def raw(data: bytes, safe: Safe) -> str:
    """Return a line of a transcript as its file has it, but for secrets and control characters."""
    from prodigy_git.record import redacting
    from prodigy_git.transcripts import plain

    record = plain.decoded(data)
    text = data.decode("utf-8", "backslashreplace")
    if record is not None:
        try:
            # Within the texts: an escape may hide what a rule looks for.
            mended = redacting.each_text(record, lambda said, name: _in_field(said, name, safe))
            if mended != record:
                text = output.json_text(mended)
        except RecursionError:
            text = '{"redacted":"nested too deeply to be looked through"}'
    return safe("".join(one if one.isprintable() or one == "\t" else _escaped(one) for one in text))


def _in_field(text: str, name: str, safe: Safe) -> str:
    """Return a text of a field without its secrets: a password is known by the field's name."""
    mended = safe(text)
    asked = f"{name}: {text}" if name else text
    return mended if mended != text or safe(asked) == asked else "[redacted]"


def _escaped(one: str) -> str:
    """Return a control character as JSON has it."""
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one.encode("unicode_escape").decode()
