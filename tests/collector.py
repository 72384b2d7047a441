"""An OTLP/HTTP collector for tests: a real server that parses what is POSTed to it."""

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WAIT_SECONDS = 30


class Collector:
    """Listens on a free port of the loopback until the block ends. `url` is what OTEL_EXPORTER_OTLP_ENDPOINT wants."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                known = self.path == "/v1/traces"
                if known:
                    collector.raw.append(body)
                    collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if known else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def spans(self) -> list[Span]:
        """All that came so far."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace in the order of their starts, once its request's span is among them."""
        give_up_at = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < give_up_at:
            spans = [span for span in self.spans if span.trace_id.hex() == trace_id]
            if any(span.kind == Span.SPAN_KIND_SERVER for span in spans):
                return sorted(spans, key=lambda span: span.start_time_unix_nano)
            time.sleep(0.02)
        raise AssertionError(f"no request of trace {trace_id} was exported")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in span.attributes}
