"""The chain of providers: one after the other under one deadline, until one has answered."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.deadline import Deadline
from ouija_es.fallback.tier import Tier
from ouija_es.providers.provider import AnsweringProvider, Query, Reply

LEAST_ATTEMPT_SECONDS = 0.25
"""A model cannot answer in less: with less time left it is not called."""
BACKOFF_SECONDS, BACKOFF_LIMIT_SECONDS = 0.1, 1.0

Step = AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded


@dataclass(frozen=True, slots=True)
class Taken:
    """A step, as the event that records it. With the last one, an `AttemptSucceeded`, comes the reply."""

    step: Step
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Discard:
    """The pieces so far are void: their provider failed."""

    reason: Reason


class Chain:
    """Tries tiers in order; the last of them, the database, always answers.

    `random()` gives a float in [0, 1) for the backoff's jitter.
    """

    def __init__(self, tiers: Sequence[Tier], *, clock: Clock, instance: UUID, random: Callable[[], float]) -> None:
        self.tiers = tiers
        self._clock = clock
        self._instance = instance
        self._random = random

    async def run(
        self, query: Query, deadline: Deadline, *, streamed: bool = False
    ) -> AsyncGenerator[Taken | Delta | Discard]:
        """Yields every step and, if `streamed`, the pieces of the answer; the last item brings the reply.

        A provider is called only when the consumer asks for the item behind its `AttemptStarted`: whoever writes events
        down before going on has them written ahead.
        """
        for tier in self.tiers[-1:] if query.at_risk else self.tiers:
            async with aclosing(self._try(tier, query, deadline, streamed=streamed)) as items:
                async for item in items:
                    yield item
                    if isinstance(item, Taken) and item.reply is not None:
                        return

    async def _try(
        self, tier: Tier, query: Query, deadline: Deadline, *, streamed: bool
    ) -> AsyncGenerator[Taken | Delta | Discard]:
        for number in range(1, tier.policy.max_attempts + 1):
            time_left = _time_left(tier, deadline)
            reason = tier.reason_to_skip(query.tokens_at_most)
            if reason is None and time_left < LEAST_ATTEMPT_SECONDS and tier.name is not Provider.DATABASE:
                reason = Reason.DEADLINE
            if reason is not None:
                yield Taken(self._skipped(tier, reason, time_left))
                return
            pause_ms = None
            async with aclosing(self._attempt(tier, query, deadline, number, streamed=streamed)) as items:
                async for item in items:
                    yield item
                    if isinstance(item, Taken) and isinstance(item.step, AttemptFailed):
                        pause_ms = item.step.retry_in_ms
            if pause_ms is None:
                return
            await asyncio.sleep(pause_ms / 1000)

    async def _attempt(
        self, tier: Tier, query: Query, deadline: Deadline, number: int, *, streamed: bool
    ) -> AsyncGenerator[Taken | Delta | Discard]:
        if tier.provider is None:
            raise AssertionError("a tier without a provider is skipped")
        reply, begun = None, False
        started = self._started(tier, number, _time_left(tier, deadline))
        with tier.call(query.tokens_at_most) as call:
            yield Taken(started)
            # Writing down the start took time; the call gets what is left now.
            timeout = max(0.001, min(tier.policy.timeout_ms / 1000, _time_left(tier, deadline)))
            started_at = self._clock.monotonic()
            call.sent()
            try:
                async with aclosing(_pieces(tier.provider, query, timeout, streamed=streamed)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Reply):
                            reply = piece
                        else:
                            begun = True
                            yield Delta(piece)
                if reply is None:
                    raise AssertionError("a provider ends with its reply or an error")
                call.succeeded(reply)
                outcome: Step = self._succeeded(tier, reply, number, started_at)
            except ProviderError as error:
                call.failed(error)
                # What a client has seen is not tried again with the same provider.
                pause = None if begun else self._pause(tier, error, number, _time_left(tier, deadline))
                if pause is None and error.retry_after_seconds:
                    tier.hold(error.retry_after_seconds)
                outcome = self._failed(tier, error, number, started_at, _time_left(tier, deadline), pause)
                if begun:
                    yield Discard(error.reason)
        yield Taken(outcome, reply)

    def _started(self, tier: Tier, number: int, time_left: float) -> AttemptStarted:
        return AttemptStarted(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            model=tier.policy.model,
            timeout_ms=min(tier.policy.timeout_ms, _ms(time_left)),
            time_left_ms=_ms(time_left),
            seen=tier.state(),
        )

    def _skipped(self, tier: Tier, reason: Reason, time_left: float) -> AttemptSkipped:
        return AttemptSkipped(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            reason=reason,
            time_left_ms=_ms(time_left),
            seen=tier.state(),
        )

    def _succeeded(self, tier: Tier, reply: Reply, number: int, started_at: float) -> AttemptSucceeded:
        return AttemptSucceeded(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            reason=Reason.TRUNCATED if reply.truncated else None,
            duration_ms=_ms(self._clock.monotonic() - started_at),
            model=reply.model,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )

    def _failed(
        self, tier: Tier, error: ProviderError, number: int, started_at: float, time_left: float, pause: float | None
    ) -> AttemptFailed:
        return AttemptFailed(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=number,
            reason=error.reason,
            duration_ms=_ms(self._clock.monotonic() - started_at),
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


async def _pieces(
    provider: AnsweringProvider, query: Query, timeout_seconds: float, *, streamed: bool
) -> AsyncGenerator[str | Reply]:
    """The provider's answer, in pieces or whole; the reply comes last either way."""
    if not streamed:
        yield await provider.answer(query, timeout_seconds)
        return
    async with aclosing(provider.stream(query, timeout_seconds)) as pieces:
        async for piece in pieces:
            yield piece


def _time_left(tier: Tier, deadline: Deadline) -> float:
    """The database tier may use the reserve as well; a model tier must leave it."""
    return deadline.left() if tier.name is Provider.DATABASE else deadline.left_for_models()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
