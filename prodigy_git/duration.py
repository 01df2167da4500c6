"""Lengths of time as people write them, on the command line and in git's configuration."""

from prodigy_git.record import clock

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse(text: str) -> int | None:
    """Return ``text`` (a number and s, m, h, d or w) in microseconds; None where it is none."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    return int(number) * _UNITS[unit] * clock.SECOND
