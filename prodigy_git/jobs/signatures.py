"""What equal failures have in common: an error's line, less what changes from time to time. Pure."""

import re
from functools import cache, lru_cache

_LONGEST = 120
_READ = 1000  # characters of a line
_TRACEBACK = "Traceback (most recent call last):"

_UNITS = r"(?:ns|us|µs|ms|s|m|h|d|[kKMGT]i?B|B)"
_NUMBER = r"\d+(?:[.,_]\d+)*"
_PART = r"[\w.@+~=-]+"
_STATUS = re.compile(
    r"\b(?:exit(?: status| code)?|status(?: code)?|code|signal|errno|http)[ :=]{1,2}\d{1,3}\b"
    r"(?![.,]?\d)",
    re.IGNORECASE,
)
"""Which of a few it is says what has happened: these numbers stay, as other characters meanwhile."""
_HIDDEN = {ord("0") + digit: 0xF000 + digit for digit in range(10)}
_SHOWN = {hidden: digit for digit, hidden in _HIDDEN.items()}
_RULES: tuple[tuple[str, str], ...] = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),  # colours
    (r"\w+://[^\s'\"`<>]+", "#"),
    # A word in quotes names something; a sentence says something. An apostrophe has a letter before it.
    (r"(?<!\w)'[^'\s]+'(?!\w)", "'#'"),
    (r'"[^"\s]+"', '"#"'),
    (r"`[^`'\s]+['`](?!\w)", "`#`"),
    (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?\b", "#"),
    # A path, and the place in it: from the root, from here, of many parts, or with an ending. A word
    # with a stroke, as I/O, is none.
    (rf"(?<![\w/])(?:~|\.{{1,2}})?(?:/{_PART})+/?(?::\d+)*", "#"),
    (rf"(?<![\w/])(?:{_PART}/){{2,}}{_PART}/?(?::\d+)*", "#"),
    (rf"(?<![\w/]){_PART}/{_PART}\.\w+(?::\d+)*", "#"),
    (r"(?<![\w/])[\w-]+(?:\.[\w-]+)*\.[A-Za-z]\w*(?::\d+)+", "#"),  # a file's line, a host's port
    (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "#"),
    (r"\b0x[0-9a-fA-F]+\b", "#"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{7,128}\b", "#"),
    (r"\b(?=[A-F]*\d)[0-9A-F]{7,128}\b", "#"),
    (rf"\b(?:{_NUMBER}{_UNITS})+\b", "#"),
    (r"\b(agent|session|mapreduce)-[b-df-hjkmnp-tv-xz2-9]{8}\b", r"\1-#"),
    # A word that changes between letters and digits again and again was made at random.
    (r"\b(?=[A-Za-z_]*\d+[A-Za-z_]+\d)\w{6,}\b", "#"),
    (r"\d+(?:[.,:_]\d+)*", "#"),
    (r"(?:#[:.,])+#", "#"),
    (r"\s+", " "),
)  # fmt: skip


@cache
def _compiled() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), new) for pattern, new in _RULES]


@lru_cache(4096)
def of(error: str) -> str:
    """Return an error's first line (of a traceback the last), with ``#`` for what varies.

    Where it is longer than 120 characters it is cut, and ends with an ellipsis.

    What varies are numbers with their units, dates, hashes, ids, addresses, paths, and names in
    quotes. An exit status, a signal or a code stays: it tells failures apart.
    """
    lines = [line for line in error.splitlines() if line.strip()]
    if not lines:
        return "unknown"
    text = lines[-1] if lines[0].strip() == _TRACEBACK else lines[0]
    # Whoever wrote it, a very long line is not gone through as a whole.
    text = text.strip()[:_READ]
    text = _STATUS.sub(lambda found: found[0].translate(_HIDDEN), text)
    for pattern, new in _compiled():
        text = pattern.sub(new, text)
    text = text.translate(_SHOWN)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"
