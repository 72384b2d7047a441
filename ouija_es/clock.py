"""Time as a parameter: the machine's clocks for the service, a subclass that stands still where a test must fix it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """The machine's clocks."""

    monotonic: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds from an arbitrary start; for durations and deadlines."""

    def now(self) -> datetime:
        """The time of day, UTC; for what is written down."""
        return datetime.now(UTC)
