"""Time as a parameter: the machine's clocks for the service, a subclass that stands still where a test must fix it."""

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; for durations and deadlines."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, UTC; for what is written down."""
        return datetime.now(UTC)
