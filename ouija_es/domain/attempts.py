"""A try of a provider, as clients and operators see it."""

import msgspec

from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptSucceeded, Event
from ouija_es.domain.vocabulary import Outcome, Provider, Reason


class Attempt(msgspec.Struct, frozen=True, rename="camel"):
    """How one try of a provider ended."""

    provider: Provider
    outcome: Outcome
    reason: Reason | None
    duration_ms: int


def attempt_of(step: Event) -> Attempt | None:
    """The attempt an event tells of; None if it tells of none, or only of its start."""
    match step:
        case AttemptSucceeded():
            return Attempt(step.provider, Outcome.ANSWERED, step.reason, step.duration_ms)
        case AttemptFailed():
            return Attempt(step.provider, Outcome.FAILED, step.reason, step.duration_ms)
        case AttemptSkipped():
            return Attempt(step.provider, Outcome.SKIPPED, step.reason, 0)
        case _:
            return None
