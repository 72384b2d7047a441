"""Counts of durations in buckets, as Prometheus has them: whole milliseconds in, so that sums are exact."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

import msgspec

EDGES_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0)
_EDGES_MS = tuple(round(edge * 1000) for edge in EDGES_SECONDS)


class Example(msgspec.Struct, array_like=True):
    """One of the durations in a bucket: whose trace it was, and when."""

    trace_id: str
    duration_ms: int
    at: datetime


class Histogram(msgspec.Struct):
    """`counts[i]` durations fell into bucket `i` alone; the last one is for those above every edge.

    `examples` holds the newest duration of each bucket.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_EDGES_MS) + 1))
    sum_ms: int = 0
    examples: dict[int, Example] = msgspec.field(default_factory=dict)

    def add(self, duration_ms: int, at: datetime, trace_id: str | None) -> None:
        """Counts a duration."""
        index = bisect_left(_EDGES_MS, duration_ms)
        self.counts[index] += 1
        self.sum_ms += duration_ms
        if trace_id is not None:
            self.examples[index] = Example(trace_id, duration_ms, at)


def percentile(durations_ms: Sequence[int], share: float) -> int | None:
    """The nearest-rank percentile of the durations; None of none."""
    if not durations_ms:
        return None
    ordered = sorted(durations_ms)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]
