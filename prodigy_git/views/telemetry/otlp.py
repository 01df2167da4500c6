"""Sending spans and metrics over OTLP, through the exporters of OpenTelemetry's own SDK.

Needs the extra ``otel``, so it is imported by who sends, when that is certain. The exporters do the
encoding, TLS, compression and the ``OTEL_EXPORTER_OTLP_*`` variables. What an endpoint answers they
keep to themselves or tell the process's log, so we listen in at the wire: `Refused` is its word.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import export as points
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.util.re import parse_env_headers

from prodigy_git import __version__
from prodigy_git.errors import ProdigyError
from prodigy_git.views.telemetry.forms import SCOPE, metric_of, readable
from prodigy_git.views.telemetry.signals import Metric, Signal, Span

Transport = Literal["grpc", "http/protobuf"]
_POINTS = 2000
"""Points of metrics in one request."""
_RETRIED = {429, 502, 503, 504}
_FAULTS = {400, 413, 415, 422}
_RETRIED_CODES = {
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
    "RESOURCE_EXHAUSTED",
}  # fmt: skip


class Refused(ProdigyError):
    """What was sent has not been accepted. The message is one line and names the endpoint."""

    def __init__(
        self, message: str, *, again: bool = False, fault: bool = False, after: float | None = None
    ) -> None:
        """``again``: it may be accepted shortly, ``after`` so many seconds if that was said.

        ``fault``: what was sent is at fault, and will not be accepted ever.
        """
        super().__init__(message)
        self.again, self.fault, self.after = again, fault, after


@dataclass(frozen=True)
class Target:
    """Where to send to, as far as it was given; the rest is in the environment."""

    endpoint: str | None = None
    transport: Transport | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None
    """In seconds."""


class _Exporter(Protocol):
    def export(self, batch: Any, /) -> Any: ...
    def shutdown(self) -> None: ...


class Sender:
    """The way to an endpoint. Of each request it says what was rejected of one that was accepted."""

    def __init__(self, target: Target, say: Callable[[str], None]) -> None:
        """Look where to send to; nothing is sent. Raises `ProdigyError` for what is no such place."""
        _quiet()
        self._target = target
        self._say = say
        self._made: dict[Signal, _Exporter] = {}
        self._resources: dict[str, Resource] = {}
        self._last: Refused | None = None
        self.rejected = 0
        """Spans and points that were not taken out of requests that were."""
        self.transport = {signal: _transport(target, signal) for signal in _SIGNALS}
        self.endpoint = {
            signal: _endpoint(target, signal, self.transport[signal]) for signal in _SIGNALS
        }

    def spans(self, spans: Iterable[Span]) -> None:
        """Send spans. Raises `Refused`."""
        self._send("traces", [readable(span, self._resource(span.repo)) for span in spans])

    def metrics(self, found: Mapping[str, list[Metric]], now: int) -> None:
        """Send metrics, by repository, as of ``now`` (nanoseconds since 1970). Raises `Refused`."""
        for repo, metrics in found.items():
            batch: list[points.Metric] = []
            room = _POINTS
            for metric in metrics:
                rest = metric.points
                while rest:
                    taken, rest = rest[:room], rest[room:]
                    batch.append(metric_of(metric, taken, now))
                    room -= len(taken)
                    if not room:
                        self._send("metrics", self._data(repo, batch))
                        batch, room = [], _POINTS
            if batch:
                self._send("metrics", self._data(repo, batch))

    def shown(self, signal: Signal) -> str:
        """Return where a signal's data goes, without a password that the URL may bear."""
        return _shown(self.endpoint[signal])

    def close(self) -> None:
        """Close the connections."""
        for exporter in self._made.values():
            exporter.shutdown()
        self._made.clear()

    def _data(self, repo: str, metrics: list[points.Metric]) -> points.MetricsData:
        scope = points.ScopeMetrics(SCOPE, metrics, "")
        return points.MetricsData([points.ResourceMetrics(self._resource(repo), [scope], "")])

    def _resource(self, repo: str) -> Resource:
        if repo not in self._resources:
            ours = {
                "service.name": "prodigy-git", "service.version": __version__,
                "prodigy.repo": repo, "vcs.repository.name": repo,
            }  # fmt: skip
            # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
            self._resources[repo] = Resource(ours).merge(OTELResourceDetector().detect())
        return self._resources[repo]

    def _send(self, signal: Signal, batch: Any) -> None:
        self._last = None
        try:
            if signal not in self._made:
                self._made[signal] = self._checked(signal)
            sent = self._made[signal].export(batch)
        except Refused as refused:
            self._last = refused
        else:
            if self._last is None and sent.name != "SUCCESS":
                self._last = Refused(f"{self.endpoint[signal]}: could not be sent", fault=True)
        if self._last is not None:
            # A channel that failed would wait longer and longer on its own before it tries again.
            self._made.pop(signal).shutdown()
            raise self._last

    def _checked(self, signal: Signal) -> _Exporter:
        """Return a new exporter. Raises `ProdigyError` where the environment asks for what is not."""
        for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
            path = _variable(signal, name)
            if path and not os.access(path, os.R_OK):
                raise ProdigyError(f"OTEL_EXPORTER_OTLP_{name}: {path} cannot be read")
        try:
            return self._exporter(signal)
        except Exception as error:
            # Of a value that it does not understand the one exporter says one thing, the other another.
            raise ProdigyError(f"a variable OTEL_EXPORTER_OTLP_* is wrong: {error}") from error

    def _exporter(self, signal: Signal) -> _Exporter:
        target = self._target
        suffix = f"_{signal.upper()}_HEADERS"
        given = os.environ.get(f"OTEL_EXPORTER_OTLP{suffix}") or os.environ.get(
            "OTEL_EXPORTER_OTLP_HEADERS", ""
        )
        headers = {**parse_env_headers(given, liberal=True), **dict(target.headers)}
        more: dict[str, Any] = {"endpoint": self.endpoint[signal], "headers": headers}
        if target.timeout is not None:
            more["timeout"] = target.timeout
        make = self._over_grpc if self.transport[signal] == "grpc" else self._over_http
        return make(signal, more)

    def _over_http(self, signal: Signal, more: dict[str, Any]) -> _Exporter:
        import requests
        from opentelemetry.exporter.otlp.proto.http import metric_exporter, trace_exporter

        heard = self._heard_http

        class Session(requests.Session):
            def request(self, *arguments: Any, **settings: Any) -> requests.Response:
                settings["allow_redirects"] = False  # a redirected POST would become a GET
                if self.verify is not True:  # else REQUESTS_CA_BUNDLE would win over our own file
                    settings["verify"] = self.verify
                try:
                    answer = super().request(*arguments, **settings)
                except (requests.RequestException, OSError, ValueError) as error:
                    raise heard(signal, error) from error
                refused = heard(signal, answer)
                if refused is not None:
                    raise refused
                return answer

        if signal == "traces":
            return trace_exporter.OTLPSpanExporter(session=Session(), **more)
        return metric_exporter.OTLPMetricExporter(session=Session(), **more)

    def _heard_http(self, signal: Signal, answer: Any) -> Any:
        """Take note of an answer, or of the error in its place; return `Refused` unless it is good.

        Newer exporters take what a session raises for their own: hence the note.
        """
        where = self.endpoint[signal]
        self._last = None
        if isinstance(answer, Exception):
            self._last = Refused(f"{_host(where)} does not answer ({_cause(answer)})", again=True)
        elif 200 <= answer.status_code < 300:
            response = _RESPONSES[signal]()
            if answer.headers.get("Content-Type", "").startswith("application/x-protobuf"):
                try:
                    response.ParseFromString(answer.content)
                except Exception:  # it was accepted, whatever it says beside that
                    return None
            self._partial(signal, response)
        else:
            status, after = answer.status_code, answer.headers.get("Retry-After", "")
            why = f"{status} {answer.reason}"
            if status in _RETRIED:
                text = f"{_host(where)} is busy: {why}"
            else:
                text = f"{_shown(where)} refuses the {signal}: {why}"
            self._last = Refused(
                text,
                again=status in _RETRIED,
                fault=status in _FAULTS,
                after=float(after) if after.isdecimal() and len(after) < 6 else None,
            )
        return self._last

    def _over_grpc(self, signal: Signal, more: dict[str, Any]) -> _Exporter:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes to stderr on its own
        import grpc  # type: ignore[import-untyped]
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter, trace_exporter

        where, partial = self.endpoint[signal], self._partial

        class Stub:
            def __init__(self, real: Any) -> None:
                self._real = real

            def Export(self, request: Any, **settings: Any) -> Any:
                try:
                    response = self._real.Export(request, **settings)
                except grpc.RpcError as error:
                    raise _heard_grpc(where, signal, error) from error
                partial(signal, response)
                return response

        kind = (
            trace_exporter.OTLPSpanExporter
            if signal == "traces"
            else metric_exporter.OTLPMetricExporter
        )
        exporter: Any = kind(**more)
        # The one thing in here that is not for the public: nothing else tells what was answered.
        exporter._client = Stub(exporter._client)
        return exporter  # type: ignore[no-any-return]

    def _partial(self, signal: Signal, response: Any) -> None:
        told = response.partial_success
        rejected = told.rejected_spans if signal == "traces" else told.rejected_data_points
        if rejected or told.error_message:
            self.rejected += rejected
            what = "spans" if signal == "traces" else "data points"
            self._say(
                f"{_shown(self.endpoint[signal])}: {rejected} {what} rejected:"
                f" {told.error_message[:200] or 'no reason given'}"
            )


