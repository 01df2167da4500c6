"""The last thing that a command said on standard error: why it failed, most likely."""

import re

KEPT = 8192
"""How many bytes of the end of the output are looked at."""
_LONGEST = 300
# Colours and movements of the cursor; titles, links and what else terminals take until BEL or ST.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]")
_TELLING = re.compile(
    r"error|exception|fatal|panic|fail|abort|denied|refused|cannot|can't|not found|no such|killed",
    re.IGNORECASE,
)
_LOOKED_AT = 30


def last_line(output: bytes, *, mixed: bool) -> str:
    """Return the last line of ``output`` that says anything, fit to be shown; else an empty string.

    ``mixed``: standard output is in it too, whose buffer may have been written after the error. Then
    it is the last of the last lines that sounds like one, if any does.
    """
    text = _ESCAPES.sub("", output[-KEPT:].decode("utf-8", "replace"))
    # A progress bar goes over its line again and again: what one saw last is behind the last return.
    lines = [line for whole in text.split("\n") if (line := _shown(whole))]
    if not lines:
        return ""
    found = lines[-1]
    if mixed:
        telling = [line for line in lines[-_LOOKED_AT:] if _TELLING.search(line)]
        found = telling[-1] if telling else found
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def _shown(line: str) -> str:
    for part in reversed(line.split("\r")):
        # Tabs are spaces; other control characters, and marks that change the direction, are nothing.
        clean = "".join(c for c in part.replace("\t", " ") if c.isprintable()).strip()
        if clean:
            return clean
    return ""
