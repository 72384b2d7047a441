"""The evidence about the providers: when one last answered or failed, how long its answers took lately."""

from datetime import datetime, timedelta

import msgspec

from ouija_es.domain.events import AttemptFailed, AttemptSucceeded
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.projections.histogram import percentile

WINDOW = timedelta(minutes=15)
SAMPLES = 500
"""Of the window's durations the newest so many count: enough for a percentile, a bound for the memory."""
_CANCELLED = Reason.CANCELLED


class Durations(msgspec.Struct):
    """The newest durations, in ms, with their times."""

    samples: list[tuple[datetime, int]] = msgspec.field(default_factory=list)

    def add(self, at: datetime, duration_ms: int) -> None:
        """Adds a duration; the oldest are let go of now and then, not each time."""
        self.samples.append((at, duration_ms))
        if len(self.samples) > 2 * SAMPLES:
            del self.samples[:-SAMPLES]

    def percentiles(self, now: datetime, *shares: float) -> list[int | None]:
        """Of the 15 minutes before `now`."""
        lately = [duration for at, duration in self.samples[-SAMPLES:] if at > now - WINDOW]
        return [percentile(lately, share) for share in shares]


class Evidence(msgspec.Struct):
    """What the log says about one provider."""

    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_reason: Reason | None = None
    """Of the last try; None if that answered."""
    durations: Durations = msgspec.field(default_factory=Durations)

    @property
    def known(self) -> bool:
        """Whether it was ever tried."""
        return self.last_success_at is not None or self.last_failure_at is not None


class Providers(msgspec.Struct):
    """Evidence by provider, and the durations of whole answers."""

    evidence: dict[Provider, Evidence] = msgspec.field(default_factory=dict)
    answers: Durations = msgspec.field(default_factory=Durations)

    def of(self, provider: Provider) -> Evidence:
        """The evidence about one; empty if there is none."""
        return self.evidence.get(provider) or Evidence()

    def succeeded(self, event: AttemptSucceeded) -> None:
        """Adds a try that was answered."""
        evidence = self._evidence(event.provider)
        evidence.last_success_at, evidence.last_reason = event.at, None
        evidence.durations.add(event.at, event.duration_ms)

    def failed(self, event: AttemptFailed) -> None:
        """Adds a try that failed."""
        if event.reason is not _CANCELLED:  # that was the client's doing
            evidence = self._evidence(event.provider)
            evidence.last_failure_at, evidence.last_reason = event.at, event.reason

    def _evidence(self, provider: Provider) -> Evidence:
        evidence = self.evidence.get(provider)
        if evidence is None:
            evidence = self.evidence[provider] = Evidence()
        return evidence
