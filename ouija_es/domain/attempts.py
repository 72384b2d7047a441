"""A try of a provider, as clients and operators see it."""

import msgspec

from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptSucceeded
from ouija_es.domain.vocabulary import Outcome, Provider, Reason

ANSWERED, FAILED, SKIPPED = Outcome  # a member is dear to look up in its enum, and this is done for every try

Ended = AttemptSucceeded | AttemptFailed | AttemptSkipped
"""The events that tell of a try's end."""


class Attempt(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """How one try of a provider ended."""

    provider: Provider
    outcome: Outcome
    reason: Reason | None
    duration_ms: int


def attempt_of(ended: Ended) -> Attempt:
    """The attempt an event tells of."""
    if isinstance(ended, AttemptSucceeded):
        return Attempt(ended.provider, ANSWERED, ended.reason, ended.duration_ms)
    if isinstance(ended, AttemptFailed):
        return Attempt(ended.provider, FAILED, ended.reason, ended.duration_ms)
    return Attempt(ended.provider, SKIPPED, ended.reason, 0)
