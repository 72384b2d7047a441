"""Times every request by method, route template and status: labels from closed sets, whatever is asked for."""

import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from falcon.asgi import Request, Response
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ouija_es.projections.histogram import EDGES_SECONDS
from ouija_es.resources.exposition import Example, cumulated

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"


class _Durations:
    """One series. The library's own histogram takes ten times as long to count one with an example of its bucket."""

    __slots__ = ("counts", "examples", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES_SECONDS) + 1)
        self.seconds = 0.0
        self.examples: dict[int, Example] = {}

    def add(self, seconds: float, trace_id: str) -> None:
        bucket = bisect_left(EDGES_SECONDS, seconds)
        self.counts[bucket] += 1
        self.seconds += seconds
        self.examples[bucket] = trace_id, seconds, time.time()


class HttpMetrics(Collector):
    """Falcon middleware, and what it has counted."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._series: dict[tuple[str, str | None, int], _Durations] = {}

    async def process_request(self, req: Request, resp: Response) -> None:
        """The clock starts."""
        req.context.received_at = time.perf_counter()
        self._in_flight += 1

    async def process_response(self, req: Request, resp: Response, resource: Any, req_succeeded: bool) -> None:  # noqa: ANN401, FBT001 - Falcon's signature
        """The response's head is ready."""
        self._in_flight -= 1
        seconds = time.perf_counter() - req.context.received_at
        series = req.method if req.method in METHODS else OTHER, req.uri_template, resp.status_code
        durations = self._series.get(series)
        if durations is None:
            durations = self._series[series] = _Durations()
        durations.add(seconds, req.context.trace_id)

    def collect(self) -> Iterable[Metric]:
        """Both families."""
        took = HistogramMetricFamily(
            "ouija_http_request_duration_seconds",
            "Time from a request to the head of its response.",
            labels=["method", "route", "status"],
        )
        for (method, route, status), durations in self._series.items():
            took.add_metric(
                [method, route or OTHER, str(status)],
                cumulated(durations.counts, durations.examples),
                durations.seconds,
            )
        yield took
        yield GaugeMetricFamily("ouija_http_requests_in_flight", "Requests that have no response yet.", self._in_flight)
