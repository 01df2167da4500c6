"""Spans and metrics as plain data, in the form and within the bounds that OTLP's receivers take."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from prodigy_git.record import redacting

Signal = Literal["traces", "metrics"]
Attributes = dict[str, str | int | bool]

TEXT_LIMIT = 1024
"""Characters of an attribute's value; many stores refuse or drop what is much longer."""
EVENT_LIMIT = 1000
"""Events of one span; the oldest go first. Whole requests stay below gRPC's limit of 4 MiB."""
SERIES_LIMIT = 100
"""Values of one attribute of one job's metric; the rest are counted together, as the SDKs do it."""
BOUNDS = (1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Upper bounds of the durations' buckets, in seconds."""

_WEIGHT_LIMIT = 500_000
_LATEST = (1 << 63) - 1  # nanoseconds since 1970; what stores hold as a signed number


@dataclass(frozen=True)
class SpanEvent:
    """Something that happened during a span, at nanoseconds since 1970."""

    name: str
    at: int
    attributes: Attributes


@dataclass(frozen=True)
class Span:
    """A span that has ended; times in nanoseconds since 1970, ids as OTLP has them, as numbers."""

    repo: str
    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start: int
    end: int
    attributes: Attributes
    events: list[SpanEvent] = field(default_factory=list)
    dropped_events: int = 0
    linked: int | None = None
    """The span of the attempt before this one, in the same trace."""
    error: str | None = None
    """What went wrong; None where nothing did."""


@dataclass
class Spread:
    """Durations in seconds, counted in the buckets that `BOUNDS` sets."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count one more duration."""
        self.least = min(self.least, seconds) if self.count else seconds
        self.most = max(self.most, seconds)
        self.count += 1
        self.total += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


@dataclass(frozen=True)
class Point:
    """A metric's value for one set of attributes, counted since ``start`` (nanoseconds since 1970)."""

    attributes: Attributes
    start: int
    value: int | Spread


@dataclass(frozen=True)
class Metric:
    """A metric: a cumulative ``sum`` or ``histogram``, or a ``gauge``."""

    name: str
    kind: Literal["sum", "gauge", "histogram"]
    unit: str
    description: str
    points: list[Point]


def merged(metrics: Iterable[Metric]) -> list[Metric]:
    """Return one metric of each name, with the points of all that have the name."""
    found: dict[str, Metric] = {}
    for one in metrics:
        if one.name in found:
            found[one.name].points.extend(one.points)
        elif one.points:
            found[one.name] = one
    return list(found.values())


def batches(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Yield spans in lists that are short enough for one request each."""
    batch: list[Span] = []
    weight = 0
    for span in spans:
        batch.append(span)
        texts = [one for one in span.attributes.values() if isinstance(one, str)]
        # In bytes, roughly: of these a single span with many commits has up to a megabyte.
        weight += (
            1000 + 500 * len(span.events) + 3 * len("".join(texts)) + 3 * len(span.error or "")
        )
        if weight > _WEIGHT_LIMIT:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def nanos(moment: int) -> int:
    """Return microseconds since 1970 in nanoseconds, within what stores hold."""
    return min(max(moment * 1000, 0), _LATEST)


_HALVES = re.compile("[\ud800-\udfff]")


def text_of(value: Any) -> str | None:
    """Return a text as protobuf takes it, cut to `TEXT_LIMIT`; None for what is no text, or empty.

    What looks like a secret is taken out: a log may be older than the gate, and this goes away.
    """
    if not isinstance(value, str) or not value:
        return None
    value = redacting.line(value)
    if len(value) > TEXT_LIMIT:
        value = value[: TEXT_LIMIT - 1] + "…"
    return value if value.isascii() else _HALVES.sub("\ufffd", value)


def attributes_of(named: dict[str, Any]) -> Attributes:
    """Return what is known, as texts and numbers that OTLP has a form for."""
    found: Attributes = {}
    for name, value in named.items():
        if isinstance(value, int):
            if -1 << 63 <= value < 1 << 63:
                found[name] = value
        elif (text := text_of(value)) is not None:
            found[name] = text
    return found
