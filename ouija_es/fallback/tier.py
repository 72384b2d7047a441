"""One provider in the chain: the policy it is tried by, and everything this process knows of it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ouija_es.clock import Clock
from ouija_es.domain.events import TierPolicy, TierState
from ouija_es.domain.vocabulary import BreakerState, Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.breaker import Breaker, Change, Permit
from ouija_es.fallback.rate_limit import SlidingMinute, Slot
from ouija_es.providers.provider import AnsweringProvider, Reply

HOLD_LIMIT_SECONDS = 86_400.0
"""Whatever a provider asks for, it is tried again after a day."""

OnChange = Callable[[Provider, Change], None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a provider's last try ended; `reason` is None after a success."""

    available: bool
    reason: Reason | None


ANSWERED = Evidence(available=True, reason=None)


class Call:
    """One call of a provider, from the decision to make it to its end, which is the end of the `with` block."""

    __slots__ = ("_permit", "_slot", "_tier")

    def __init__(self, tier: "Tier", permit: Permit | None, slot: Slot | None) -> None:
        self._tier = tier
        self._permit = permit
        self._slot = slot

    def __enter__(self) -> Self:
        self._tier.in_flight += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever happened, nothing is held any longer."""
        self._tier.in_flight -= 1
        if self._slot is not None:
            self._slot.release()
        if self._permit is not None:
            self._permit.abandoned()

    def sent(self) -> None:
        """The request leaves now."""
        if self._slot is not None:
            self._slot.sent()

    def succeeded(self, reply: Reply) -> None:
        """The provider answered."""
        self._tier.evidence = ANSWERED
        if self._slot is not None and reply.input_tokens is not None and reply.output_tokens is not None:
            self._slot.settle(reply.input_tokens + reply.output_tokens)
        if self._tier.minute is not None:
            self._tier.minute.tighten(reply.rate_limit.get)
        if self._permit is not None:
            self._tier.changed(self._permit.succeeded())
            self._permit = None

    def failed(self, error: ProviderError) -> None:
        """The provider gave no answer."""
        self._tier.evidence = Evidence(available=False, reason=error.reason)
        if self._tier.minute is not None:
            self._tier.minute.tighten(error.rate_limit.get)
        if self._permit is not None:
            self._tier.changed(self._permit.failed(error.reason))
            self._permit = None


class Tier:
    """A provider and its policy. `provider` is None if it is not configured; the last has no breaker, no minute."""

    def __init__(
        self,
        policy: TierPolicy,
        provider: AnsweringProvider | None,
        clock: Clock,
        *,
        breaker: Breaker | None = None,
        minute: SlidingMinute | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self.policy = policy
        self.name = policy.provider
        self.provider = provider
        self.breaker = breaker
        self.minute = minute
        self.evidence: Evidence | None = None
        self.in_flight = 0
        self._on_change = on_change
        self._clock = clock
        self._held_until = 0.0

    def hold(self, seconds: float) -> None:
        """Leaves the provider alone for a while, as it asked."""
        self._held_until = max(self._held_until, self._clock.monotonic() + min(seconds, HOLD_LIMIT_SECONDS))

    def state(self, tokens: int = 1) -> TierState:
        """What a decision about a call of so many tokens sees of the provider now."""
        requests_left, has_room = (None, True) if self.minute is None else self.minute.look(tokens)
        return TierState(
            in_flight=self.in_flight,
            breaker=self._breaker_state(),
            held_ms=max(0, round((self._held_until - self._clock.monotonic()) * 1000)) if self._held_until else 0,
            requests_left=requests_left,
            has_room=has_room,
        )

    def _breaker_state(self) -> BreakerState:
        if self.breaker is None or not self.breaker.is_open:
            return BreakerState.CLOSED
        return BreakerState.DUE if self.breaker.allows() else BreakerState.OPEN

    def call(self, tokens: int) -> Call:
        """A call that was decided on from the `state` of just now; to be entered at once."""
        permit = self.breaker.begin() if self.breaker is not None else None
        slot = self.minute.take(tokens) if self.minute is not None else None
        if permit is not None:
            self.changed(permit.change)
        return Call(self, permit, slot)

    def changed(self, change: Change | None) -> None:
        """Passes a change of the breaker on, to be written down."""
        if change is not None and self._on_change is not None:
            self._on_change(self.name, change)
