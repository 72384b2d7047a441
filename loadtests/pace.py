"""Holds all visitors together to so many asks a minute."""

import time

import gevent


class Pace:
    """Evenly spaced; without a limit nobody waits."""

    def __init__(self) -> None:
        self._gap_seconds = 0.0
        self._next_at = 0.0

    def limit(self, asks_per_minute: float) -> None:
        self._gap_seconds = 60 / asks_per_minute

    def wait(self) -> None:
        """Returns when it is this caller's turn."""
        if self._gap_seconds:
            now = time.monotonic()
            turn = max(now, self._next_at)
            self._next_at = turn + self._gap_seconds
            gevent.sleep(turn - now)
