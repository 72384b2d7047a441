"""The chain of providers: one after the other under one deadline, until one has answered."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.deadline import Deadline
from ouija_es.fallback.tier import Evidence, Tier
from ouija_es.providers.provider import Query, Reply

LEAST_ATTEMPT_SECONDS = 0.25
"""A model cannot answer in less: with less time left it is not called."""
BACKOFF_SECONDS, BACKOFF_LIMIT_SECONDS = 0.1, 1.0

Step = AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded
Steps = AsyncGenerator[tuple[Step, Reply | None]]


class Chain:
    """Tries tiers in order; the last of them, the database, always answers.

    `random()` gives a float in [0, 1) for the backoff's jitter.
    """

    def __init__(self, tiers: Sequence[Tier], *, clock: Clock, instance: UUID, random: Callable[[], float]) -> None:
        self.tiers = tiers
        self._clock = clock
        self._instance = instance
        self._random = random

    async def run(self, query: Query, deadline: Deadline) -> Steps:
        """Yields every step as the event that records it; the last is an `AttemptSucceeded` and brings the reply.

        A provider is called only when the consumer asks for the step behind its `AttemptStarted`: whoever writes events
        down before going on has them written ahead.
        """
        for tier in self.tiers[-1:] if query.at_risk else self.tiers:
            async for step, reply in self._try(tier, query, deadline):
                yield step, reply
                if reply is not None:
                    return

    async def _try(self, tier: Tier, query: Query, deadline: Deadline) -> Steps:
        for number in range(1, tier.policy.max_attempts + 1):
            time_left = _time_left(tier, deadline)
            reason = tier.reason_to_skip()
            if reason is None and time_left < LEAST_ATTEMPT_SECONDS and tier.name is not Provider.DATABASE:
                reason = Reason.DEADLINE
            if reason is not None:
                yield self._skipped(tier, reason, time_left), None
                return
            with tier.call():
                yield self._started(tier, number, time_left), None
                outcome, reply = await self._call(tier, query, deadline, number)
            yield outcome, reply
            if not isinstance(outcome, AttemptFailed) or outcome.retry_in_ms is None:
                return
            await asyncio.sleep(outcome.retry_in_ms / 1000)

    async def _call(
        self, tier: Tier, query: Query, deadline: Deadline, number: int
    ) -> tuple[AttemptFailed | AttemptSucceeded, Reply | None]:
        if tier.provider is None:
            raise AssertionError("a tier without a provider is skipped")
        # Writing down the start took time; the call gets what is left now.
        timeout = max(0.001, min(tier.policy.timeout_ms / 1000, _time_left(tier, deadline)))
        started_at = self._clock.monotonic()
        try:
            reply = await tier.provider.answer(query, timeout)
        except ProviderError as error:
            duration = self._clock.monotonic() - started_at
            return self._failed(tier, error, number, duration, _time_left(tier, deadline)), None
        return self._succeeded(tier, reply, number, self._clock.monotonic() - started_at), reply

    def _started(self, tier: Tier, number: int, time_left: float) -> AttemptStarted:
        return AttemptStarted(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            model=tier.policy.model,
            timeout_ms=min(tier.policy.timeout_ms, _ms(time_left)),
            time_left_ms=_ms(time_left),
        )

    def _skipped(self, tier: Tier, reason: Reason, time_left: float) -> AttemptSkipped:
        return AttemptSkipped(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            reason=reason,
            time_left_ms=_ms(time_left),
        )

    def _succeeded(self, tier: Tier, reply: Reply, number: int, duration: float) -> AttemptSucceeded:
        tier.evidence = Evidence(available=True, reason=None)
        return AttemptSucceeded(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            reason=Reason.TRUNCATED if reply.truncated else None,
            duration_ms=_ms(duration),
            model=reply.model,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )

    def _failed(
        self, tier: Tier, error: ProviderError, number: int, duration: float, time_left: float
    ) -> AttemptFailed:
        tier.evidence = Evidence(available=False, reason=error.reason)
        pause = self._pause(tier, error, number, time_left)
        if pause is None and error.retry_after_seconds:
            tier.hold(error.retry_after_seconds)
        return AttemptFailed(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            reason=error.reason,
            duration_ms=_ms(duration),
            time_left_ms=_ms(time_left),
            status=error.status,
            retry_after_ms=None if error.retry_after_seconds is None else _ms(error.retry_after_seconds),
            retry_in_ms=None if pause is None else _ms(pause),
        )

    def _pause(self, tier: Tier, error: ProviderError, number: int, time_left: float) -> float | None:
        """Seconds until the same provider is tried again; None if it is not worth it.

        The wait the provider asked for, else full jitter
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        if not error.retryable or number >= tier.policy.max_attempts:
            return None
        pause = error.retry_after_seconds
        if pause is None:
            pause = self._random() * min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2**number)
        return pause if pause + LEAST_ATTEMPT_SECONDS <= time_left else None


def _time_left(tier: Tier, deadline: Deadline) -> float:
    """The database tier may use the reserve as well; a model tier must leave it."""
    return deadline.left() if tier.name is Provider.DATABASE else deadline.left_for_models()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
