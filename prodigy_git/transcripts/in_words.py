"""An entry in lines for people: when, who, what. Foreign text: who shows it makes it harmless."""

import re
from collections.abc import Callable, Iterator

from prodigy_git.transcripts.plain import Entry

SHOWN = 8
"""Lines of a tool's call and result, and of a program's own words, where not all is wanted."""
_LONGEST = 2000
"""Characters of a line, where not all is wanted."""
_BEYOND = 24_000
"""Characters behind what is shown in which a secret may end: the gate looks as far."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_CUT = ("tool", "result", "system")


def day(entry: Entry) -> str | None:
    """Return the day of an entry; None where it says none."""
    return entry.at[:10] if entry.at and _TIME.match(entry.at) else None


def lines(
    entry: Entry, safe: Callable[[str], str], *, full: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield (time of day, who, what) for each line; the first two are empty but for the first.

    ``safe`` takes out what looks like a secret, of a text with many lines: some are on several.
    """
    if entry.kind == "thinking" and not full:
        return
    begin, left = (entry.text, 0) if full else _shown_at_most(entry)
    text = safe(begin)
    if entry.kind == "tool":
        text = f"{entry.tool}: {text}" if text.strip() else str(entry.tool)
    parts = text.strip("\n").splitlines() or [""]
    if entry.kind in _CUT and not full and len(parts) + left > SHOWN:
        more = len(parts) + left - SHOWN
        parts = [*parts[:SHOWN], f"… {more} more line{'' if more == 1 else 's'}: --full"]
    if entry.subagent:
        parts[0] = f"[{entry.subagent}] {parts[0]}"
    at = str(entry.at)[11:19] if day(entry) is not None else ""
    who = "failed" if entry.failed and entry.kind == "result" else entry.kind
    for number, part in enumerate(parts):
        shown = part if full or len(part) <= _LONGEST else f"{part[:_LONGEST]}…"
        yield ("", "", shown) if number else (at, who, shown)


def _shown_at_most(entry: Entry) -> tuple[str, int]:
    """Return the part of a text that may be shown, and how many lines are left out behind it.

    A tool's result may be megabytes, of which eight lines are shown: to look for secrets in all of it
    takes seconds for each.
    """
    lines = entry.text.strip("\n").splitlines()
    most = SHOWN if entry.kind in _CUT else len(lines)
    size = 0
    while most < len(lines) and size < _BEYOND:
        size += len(lines[most]) + 1
        most += 1
    return "\n".join(one[: _LONGEST + _BEYOND] for one in lines[:most]), len(lines) - most
