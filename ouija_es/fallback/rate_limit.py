"""How much one provider may be sent: requests and tokens in any sliding minute, and less where it says so itself.

A bucket of 30 that refills lets 60 through in its first minute; a sliding window does not. No I/O, no lock: for one
event loop.
"""

import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ouija_es.clock import Clock
from ouija_es.providers.status import HeaderLookup

WINDOW_SECONDS = 60.0
TRAVEL_SECONDS = 0.5
"""How much longer than another one send may take to arrive, as it may have to connect first: the provider's minute
counts arrivals, so a send is counted for that long more."""
RECORD_MARGIN_SECONDS = 10.0
"""How much later than its record says a send may have left, as it waits for the commit: at most for the whole deadline,
by default 8 s."""
LOOK_BACK_SECONDS = WINDOW_SECONDS + TRAVEL_SECONDS + RECORD_MARGIN_SECONDS
"""What was recorded before that need not be restored."""
RESET_LIMIT_SECONDS = 86_400.0
BELIEVED_SECONDS = 60.0
"""A reset may be the time until the whole day's allowance is back, though one request is free again in seconds: longer
than a minute it is not believed. Should it be true, a 429 with its `retry-after` says so."""

_COUNT = re.compile(r"[0-9]{1,12}")
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
_DURATION = re.compile(rf"(?=[0-9])(?:([0-9]{{1,6}})h)?(?:([0-9]{{1,6}})m)?(?:{_NUMBER}s?)?|{_NUMBER}ms")


@dataclass(slots=True)
class _Quota:
    """What the provider says it still takes until a monotonic instant; after that nothing is known."""

    left: int = 0
    until: float = 0.0

    def lacks(self, need: int, now: float) -> bool:
        return now < self.until and self.left < need

    def believe(self, left: str | None, reset: str | None, now: float, at_most: int) -> None:
        """What a reply said; `at_most` is what is sent in a minute anyway."""
        if left is None or reset is None or not _COUNT.fullmatch(left):
            return
        count = int(left)
        seconds = BELIEVED_SECONDS if count > at_most else reset_seconds(reset)  # then it is no limit, until whenever
        if seconds is not None:
            self.left, self.until = count, now + min(seconds, BELIEVED_SECONDS)


@dataclass(slots=True)
class _Counted:
    """What a minute and its slots share: `waiting` are taken but not sent, `sent` ends with the latest."""

    waiting: int = 0
    tokens: int = 0
    sent: deque["Slot"] = field(default_factory=deque)
    of_requests: _Quota = field(default_factory=_Quota)
    of_tokens: _Quota = field(default_factory=_Quota)

    def requests(self) -> int:
        return self.waiting + len(self.sent)


class Slot:
    """Room for one request; it is counted without end until `sent` or `release` is called."""

    __slots__ = ("_clock", "_counted", "expires_at", "tokens")

    def __init__(self, tokens: int, counted: _Counted, clock: Clock) -> None:
        self.tokens = tokens
        self.expires_at = math.inf
        self._counted = counted
        self._clock = clock

    def sent(self) -> None:
        """The minute begins: to be called once, right before the bytes leave."""
        if self.expires_at < math.inf:
            raise AssertionError("a slot is good for one request")
        self.expires_at = self._clock.monotonic() + WINDOW_SECONDS + TRAVEL_SECONDS
        self._counted.waiting -= 1
        self._counted.sent.append(self)

    def settle(self, tokens: int) -> None:
        """Puts the provider's count in the place of the estimate; without it the estimate stays."""
        if self._clock.monotonic() < self.expires_at:
            self._counted.tokens += tokens - self.tokens
            self.tokens = tokens

    def release(self) -> None:
        """Gives the room back if nothing was sent, else does nothing: it may stand in a `finally`."""
        if self.expires_at < math.inf:
            return
        self.expires_at = self._clock.monotonic()
        self._counted.waiting -= 1
        self._counted.tokens -= self.tokens
        self._counted.of_requests.left += 1
        self._counted.of_tokens.left += self.tokens


