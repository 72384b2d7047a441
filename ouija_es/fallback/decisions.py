"""The fallback's decisions, as functions of what is recorded: the live chain and the replay of a log call the same.

All that is shared with other questions, and all chance, comes in as values that the event of the decision holds;
durations are whole milliseconds, as they are recorded. No clock, no state.
"""

from typing import NamedTuple

from ouija_es.domain.events import AttemptFailed, TierPolicy, TierState
from ouija_es.domain.vocabulary import BreakerState, Provider, Reason

LEAST_ATTEMPT_MS = 250
"""A model cannot answer in less: with less time left it is not called."""
BACKOFF_MS, BACKOFF_LIMIT_MS = 100, 1_000


class Turn(NamedTuple):
    """Whose turn it is: the tier's place in the policy, from 0, and which try of it, from 1."""

    tier: int
    attempt: int


def first_turn(tiers: int, *, at_risk: bool) -> Turn:
    """Where a question begins. One about self-harm goes to the last tier alone, which is no model."""
    return Turn(tiers - 1 if at_risk else 0, 1)


def next_tier(turn: Turn) -> Turn:
    """After a skip, or a failure that is not tried again."""
    return Turn(turn.tier + 1, 1)


def next_try(turn: Turn) -> Turn:
    """After a failure that is tried again."""
    return Turn(turn.tier, turn.attempt + 1)


def reason_to_skip(policy: TierPolicy, seen: TierState, time_left_ms: int) -> Reason | None:  # noqa: PLR0911 - one a reason
    """Why a provider is not called now; None if it is. The first reason that holds is the one that counts."""
    if not policy.configured:
        return Reason.NOT_CONFIGURED
    if seen.breaker is BreakerState.OPEN:
        return Reason.BREAKER_OPEN
    if seen.held_ms > 0:
        return Reason.RATE_LIMITED
    if seen.has_room is False:
        return Reason.BUCKET_EMPTY
    if seen.in_flight >= policy.concurrency:
        return Reason.SATURATED
    if time_left_ms < LEAST_ATTEMPT_MS and policy.provider is not Provider.DATABASE:
        return Reason.DEADLINE
    return None


def timeout_ms(policy: TierPolicy, time_left_ms: int) -> int:
    """What a call may take at most."""
    return min(policy.timeout_ms, time_left_ms)


def backoff_limit_ms(attempt: int) -> int:
    """The pause after a failed try is drawn between 0 and this.

    Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    return min(BACKOFF_LIMIT_MS, BACKOFF_MS << attempt)


def retry_in_ms(policy: TierPolicy, failed: AttemptFailed) -> int | None:
    """The pause until the same provider is tried again: the one it asked for, else the drawn one; None: the next tier.

    What a client has been shown is not tried again with the same provider.
    """
    if not failed.retryable or failed.shown or failed.attempt >= policy.max_attempts:
        return None
    pause = failed.backoff_ms if failed.retry_after_ms is None else failed.retry_after_ms
    return pause if pause is not None and pause + LEAST_ATTEMPT_MS <= failed.time_left_ms else None
