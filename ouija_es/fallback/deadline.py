"""One deadline for the whole chain, made at the door and passed down."""

from ouija_es.clock import Clock

RESERVE_SECONDS = 1.0
"""What the database tier and the last commit may need: kept back from the model tiers."""


class Deadline:
    """The instant by which the client has its answer."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self.seconds = seconds
        self.started_at = clock.monotonic()
        self.expires_at = self.started_at + seconds
        # A short deadline keeps a quarter back, else no model tier would ever be called under it.
        self.reserve_seconds = reserve_seconds(seconds)

    def left(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.expires_at - self._clock.monotonic()

    def left_for_models(self) -> float:
        """Seconds a model tier may still take."""
        return self.expires_at - self._clock.monotonic() - self.reserve_seconds

    def elapsed_ms(self) -> int:
        """Whole milliseconds since the door."""
        return round((self._clock.monotonic() - self.started_at) * 1000)


def reserve_seconds(deadline_seconds: float) -> float:
    """How much of a deadline is kept back."""
    return min(RESERVE_SECONDS, deadline_seconds / 4)
