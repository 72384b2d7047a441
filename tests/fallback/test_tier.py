"""One tier: why it is skipped, in which order the reasons count, and what a call leaves behind."""

from contextlib import ExitStack

import msgspec
import pytest

from ouija_es.domain.events import TierPolicy, TierState
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.breaker import Breaker
from ouija_es.fallback.rate_limit import SlidingMinute
from ouija_es.fallback.tier import HOLD_LIMIT_SECONDS, Evidence, Tier
from ouija_es.providers.canned import Canned
from ouija_es.providers.provider import Reply
from tests.still_clock import StillClock
from tests.tiers import reason_to_skip

TOKENS = 100
REPLY = Reply(text="Sí.", model="m", input_tokens=20, output_tokens=10)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def tier(
    clock: StillClock, *, configured: bool = True, concurrency: int = 2, requests: int = 3, tokens: int = 1_000
) -> Tier:
    policy = TierPolicy(
        provider=Provider.GROQ,
        configured=configured,
        model="m",
        timeout_ms=3_000,
        max_attempts=2,
        concurrency=concurrency,
    )
    provider = Canned([], {}) if configured else None  # never called here
    minute = SlidingMinute(requests, tokens, clock)
    return Tier(policy, provider, clock, breaker=Breaker(1, 30.0, clock), minute=minute)


def call(tier: Tier, outcome: Reply | ProviderError = REPLY) -> None:
    with tier.call(TOKENS) as made:
        made.sent()
        made.succeeded(outcome) if isinstance(outcome, Reply) else made.failed(outcome)


def test_a_fresh_tier_may_be_called(clock: StillClock) -> None:
    assert reason_to_skip(tier(clock), TOKENS) is None


def test_without_a_provider_there_is_nothing_to_call(clock: StillClock) -> None:
    assert reason_to_skip(tier(clock, configured=False), TOKENS) is Reason.NOT_CONFIGURED


def test_no_more_calls_than_allowed_at_once(clock: StillClock) -> None:
    crowded = tier(clock, concurrency=2)
    with ExitStack() as calls:
        for _ in range(2):
            assert reason_to_skip(crowded, TOKENS) is None
            calls.enter_context(crowded.call(TOKENS))
        assert crowded.state().in_flight == 2
        assert reason_to_skip(crowded, TOKENS) is Reason.SATURATED
    assert reason_to_skip(crowded, TOKENS) is None


def test_a_place_is_free_again_after_a_bug(clock: StillClock) -> None:
    crowded = tier(clock, concurrency=1)
    with pytest.raises(ZeroDivisionError), crowded.call(TOKENS):
        raise ZeroDivisionError
    assert reason_to_skip(crowded, TOKENS) is None


def test_a_tier_that_asked_for_it_is_left_alone(clock: StillClock) -> None:
    held = tier(clock)
    held.hold(5)
    held.hold(2)  # the longer wait counts

    assert held.state().held_ms == 5_000
    clock.seconds += 4.9
    assert reason_to_skip(held, TOKENS) is Reason.RATE_LIMITED
    clock.seconds += 0.1
    assert reason_to_skip(held, TOKENS) is None


def test_nobody_is_left_alone_for_longer_than_a_day(clock: StillClock) -> None:
    held = tier(clock)
    held.hold(1e9)

    clock.seconds += HOLD_LIMIT_SECONDS
    assert reason_to_skip(held, TOKENS) is None


def test_three_sends_are_all_that_three_a_minute_means(clock: StillClock) -> None:
    limited = tier(clock, requests=3)
    for left in (3, 2, 1):
        assert limited.state().requests_left == left
        assert reason_to_skip(limited, TOKENS) is None
        call(limited)

    assert reason_to_skip(limited, TOKENS) is Reason.BUCKET_EMPTY
    assert limited.state().requests_left == 0
    clock.seconds += 61
    assert reason_to_skip(limited, TOKENS) is None


def test_the_tokens_count_as_the_provider_counts_them(clock: StillClock) -> None:
    limited = tier(clock, requests=100, tokens=150)
    with limited.call(TOKENS) as made:
        assert reason_to_skip(limited, TOKENS) is Reason.BUCKET_EMPTY
        made.sent()
        made.succeeded(REPLY)  # 30 tokens

    assert reason_to_skip(limited, 120) is None
    assert reason_to_skip(limited, 121) is Reason.BUCKET_EMPTY


@pytest.mark.parametrize("failed", [False, True])
def test_what_a_reply_says_of_its_limits_is_believed(clock: StillClock, failed: bool) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    error, answered = ProviderError(Reason.BAD_REQUEST, rate_limit=headers), Reply("Sí.", "m", rate_limit=headers)
    limited = tier(clock)
    call(limited, error if failed else answered)

    assert reason_to_skip(limited, TOKENS) is Reason.BUCKET_EMPTY
    clock.seconds += 20
    assert reason_to_skip(limited, TOKENS) is None


def test_the_reasons_count_in_a_fixed_order(clock: StillClock) -> None:
    """An open breaker before a hold, that before the minute, that before the number in flight."""
    worst = tier(clock, concurrency=1, requests=2)
    call(worst)
    with ExitStack() as calls:
        calls.enter_context(worst.call(TOKENS)).sent()
        assert reason_to_skip(worst, TOKENS) is Reason.BUCKET_EMPTY  # and saturated
        worst.hold(60)
        assert reason_to_skip(worst, TOKENS) is Reason.RATE_LIMITED
        assert worst.breaker is not None
        worst.breaker.begin().failed(Reason.TIMEOUT)
        assert reason_to_skip(worst, TOKENS) is Reason.BREAKER_OPEN
        worst.policy = msgspec.structs.replace(worst.policy, configured=False)
        assert reason_to_skip(worst, TOKENS) is Reason.NOT_CONFIGURED


def test_an_open_breaker_is_seen_and_when_it_is_due(clock: StillClock) -> None:
    failing = tier(clock)
    call(failing, ProviderError(Reason.TIMEOUT))

    assert failing.state() == TierState(in_flight=0, breaker="open", requests_left=2, has_room=True)
    assert reason_to_skip(failing, TOKENS) is Reason.BREAKER_OPEN
    clock.seconds += 30
    assert failing.state().breaker == "due"
    assert reason_to_skip(failing, TOKENS) is None
    with failing.call(TOKENS):
        assert reason_to_skip(failing, TOKENS) is Reason.BREAKER_OPEN  # the trial is under way


def test_the_last_try_is_the_evidence(clock: StillClock) -> None:
    seen = tier(clock)
    assert seen.evidence is None
    call(seen, ProviderError(Reason.BAD_REQUEST))
    assert seen.evidence == Evidence(available=False, reason=Reason.BAD_REQUEST)
    call(seen)
    assert seen.evidence == Evidence(available=True, reason=None)
