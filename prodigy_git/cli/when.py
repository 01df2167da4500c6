"""Durations and times on the command line: ``7d``, ``24h``, or an ISO date."""

from typing import Any

import click

from prodigy_git import duration
from prodigy_git.record import clock


class Duration(click.ParamType[int]):
    """A length of time; the value is in microseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return microseconds."""
        found = value if isinstance(value, int) else duration.parse(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration: write 90s, 30m, 24h, 7d or 2w", param, ctx)
        return found


class Moment(click.ParamType[int]):
    """A time, absolute or so long ago; the value is in microseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return microseconds since 1970."""
        if isinstance(value, int):
            return value
        ago = duration.parse(str(value))
        if ago is not None:
            return clock.now() - ago
        text = str(value)
        found = clock.parse(text if len(text) > 10 else f"{text}T00:00:00Z")
        if found is None:
            self.fail(
                f"{value!r} is no time: write 2h, 3d, 2025-01-11 or an RFC 3339 time", param, ctx
            )
        return found
