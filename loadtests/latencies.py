"""Exact percentiles: every sample is kept, eight bytes each."""

import math
from array import array


class Latencies:
    """Seconds in, milliseconds out."""

    def __init__(self) -> None:
        self._seconds = array("d")
        self._in_order = True

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self._in_order = False

    def __len__(self) -> int:
        return len(self._seconds)

    def ms(self, percent: float) -> float:
        """The nearest-rank percentile; NaN of none. 100 is the longest."""
        if not self._seconds:
            return math.nan
        if not self._in_order:
            self._seconds = array("d", sorted(self._seconds))
            self._in_order = True
        return self._seconds[max(0, math.ceil(len(self._seconds) * percent / 100) - 1)] * 1000

    def share_over(self, ms: float) -> float:
        """Of all samples, those that took longer."""
        return sum(seconds * 1000 > ms for seconds in self._seconds) / max(1, len(self))
