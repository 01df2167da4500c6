"""otel push: what the agents did, as traces and metrics, to any OTLP endpoint."""

import contextlib
import dataclasses
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from prodigy_git import duration
from prodigy_git.cli import output
from prodigy_git.cli.filters import Wanted, filters
from prodigy_git.cli.when import Duration
from prodigy_git.errors import ProdigyError, extra
from prodigy_git.record import clock

if TYPE_CHECKING:
    from prodigy_git.views.telemetry.otlp import Sender
    from prodigy_git.views.telemetry.stories import Wish
    from prodigy_git.views.telemetry.story import Story

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([\x20-\x7e]*)")


@click.group()
def otel() -> None:
    """Traces and metrics for monitoring systems.

    \b
    Example:
      prodigy-git otel push --job review --dry-run
    """


def _headers(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[Any, ...]:
    found = [_HEADER.fullmatch(one) for one in given]
    if None in found:
        raise click.BadParameter("write NAME=VALUE, in printable ASCII")
    return tuple((one[1].lower(), one[2]) for one in found if one is not None)


@otel.command()
@filters("type", unborn=True)
@click.option("--follow", is_flag=True, help="Go on as it comes, until you interrupt it.")
@click.option("--interval", type=Duration(), default="15s", show_default=True, metavar="TIME",
              help="With --follow: how often to send.")  # fmt: skip
@click.option("--endpoint", metavar="URL", help="Where to. [default: http://localhost:4318]")
@click.option("--protocol", type=click.Choice(["grpc", "http/protobuf"]),
              help="[default: grpc for port 4317, else http/protobuf]")  # fmt: skip
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", callback=_headers,
              help="Sent with each request; repeatable.")  # fmt: skip
