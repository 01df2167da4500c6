"""Lengths of time as people write them (command line, git's configuration) and read them; moments."""

from prodigy_git.record import clock

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SHOWN = (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


def parse(text: str) -> int | None:
    """Return ``text`` (a number and s, m, h, d or w) in microseconds; None where it is none."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or len(number) > 9:
        return None
    return int(number) * _UNITS[unit] * clock.SECOND


def text(micros: int) -> str:
    """Return a length of time as every text for people has it: ``3d 04h``, ``1h 05m``, ``9s``.

    Its two largest units, the second one cut off, not rounded: what is not over is not said to be.
    """
    whole = max(0, micros // clock.SECOND)
    for large, size, small, part in _SHOWN:
        if whole >= size:
            return f"{whole // size}{large} {whole % size // part:02}{small}"
    return f"{whole}s"


def seconds(count: float) -> str:
    """Return so many seconds as `text` does."""
    return text(round(count * clock.SECOND))


def moment(stamp: str | None) -> str:
    """Return an RFC 3339 time as texts for people have it: to the second, in UTC; ``-`` for none."""
    if not stamp:
        return "-"
    if not stamp.endswith(("Z", "z")) and (found := clock.parse(stamp)) is not None:
        stamp = clock.stamp(found)
    return f"{stamp[:19]}Z"
