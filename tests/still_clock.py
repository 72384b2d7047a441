"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

from ouija_es.clock import Clock


class StillClock(Clock):
    """`seconds` is the monotonic time; the time of day is as long after a day's noon."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)