@click.option("--timeout", type=Duration(), metavar="TIME", help="For one request. [default: 10s]")
@click.option("--only", type=click.Choice(["traces", "metrics"]), help="Send one kind alone.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent and send nothing.")
@output.json_option
def push(
    wanted: Wanted, follow: bool, interval: int, endpoint: str | None, protocol: Any,
    headers: tuple[tuple[str, str], ...], timeout: int | None, only: Any, dry_run: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Send a trace per job, with a span per agent's attempt, and metrics, to an OTLP endpoint.

    Of the jobs of this repository, unless told otherwise. --agent, --session and --item choose among
    the attempts, --since and --until by when they ended; metrics are of whole jobs. Sending twice is
    harmless: ids and counts come from the log. The variables OTEL_EXPORTER_OTLP_* hold as well;
    options win over them. Needs the extra otel, in a clone of
    prodigy-git: python3 -m pip install '.[otel]'.

    \b
    Example:
      prodigy-git otel push --job review --dry-run
      prodigy-git otel push --endpoint http://localhost:4317 --follow
    """
    if follow and (dry_run or as_json):
        raise click.UsageError("--follow goes with neither --dry-run nor --json")
    if interval < clock.SECOND:
        raise click.UsageError("--interval has to be 1s or more")
    from prodigy_git.views.telemetry.stories import Wish

    wish = Wish(wanted.selection, (only,) if only else ("traces", "metrics"))
    if dry_run:
        return _show(wanted, wish, as_json)
    sender = _sender(endpoint, protocol, headers, timeout)
    with contextlib.closing(sender):
        if follow:
            return _follow(wanted, wish, sender, interval / clock.SECOND)
        return _once(wanted, wish, sender, as_json)


def _sender(
    endpoint: str | None, protocol: Any, headers: tuple[tuple[str, str], ...], timeout: int | None
) -> "Sender":
    try:
        from prodigy_git.views.telemetry import otlp
    except ModuleNotFoundError as error:
        raise ProdigyError(f"{error.name} is not installed; {extra('otel')}") from error
    seconds = None if timeout is None else timeout / clock.SECOND
    return otlp.Sender(otlp.Target(endpoint, protocol, headers, seconds), output.note)


def _show(wanted: Wanted, wish: "Wish", as_json: bool) -> int:
    """Print spans and points of metrics; the extra is not needed for that."""
    from prodigy_git.views.telemetry import stories

    found = _told(stories.read(wanted.store, wanted.jobs(), output.note), wish)
    if as_json:
        output.stream(map(output.json_text, found))
        return 0
    headings = ("SIGNAL", "JOB", "NAME", "START", "SECONDS", "WHAT")
    output.listing(headings, map(_row, found), ("JOB", "START"), empty="there is nothing to send")
    return 0


def _told(found: "Iterable[Story]", wish: "Wish") -> Iterator[dict[str, Any]]:
    """Yield spans and points as JSON has them, ids in hexadecimal as the monitoring shows them."""
    from prodigy_git.views.telemetry import stories

    for story in found:
        if "traces" in wish.signals:
            for span in stories.spans_of(story, wish):
                fields = dataclasses.asdict(span)
                fields["trace_id"] = f"{span.trace_id:032x}"
                fields["seconds"] = (span.end - span.start) / 1e9
                fields["started_at"] = _stamp(fields.pop("start"))
                fields["ended_at"] = _stamp(fields.pop("end"))
                for event in fields["events"]:
                    event["at"] = _stamp(event["at"])
                for name in ("span_id", "parent_id", "linked"):
                    if fields[name] is not None:
                        fields[name] = f"{fields[name]:016x}"
                yield {"signal": "traces", **fields}
        if "metrics" in wish.signals:
            for metric in story.metrics():
                for point in metric.points:
                    value = dataclasses.asdict(point)
                    value["started_at"] = _stamp(value.pop("start"))
                    yield {"signal": "metrics", "repo": story.repo, "name": metric.name,
                           "kind": metric.kind, "unit": metric.unit, **value}  # fmt: skip


def _stamp(nanoseconds: int) -> str:
    return clock.stamp(nanoseconds // 1000)


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    attributes = told["attributes"]
    start = duration.moment(told["started_at"])
    job = str(attributes["prodigy.job_id"])
    if told["signal"] == "traces":
        words = [attributes["prodigy.outcome"]]
        words += [f"{len(told['events'])} events"] if told["events"] else []
        words += [told["error"]] if told["error"] else []
        seconds = f"{told['seconds']:.1f}"
        return "span", job, told["name"], start, seconds, " ".join(map(str, words))
    of = [str(value) for name, value in attributes.items() if name != "prodigy.job_id"]
    value = told["value"]
    shown = f"{value['count']} in {value['total']:.1f}s" if isinstance(value, dict) else str(value)
    return "metric", job, told["name"], start, "-", " ".join([*of, shown])


def _once(wanted: Wanted, wish: "Wish", sender: "Sender", as_json: bool) -> int:
    from prodigy_git.views.telemetry import pushing, stories

    found = stories.read(wanted.store, wanted.jobs(), output.note)
    sent = pushing.once(sender, found, wish)
    endpoints = {name: sender.shown(name) for name in wish.signals}
    if as_json:
        counts = dataclasses.asdict(sent) | {"rejected": sender.rejected}
        output.emit_json({**counts, "endpoints": endpoints})
    else:
        output.prose(
            f"{sent.spans} spans and {sent.points} data points of {sent.jobs} jobs to "
            + ", ".join(dict.fromkeys(endpoints.values()))
        )
    return 1 if sender.rejected else 0


def _follow(wanted: Wanted, wish: "Wish", sender: "Sender", interval: float) -> int:
    from prodigy_git.views.telemetry import pushing

    stop = threading.Event()
    with _stopped_by_signals(stop):
        left = pushing.follow(
            sender, wanted.store, wanted.jobs, wish, interval, stop, output.note
        )  # fmt: skip
    if left:
        output.error(f"interrupted; {left} spans were not accepted: push again to send them")
        return 1
    output.error("interrupted")
    return 130


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first signal set ``stop``, so that a last push can be made; a second one ends at once."""
    before: dict[signal.Signals, Any] = {}

    def give_back(*_: object) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def heard(*_: object) -> None:
        stop.set()
        give_back()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            before[number] = signal.signal(number, heard)
    try:
        yield
    finally:
        give_back()
