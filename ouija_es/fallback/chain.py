"""The chain of providers: one after the other under one deadline, until one has answered."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

import msgspec

from ouija_es.clock import Clock
from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded, TierState
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.deadline import Deadline
from ouija_es.fallback.decisions import (
    Turn,
    backoff_limit_ms,
    first_turn,
    next_tier,
    next_try,
    reason_to_skip,
    retry_in_ms,
    timeout_ms,
)
from ouija_es.fallback.tier import Call, Tier
from ouija_es.providers.provider import Query, Reply

Step = AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded


class Listener(Protocol):
    """Who is told what happens while it happens; the chain goes on once the call returns."""

    async def step(self, step: Step) -> None:
        """A step, as the event that records it. No provider is called before its `AttemptStarted` is taken on."""

    async def delta(self, text: str) -> None:
        """A piece of a streamed answer."""

    async def discard(self, reason: Reason) -> None:
        """The pieces so far are void: their provider failed."""


class Chain:
    """Tries tiers in order; the last of them, the database, always answers.

    What it decides, `fallback.decisions` says, from values that the event of the decision holds. `random()` gives a
    float in [0, 1) for the backoff's jitter.
    """

    def __init__(self, tiers: Sequence[Tier], *, clock: Clock, instance: UUID, random: Callable[[], float]) -> None:
        self.tiers = tiers
        self._clock = clock
        self._instance = instance
        self._random = random

    async def answer(self, query: Query, deadline: Deadline, listener: Listener, *, streamed: bool = False) -> Reply:
        """The reply; the listener is told of every step and, if `streamed`, of the pieces of the answer."""
        tokens = query.tokens_at_most
        turn = first_turn(len(self.tiers), at_risk=query.at_risk)
        while True:
            tier = self.tiers[turn.tier]
            seen, time_left_ms = tier.state(tokens), _ms(_time_left(tier, deadline))
            reason = reason_to_skip(tier.policy, seen, time_left_ms)
            if reason is not None:
                await listener.step(self._skipped(tier, reason, time_left_ms, seen))
                turn = next_tier(turn)
                continue
            # Nothing may happen between the decision and the call's beginning: from there it is counted.
            with tier.call(tokens) as call:
                started = self._started(tier, turn, time_left_ms, seen)
                ended = await self._attempt(tier, call, started, query, deadline, listener, streamed=streamed)
            if isinstance(ended, AttemptFailed):
                await listener.step(ended)
                if ended.retry_in_ms is None:
                    turn = next_tier(turn)
                else:
                    await asyncio.sleep(ended.retry_in_ms / 1000)
                    turn = next_try(turn)
                continue
            succeeded, reply = ended
            await listener.step(succeeded)
            return reply

    async def _attempt(
        self,
        tier: Tier,
        call: Call,
        started: AttemptStarted,
        query: Query,
        deadline: Deadline,
        listener: Listener,
        *,
        streamed: bool,
    ) -> AttemptFailed | tuple[AttemptSucceeded, Reply]:
        """One call, and how it ended."""
        if tier.provider is None:
            raise AssertionError("a tier without a provider is skipped")
        await listener.step(started)
        # Writing down the start took time; the call gets what is left now.
        timeout = max(0.001, min(tier.policy.timeout_ms / 1000, _time_left(tier, deadline)))
        started_at = self._clock.monotonic()
        shown = False
        call.sent()
        try:
            if streamed:
                reply = None
                async with aclosing(tier.provider.stream(query, timeout)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Reply):
                            reply = piece
                        else:
                            shown = True
                            await listener.delta(piece)
                if reply is None:
                    raise AssertionError("a provider ends with its reply or an error")
            else:
                reply = await tier.provider.answer(query, timeout)
        except ProviderError as error:
            call.failed(error)
            duration_ms, time_left_ms = self._ms_since(started_at), _ms(_time_left(tier, deadline))
            failed = self._failed(tier, started, error, duration_ms, time_left_ms, shown=shown)
            if shown:
                await listener.discard(error.reason)
            return failed
        call.succeeded(reply)
        return self._succeeded(started, reply, started_at), reply

    def _started(self, tier: Tier, turn: Turn, time_left_ms: int, seen: TierState) -> AttemptStarted:
        return AttemptStarted(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            attempt=turn.attempt,
            model=tier.policy.model,
            timeout_ms=timeout_ms(tier.policy, time_left_ms),
            time_left_ms=time_left_ms,
            seen=seen,
        )

    def _skipped(self, tier: Tier, reason: Reason, time_left_ms: int, seen: TierState) -> AttemptSkipped:
        return AttemptSkipped(
            at=self._clock.now(),
            instance=self._instance,
            provider=tier.name,
            reason=reason,
            time_left_ms=time_left_ms,
            seen=seen,
        )

    def _succeeded(self, started: AttemptStarted, reply: Reply, started_at: float) -> AttemptSucceeded:
        return AttemptSucceeded(
            at=self._clock.now(),
            instance=self._instance,
            provider=started.provider,
            attempt=started.attempt,
            reason=Reason.TRUNCATED if reply.truncated else None,
            duration_ms=self._ms_since(started_at),
            model=reply.model,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )

    def _failed(
        self,
        tier: Tier,
        started: AttemptStarted,
        error: ProviderError,
        duration_ms: int,
        time_left_ms: int,
        *,
        shown: bool,
    ) -> AttemptFailed:
        """A failure, and what follows: decided from the event itself, for that is all there will be to decide from."""
        asked_for = error.retry_after_seconds
        failed = AttemptFailed(
            at=self._clock.now(),
            instance=self._instance,
            provider=started.provider,
            attempt=started.attempt,
            reason=error.reason,
            duration_ms=duration_ms,
            time_left_ms=time_left_ms,
            status=error.status,
            retry_after_ms=None if asked_for is None else _ms(asked_for),
            retryable=error.retryable,
            shown=shown,
            backoff_ms=round(self._random() * backoff_limit_ms(started.attempt)) if asked_for is None else None,
        )
        pause_ms = retry_in_ms(tier.policy, failed)
        if pause_ms is None and failed.retry_after_ms:
            tier.hold(failed.retry_after_ms / 1000)
        return msgspec.structs.replace(failed, retry_in_ms=pause_ms)

    def _ms_since(self, started_at: float) -> int:
        return _ms(self._clock.monotonic() - started_at)


def _time_left(tier: Tier, deadline: Deadline) -> float:
    """The database tier may use the reserve as well; a model tier must leave it."""
    return deadline.left() if tier.name is Provider.DATABASE else deadline.left_for_models()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
