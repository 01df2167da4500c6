"""An entry in lines for people: when, who, what. Foreign text: who shows it makes it harmless."""

import re
from collections.abc import Callable, Iterator

from prodigy_git.transcripts.plain import Entry

SHOWN = 8
"""Lines of a tool's call and result, and of a program's own words, where not all is wanted."""
_LONGEST = 2000
"""Characters of a line, where not all is wanted."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_CUT = ("tool", "result", "system")


def day(entry: Entry) -> str | None:
    """Return the day of an entry; None where it says none."""
    return entry.at[:10] if entry.at and _TIME.match(entry.at) else None


def lines(
    entry: Entry, safe: Callable[[str], str], *, full: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield (time of day, who, what) for each line; the first two are empty but for the first.

    ``safe`` takes out what looks like a secret, of the whole text: some are on several lines.
    """
    if entry.kind == "thinking" and not full:
        return
    text = safe(entry.text)
    if entry.kind == "tool":
        text = f"{entry.tool}: {text}" if text.strip() else str(entry.tool)
    parts = text.strip("\n").splitlines() or [""]
    if entry.kind in _CUT and not full and len(parts) > SHOWN:
        more = len(parts) - SHOWN
        parts = [*parts[:SHOWN], f"… {more} more line{'' if more == 1 else 's'}: --full"]
    if entry.subagent:
        parts[0] = f"[{entry.subagent}] {parts[0]}"
    at = str(entry.at)[11:19] if day(entry) is not None else ""
    who = "failed" if entry.failed and entry.kind == "result" else entry.kind
    for number, part in enumerate(parts):
        shown = part if full or len(part) <= _LONGEST else f"{part[:_LONGEST]}…"
        yield ("", "", shown) if number else (at, who, shown)