class SlidingMinute:
    """At most `requests` and `tokens` (estimated until settled) in any 60 s, measured where they arrive."""

    def __init__(self, requests: int, tokens: int, clock: Clock) -> None:
        self._requests = requests
        self._tokens = tokens
        self._clock = clock
        self._counted = _Counted()

    def look(self, tokens: int) -> tuple[int, bool]:
        """How many requests may be sent now, none if not one token is left; and whether one of so many tokens may."""
        now, counted = self._forget(), self._counted
        requests, room = self._requests - counted.requests(), self._tokens - counted.tokens
        if now < counted.of_requests.until:
            requests = min(requests, counted.of_requests.left)
        if now < counted.of_tokens.until:
            room = min(room, counted.of_tokens.left)
        return max(0, requests) if room >= 1 else 0, requests >= 1 and room >= tokens

    def room_for(self, tokens: int) -> bool:
        """Whether a request of so many tokens, input and output, may be sent now."""
        return self.look(tokens)[1]

    def remaining(self) -> int:
        """How many requests may be sent now."""
        return self.look(1)[0]

    def take(self, tokens: int) -> Slot:
        """Takes the room that `room_for` has just granted."""
        if not self.room_for(tokens):
            raise AssertionError("a request without room must be skipped")
        self._counted.waiting += 1
        self._counted.tokens += tokens
        self._counted.of_requests.left -= 1
        self._counted.of_tokens.left -= tokens
        return Slot(tokens, self._counted, self._clock)

    def resets_at_seconds(self) -> float:
        """Seconds until one more may be sent than now; 0 if all may. A slot that is not sent yet counts in full."""
        now, counted = self._forget(), self._counted
        waits = [it.until - now for it in (counted.of_requests, counted.of_tokens) if it.lacks(1, now)]
        full = counted.requests() >= self._requests or counted.tokens >= self._tokens
        if counted.requests() and (full or not waits):
            waits.append(counted.sent[0].expires_at - now if counted.sent else WINDOW_SECONDS + TRAVEL_SECONDS)
        return max(waits, default=0.0)

    def tighten(self, header: HeaderLookup) -> None:
        """Believes a reply's `x-ratelimit-remaining-*` until its `-reset-*`; nonsense changes nothing.

        Groq means requests of the day and tokens of the minute (https://console.groq.com/docs/rate-limits).
        """
        now = self._clock.monotonic()
        left, reset = header("x-ratelimit-remaining-requests"), header("x-ratelimit-reset-requests")
        self._counted.of_requests.believe(left, reset, now, self._requests)
        left, reset = header("x-ratelimit-remaining-tokens"), header("x-ratelimit-reset-tokens")
        self._counted.of_tokens.believe(left, reset, now, self._tokens)

    def restore(self, sent: Iterable[tuple[float, int]]) -> None:
        """Counts what was sent before the start, (seconds since it was recorded, tokens) each; before any `take`.

        Its process is gone, so nothing left later than now.
        """
        now = self._clock.monotonic()
        latest = sorted(sent, reverse=True)[-self._requests :]  # without room until the first of these expires
        for seconds_ago, tokens in latest:
            slot = Slot(tokens, self._counted, self._clock)
            slot.expires_at = now - max(0.0, seconds_ago - RECORD_MARGIN_SECONDS) + WINDOW_SECONDS + TRAVEL_SECONDS
            self._counted.sent.append(slot)
            self._counted.tokens += tokens

    def _forget(self) -> float:
        """Drops what is over a minute old; the time now."""
        now, sent = self._clock.monotonic(), self._counted.sent
        while sent and sent[0].expires_at <= now:
            self._counted.tokens -= sent.popleft().tokens
        return now


def reset_seconds(value: str) -> float | None:
    """A duration such as `2m59.56s`, `120ms` or `7` in seconds, at most a day; None if it is none."""
    match = _DURATION.fullmatch(value)
    if match is None:
        return None
    hours, minutes, seconds, milliseconds = match.groups("0")
    whole = int(hours) * 3600 + int(minutes) * 60
    return min(whole + float(seconds) + float(milliseconds) / 1000, RESET_LIMIT_SECONDS)
