"""What is known of the providers from before a restart: it neither hammers a dead one nor forgets the last minute."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import (
    AttemptStarted,
    AttemptSucceeded,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    PolicyAdopted,
)
from ouija_es.domain.vocabulary import Provider
from ouija_es.fallback.rate_limit import LOOK_BACK_SECONDS
from ouija_es.fallback.tier import Tier
from ouija_es.store.log import EventLog

UNCOUNTED_TOKENS = 500
"""For a send whose reply is not recorded: more than a usual one."""


def restore(tiers: Iterable[Tier], log: EventLog, clock: Clock) -> None:
    """Sets the tiers' breakers and minutes to what the log says. Blocking; before the first ask."""
    by_name = {tier.name: tier for tier in tiers}
    _restore_breakers(by_name, log, clock)
    _restore_minutes(by_name, log, clock)


def _restore_breakers(tiers: dict[Provider, Tier], log: EventLog, clock: Clock) -> None:
    for change in log.latest_breaker_changes():
        tier = tiers[change.provider]
        if tier.breaker is None or tier.policy.configuration != _configuration(log, change.instance, change.provider):
            continue  # what was wrong with another key, model or address says nothing
        seconds_ago = (clock.now() - change.at).total_seconds()
        match change:
            case BreakerOpened():
                tier.breaker.restore("opened", change.reason, seconds_ago, change.open_ms / 1000)
            case BreakerHalfOpened():
                tier.breaker.restore("half_opened", None, seconds_ago, 0.0)
            case BreakerClosed():
                tier.breaker.restore("closed", None, seconds_ago, 0.0)


def _configuration(log: EventLog, instance: UUID, provider: Provider) -> str | None:
    policy = next((it.event for it in log.stream(instance)), None)
    if not isinstance(policy, PolicyAdopted):
        return None
    return next((tier.configuration for tier in policy.tiers if tier.provider == provider), None)


def _restore_minutes(tiers: dict[Provider, Tier], log: EventLog, clock: Clock) -> None:
    now = clock.now()
    tokens: dict[tuple[UUID, Provider, int], int] = {}
    sent: dict[Provider, list[tuple[float, int]]] = {}
    for stream, event in log.newest((AttemptStarted, AttemptSucceeded), now - timedelta(seconds=LOOK_BACK_SECONDS)):
        # Newest first: a reply is met before its start.
        if isinstance(event, AttemptSucceeded):
            tokens[stream, event.provider, event.attempt] = (event.input_tokens or 0) + (event.output_tokens or 0)
        elif isinstance(event, AttemptStarted):
            counted = tokens.get((stream, event.provider, event.attempt)) or UNCOUNTED_TOKENS
            sent.setdefault(event.provider, []).append(((now - event.at).total_seconds(), counted))
    for provider, sends in sent.items():
        minute = tiers[provider].minute
        if minute is not None:
            minute.restore(sends)
