"""The circuit breaker of one provider: after failures in a row it is left alone for a while, then tried with one call.

Fowler's three states (https://martinfowler.com/bliki/CircuitBreaker.html). No I/O, no lock: for one event loop.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Reason

FAILURES = {
    *(Reason.TIMEOUT, Reason.CONNECTION, Reason.SERVER_ERROR, Reason.MALFORMED_RESPONSE, Reason.EMPTY_ANSWER),
    Reason.UNAUTHORIZED,
}
"""What speaks against a provider."""
ALIVE = {Reason.BAD_REQUEST, Reason.REFUSED, Reason.TRUNCATED}
"""Enough for a trial, as the provider dealt with the request. Any other reason says nothing about it."""

Kind = Literal["opened", "half_opened", "closed"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state, to be written down.

    `reason`: why it is, or was, open. `failures`: how many in the window led to it. `open_seconds`: until a trial is
    due; 0 unless `kind` is `opened`.
    """

    kind: Kind
    reason: Reason | None
    failures: int
    open_seconds: float


class Permit:
    """Leave for one call, to be told how the call ended: each method returns the change that follows, if any.

    `change` is what giving the leave changed: the breaker is half-open and this call its trial. A trial that is never
    told of bars the provider for good, so `abandoned` belongs in a `finally`: after another report it does nothing.
    """

    __slots__ = ("_report", "change")

    def __init__(self, change: Change | None, report: Callable[[Reason | None], Change | None]) -> None:
        self.change = change
        self._report = report

    def succeeded(self) -> Change | None:
        """The provider answered."""
        return self._report(None)

    def failed(self, reason: Reason) -> Change | None:
        """It did not."""
        return self._report(reason)

    def abandoned(self) -> None:
        """The call ended without evidence; the next one may be the trial in its place."""
        self._report(Reason.CANCELLED)


class Breaker:
    """Opens for `open_seconds` after `failures` within `window_seconds` and no success between them.

    A refused key does not mend by waiting: it opens at once and for `unauthorized_seconds`.
    """

    def __init__(
        self,
        failures: int,
        open_seconds: float,
        clock: Clock,
        window_seconds: float = 60.0,
        unauthorized_seconds: float = 3_600.0,
    ) -> None:
        self.reason: Reason | None = None
        self._open_seconds = open_seconds
        self._unauthorized_seconds = unauthorized_seconds
        self._window_seconds = window_seconds
        self._clock = clock
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._due_at: float | None = None
        self._on_trial = False
        # Counts openings, closings and trials given up: what a call reports that began before the last is out of date.
        self._era = 0

    @property
    def is_open(self) -> bool:
        """Open or half-open: not every call is let through."""
        return self._due_at is not None

    def allows(self) -> bool:
        """Whether a call may begin now: closed, or open and due with no trial under way. Changes nothing."""
        return self._due_at is None or (not self._on_trial and self._clock.monotonic() >= self._due_at)

    def begin(self) -> Permit:
        """Takes the leave for a call that `allows` has just granted."""
        if not self.allows():
            raise AssertionError("a call that is not allowed must be skipped")
        change = None
        if self._due_at is not None:
            self._on_trial = True
            change = Change("half_opened", self.reason, 0, 0.0)
        return Permit(change, partial(self._ended, self._era))

    def restore(self, kind: Kind, reason: Reason | None, seconds_ago: float, open_seconds: float) -> None:
        """Goes back to the state that the last recorded change led to, before any call is begun.

        Half-open becomes open and due: the trial's process is gone. After a new configuration there is nothing to
        restore: the old one's failures prove nothing.
        """
        if kind == "closed":
            return
        wait = open_seconds - max(0.0, seconds_ago) if kind == "opened" else 0.0
        self.reason = reason
        self._due_at = self._clock.monotonic() + max(0.0, wait)

    def _ended(self, era: int, reason: Reason | None) -> Change | None:
        if era != self._era:
            return None
        if reason in FAILURES:
            return self._failed(reason)
        if reason is None or (self.is_open and reason in ALIVE):
            self._failed_at.clear()
            return self._close() if self.is_open else None
        if self._on_trial:
            self._on_trial = False
            self._era += 1
        return None

    def _failed(self, reason: Reason) -> Change | None:
        now = self._clock.monotonic()
        self._failed_at.append(now)
        recent = sum(now - at < self._window_seconds for at in self._failed_at)
        if reason is Reason.UNAUTHORIZED:
            return self._open(reason, recent, self._unauthorized_seconds)
        if self.is_open or recent == self._failed_at.maxlen:
            return self._open(reason, recent, self._open_seconds)
        return None

    def _open(self, reason: Reason, failures: int, seconds: float) -> Change:
        self._turn(reason, self._clock.monotonic() + seconds)
        return Change("opened", reason, failures, seconds)

    def _close(self) -> Change:
        change = Change("closed", self.reason, 0, 0.0)
        self._turn(None, None)
        return change

    def _turn(self, reason: Reason | None, due_at: float | None) -> None:
        self.reason, self._due_at, self._on_trial = reason, due_at, False
        self._failed_at.clear()
        self._era += 1
