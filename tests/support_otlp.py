"""Real OTLP receivers on loopback, over HTTP and gRPC: they keep what they accept, and fail as told."""

import contextlib
import gzip
import ssl
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

PATIENCE = 60


class Receiver:
    """What has come in. ``failures``: the answers to the next requests, each an HTTP status."""

    def __init__(self) -> None:
        self.url = ""
        self.protocol = ""
        self.changed = threading.Condition()
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []
        """Of each request, by name, what kind of data it is and its points by their attributes."""
        self.headers: list[dict[str, str]] = []
        self.failures: list[int] = []
        self.refused = 0
        self.rejected = 0
        self.retry_after = ""

    def take(self, request: Any, headers: dict[str, str]) -> int:
        """Keep a request, unless one is to fail now; return the status of the answer."""
        with self.changed:
            self.headers.append(headers)
            status = self.failures.pop(0) if self.failures else 200
            if status != 200:
                self.refused += 1
            elif isinstance(request, trace_pb.ExportTraceServiceRequest):
                for resource in request.resource_spans:
                    self.resources.append(plain(resource.resource.attributes))
                    self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            else:
                self.metrics.append(
                    {
                        metric.name: (metric.WhichOneof("data"), points_of(metric))
                        for resource in request.resource_metrics
                        for scope in resource.scope_metrics
                        for metric in scope.metrics
                    }
                )
            self.changed.notify_all()
            return status

    def wait(self, enough: Any) -> None:
        """Wait until ``enough()``; a test that waits in vain fails."""
        with self.changed:
            assert self.changed.wait_for(enough, PATIENCE), vars(self)

    def named(self) -> dict[str, Any]:
        """Return the spans by name; a later one in the place of an earlier."""
        return {span.name: span for span in self.spans}

    def answer(self, request: Any) -> Any:
        if isinstance(request, trace_pb.ExportTraceServiceRequest):
            told = trace_pb.ExportTraceServiceResponse()
            told.partial_success.rejected_spans = self.rejected
        else:
            told = metrics_pb.ExportMetricsServiceResponse()
            told.partial_success.rejected_data_points = self.rejected
        told.partial_success.error_message = "too old\x1b[2J" if self.rejected else ""
        return told


def plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def points_of(metric: Any) -> dict[tuple[Any, ...], Any]:
    points = getattr(metric, metric.WhichOneof("data")).data_points
    return {tuple(sorted(plain(point.attributes).items())): point for point in points}


@contextlib.contextmanager
def over_http(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    found = Receiver()
    requests = {
        "/v1/traces": trace_pb.ExportTraceServiceRequest,
        "/v1/metrics": metrics_pb.ExportMetricsServiceRequest,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path not in requests:
                self.send_error(404)
                return
            request = requests[self.path].FromString(body)
            status = found.take(request, {k.lower(): v for k, v in self.headers.items()})
            answer = found.answer(request).SerializeToString() if status == 200 else b""
            self.send_response(status)
            if found.retry_after:
                self.send_header("Retry-After", found.retry_after)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url, found.protocol = f"http://127.0.0.1:{server.server_port}", "http/protobuf"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        found.url = found.url.replace("http", "https")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def over_grpc() -> Iterator[Receiver]:
    import grpc

    found = Receiver()
    codes = {
        503: grpc.StatusCode.UNAVAILABLE, 401: grpc.StatusCode.UNAUTHENTICATED,
        400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.UNIMPLEMENTED,
    }  # fmt: skip

    class Service(trace_grpc.TraceServiceServicer, metrics_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            headers = dict(context.invocation_metadata())
            status = found.take(request, headers)
            if status != 200:
                context.abort(codes[status], "not now")
            return found.answer(request)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    trace_grpc.add_TraceServiceServicer_to_server(Service(), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(Service(), server)
    found.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    found.protocol = "grpc"
    server.start()
    try:
        yield found
    finally:
        server.stop(None).wait()


RECEIVERS = {"http/protobuf": over_http, "grpc": over_grpc}