_SIGNALS: tuple[Signal, ...] = ("traces", "metrics")
_RESPONSES: dict[Signal, Any] = {
    "traces": ExportTraceServiceResponse, "metrics": ExportMetricsServiceResponse,
}  # fmt: skip


def _quiet() -> None:
    """Keep the SDK's warnings and tracebacks from stderr: what they tell is in `Refused`."""
    for name in ("opentelemetry", "urllib3", "grpc"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _variable(signal: Signal, name: str) -> str | None:
    return os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}") or os.environ.get(
        f"OTEL_EXPORTER_OTLP_{name}"
    )


def _transport(target: Target, signal: Signal) -> Transport:
    """Return what was given, else what the environment says, else what the endpoint's port is for."""
    if target.transport is not None:
        return target.transport
    named = _variable(signal, "PROTOCOL")
    if named is None:
        endpoint = target.endpoint or _variable(signal, "ENDPOINT") or ""
        return "grpc" if endpoint.rstrip("/").endswith(":4317") else "http/protobuf"
    if named == "grpc":
        return "grpc"
    if named == "http/protobuf":
        return "http/protobuf"
    raise ProdigyError(f"OTEL_EXPORTER_OTLP_PROTOCOL {named!r}: write grpc or http/protobuf")


def _endpoint(target: Target, signal: Signal, transport: Transport) -> str:
    """Return the whole URL of a signal, as the specification of the exporters puts it together."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    base = target.endpoint or own or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if transport == "grpc":
        found = base or "http://localhost:4317"
        found = found if "://" in found else f"http://{found}"
    elif own and not target.endpoint:
        found = own
    else:
        base = (base or "http://localhost:4318").rstrip("/")
        for one in _SIGNALS:  # whoever gives the whole URL means it for that signal
            base = base.removesuffix(f"/v1/{one}")
        found = f"{base}/v1/{signal}"
    try:
        parts = urlsplit(found)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not found.isprintable():
        raise ProdigyError(f"{_shown(found)} is no endpoint: write http://HOST:PORT or https://…")
    return found


def _shown(url: str) -> str:
    """Return a URL without the name and password that it may bear."""
    head, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}{separator}{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def _host(url: str) -> str:
    """Return a URL up to its path: what is wrong there is wrong for all signals."""
    return "/".join(_shown(url).split("/")[:3])


def _cause(error: BaseException) -> str:
    """Return in a few words what is at the bottom of an error."""
    while True:
        inner = next((one for one in error.args if isinstance(one, BaseException)), None)
        inner = inner or getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:200]


def _heard_grpc(where: str, signal: Signal, error: Any) -> Refused:
    code = error.code().name
    # Of what it tried on the way only the last counts.
    details = " ".join((error.details() or "").split()).rpartition("last error: ")[2][:200]
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        text = f"{_host(where)} does not answer ({code}: {details})"
    else:
        text = f"{_shown(where)} refuses the {signal}: {code}: {details}"
    return Refused(text, again=code in _RETRIED_CODES, fault=code == "INVALID_ARGUMENT")
