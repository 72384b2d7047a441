"""One provider in the chain: the policy it is tried by, and what the process knows of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ouija_es.clock import Clock
from ouija_es.domain.events import TierPolicy
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.providers.provider import AnsweringProvider

HOLD_LIMIT_SECONDS = 86_400.0
"""Whatever a provider asks for, it is tried again after a day."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a provider's last try ended; `reason` is None after a success."""

    available: bool
    reason: Reason | None


class Tier:
    """A provider and its policy. `provider` is None if it is not configured."""

    def __init__(self, policy: TierPolicy, provider: AnsweringProvider | None, clock: Clock) -> None:
        self.policy = policy
        self.provider = provider
        self.evidence: Evidence | None = None
        self._in_flight = 0
        self._clock = clock
        self._held_until = 0.0

    @property
    def name(self) -> Provider:
        """Which tier this is."""
        return self.policy.provider

    def hold(self, seconds: float) -> None:
        """Leaves the provider alone for a while, as it asked."""
        self._held_until = max(self._held_until, self._clock.monotonic() + min(seconds, HOLD_LIMIT_SECONDS))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call in flight."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def reason_to_skip(self) -> Reason | None:
        """Why the provider must not be called now, whatever time is left; None if it may."""
        if self.provider is None:
            return Reason.NOT_CONFIGURED
        if self._held_until > self._clock.monotonic():
            return Reason.RATE_LIMITED
        if self._in_flight >= self.policy.concurrency:
            return Reason.SATURATED
        return None
