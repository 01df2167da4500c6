"""Times as integers: microseconds since 1970, UTC; and their form in events and file names."""

from __future__ import annotations

import time

SECOND = 1_000_000
"""One second in microseconds."""


def now() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def stamp(moment: int) -> str:
    """Return ``moment`` as an event's timestamp, ``2025-01-11T12:00:00.123456Z``."""
    seconds, micros = divmod(moment, SECOND)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"


def parse(text: str) -> int | None:
    """Return the moment an RFC 3339 timestamp names, or None where it is not one.

    Takes any number of decimals (Prodigy writes nine) and any offset.
    """
    # Written out: importing datetime or calendar costs a hook more than this costs to read.
    try:
        if text[4] != "-" or text[7] != "-" or text[10] not in "Tt " or text[13] != ":":
            return None
        year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
        seconds = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        rest = text[19:]
        micros = 0
        if rest.startswith("."):
            digits = len(rest) - len(rest[1:].lstrip("0123456789")) - 1
            micros = int(rest[1 : 1 + digits][:6].ljust(6, "0"))
            rest = rest[1 + digits :]
        if rest not in ("Z", "z", ""):
            sign = {"+": -1, "-": 1}[rest[0]]
            seconds += sign * (int(rest[1:3]) * 3600 + int(rest[-2:]) * 60)
    except (ValueError, IndexError, KeyError):
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return (_days(year, month, day) * 86400 + seconds) * SECOND + micros


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar."""
    # Counting years from March puts the leap day last, so that months have a closed form.
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
