"""Our spans and metrics in the shapes that the SDK's exporters take; needs the extra ``otel``."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import export as points
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from prodigy_git import __version__
from prodigy_git.views.telemetry.signals import BOUNDS, Metric, Point, Span, SpanEvent, Spread

SCOPE = InstrumentationScope("prodigy-git", __version__)


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Return a span as exporters take it.

    Made by hand, not by a tracer: the ids have to be ours, and begin and end are long past.
    """
    parent = span.parent_id
    events: Any = [_event(one) for one in span.events]
    if span.dropped_events:
        events = BoundedList.from_seq(len(events), events)
        events.dropped = span.dropped_events
    return ReadableSpan(
        span.name,
        context=_context(span.trace_id, span.span_id),
        parent=None if parent is None else _context(span.trace_id, parent),
        resource=resource,
        attributes=span.attributes,
        events=events,
        links=() if span.linked is None else (Link(_context(span.trace_id, span.linked)),),
        status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=SCOPE,
    )


def _event(event: SpanEvent) -> Event:
    return Event(event.name, event.attributes, event.at)


def metric_of(metric: Metric, found: Sequence[Point], now: int) -> points.Metric:
    """Return a metric as exporters take it.

    Made by hand, not by instruments: those count what this very process adds, from its own start on.
    A log's counts began with the job and are the same for whoever reads it, so that a second push says
    the same again instead of as much once more.
    """
    made: list[Any] = []
    for one in found:
        begun, value = min(one.start, now), one.value
        if isinstance(value, Spread):
            made.append(
                points.HistogramDataPoint(
                    one.attributes, begun, now, value.count, value.total, value.buckets, BOUNDS,
                    value.least, value.most,
                )
            )  # fmt: skip
        else:
            made.append(points.NumberDataPoint(one.attributes, begun, now, value))
    cumulative = points.AggregationTemporality.CUMULATIVE
    data: Any
    if metric.kind == "histogram":
        data = points.Histogram(made, cumulative)
    elif metric.kind == "sum":
        data = points.Sum(made, cumulative, is_monotonic=True)
    else:
        data = points.Gauge(made)
    return points.Metric(metric.name, metric.description, metric.unit, data)
