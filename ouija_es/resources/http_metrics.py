"""Times every request by method, route template and status: labels from closed sets, whatever is asked for."""

import time
from typing import Any

from falcon.asgi import Request, Response
from prometheus_client import Histogram

from ouija_es.telemetry.instruments import Instruments

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"


class HttpMetrics:
    """Falcon middleware."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._children: dict[tuple[str, str | None, int], Histogram] = {}

    async def process_request(self, req: Request, resp: Response) -> None:
        """The clock starts."""
        req.context.received_at = time.perf_counter()
        self._instruments.http_in_flight.inc()

    async def process_response(self, req: Request, resp: Response, resource: Any, req_succeeded: bool) -> None:  # noqa: ANN401, FBT001 - Falcon's signature
        """The response's head is ready."""
        self._instruments.http_in_flight.dec()
        seconds = time.perf_counter() - req.context.received_at
        method = req.method if req.method in METHODS else OTHER
        self._child(method, req.uri_template, resp.status_code).observe(seconds, {"trace_id": req.context.trace_id})

    def _child(self, method: str, route: str | None, status: int) -> Histogram:
        key = method, route, status
        child = self._children.get(key)
        if child is None:
            # Finding the labels' child costs more than counting with it.
            child = self._instruments.http_seconds.labels(method, route or OTHER, str(status))
            self._children[key] = child
        return child
