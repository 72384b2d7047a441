"""A provider that fails is left alone, tried with exactly one call, and believed again after one answer."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouija_es.domain.vocabulary import Reason
from ouija_es.fallback.breaker import Breaker, Change, Permit
from tests.still_clock import StillClock

COUNTED = [
    Reason.TIMEOUT,
    Reason.CONNECTION,
    Reason.SERVER_ERROR,
    Reason.MALFORMED_RESPONSE,
    Reason.EMPTY_ANSWER,
]
ANSWERED_ANYHOW = [Reason.BAD_REQUEST, Reason.REFUSED, Reason.TRUNCATED]
NO_EVIDENCE = [reason for reason in Reason if reason not in {*COUNTED, *ANSWERED_ANYHOW, Reason.UNAUTHORIZED}]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def breaker(clock: StillClock) -> Breaker:
    return Breaker(3, 30.0, clock)


def fail(breaker: Breaker, *reasons: Reason) -> list[Change | None]:
    return [breaker.begin().failed(reason) for reason in reasons]


def open_it(breaker: Breaker) -> Change | None:
    return fail(breaker, *[Reason.TIMEOUT] * 3)[-1]


def trial(breaker: Breaker, clock: StillClock) -> Permit:
    """The one call of a breaker that has been open for its time."""
    open_it(breaker)
    clock.seconds += 30
    return breaker.begin()


def test_a_new_breaker_lets_calls_through_side_by_side(breaker: Breaker) -> None:
    assert [breaker.begin().change for _ in range(9)] == [None] * 9
    assert breaker.allows()
    assert not breaker.is_open


def test_the_failure_that_fills_the_count_opens_it(breaker: Breaker) -> None:
    assert fail(breaker, Reason.CONNECTION, Reason.TIMEOUT) == [None, None]
    assert breaker.allows()
    assert fail(breaker, Reason.SERVER_ERROR) == [Change("opened", Reason.SERVER_ERROR, 3, 30.0)]
    assert breaker.is_open
    assert breaker.reason is Reason.SERVER_ERROR
    assert not breaker.allows()


@pytest.mark.parametrize("reason", COUNTED)
def test_every_failure_of_the_provider_counts(breaker: Breaker, reason: Reason) -> None:
    assert fail(breaker, reason, reason, reason)[-1] == Change("opened", reason, 3, 30.0)


@pytest.mark.parametrize("reason", ANSWERED_ANYHOW + NO_EVIDENCE)
def test_what_is_not_the_providers_failure_neither_counts_nor_clears(breaker: Breaker, reason: Reason) -> None:
    assert fail(breaker, *[reason] * 9) == [None] * 9
    fail(breaker, Reason.TIMEOUT, Reason.TIMEOUT, reason)
    assert not breaker.is_open
    fail(breaker, Reason.TIMEOUT)
    assert breaker.is_open


def test_a_success_clears_the_failures(breaker: Breaker) -> None:
    for _ in range(5):
        fail(breaker, Reason.TIMEOUT, Reason.TIMEOUT)
        assert breaker.begin().succeeded() is None
    assert not breaker.is_open


@pytest.mark.parametrize(("pause", "opens"), [(29.9, True), (30.0, False)])
def test_failures_count_for_a_minute(breaker: Breaker, clock: StillClock, pause: float, opens: bool) -> None:
    for _ in range(2):
        fail(breaker, Reason.TIMEOUT)
        clock.seconds += pause
    fail(breaker, Reason.TIMEOUT)
    assert breaker.is_open is opens


def test_one_failure_in_a_while_never_opens_it(breaker: Breaker, clock: StillClock) -> None:
    for _ in range(50):
        assert fail(breaker, Reason.TIMEOUT) == [None]
        clock.seconds += 31


def test_one_failure_is_enough_if_so_configured(clock: StillClock) -> None:
    assert fail(Breaker(1, 5.0, clock), Reason.TIMEOUT) == [Change("opened", Reason.TIMEOUT, 1, 5.0)]


def test_it_stays_open_for_its_time_and_not_longer(breaker: Breaker, clock: StillClock) -> None:
    open_it(breaker)
    clock.seconds += 29.999
    assert not breaker.allows()
    clock.seconds += 0.001
    assert breaker.allows()
    assert breaker.is_open


def test_looking_takes_nothing(breaker: Breaker, clock: StillClock) -> None:
    open_it(breaker)
    clock.seconds += 30
    assert all(breaker.allows() for _ in range(5))
    assert breaker.begin().change == Change("half_opened", Reason.TIMEOUT, 0, 0.0)


def test_there_is_one_trial_however_long_it_takes(breaker: Breaker, clock: StillClock) -> None:
    assert trial(breaker, clock).change is not None
    assert not breaker.allows()
    clock.seconds += 10_000
    assert not breaker.allows()
    assert breaker.is_open


def test_a_call_without_leave_is_a_bug(breaker: Breaker) -> None:
    open_it(breaker)
    with pytest.raises(AssertionError):
        breaker.begin()


def test_a_trial_that_succeeds_closes_it(breaker: Breaker, clock: StillClock) -> None:
    assert trial(breaker, clock).succeeded() == Change("closed", Reason.TIMEOUT, 0, 0.0)
    assert not breaker.is_open
    assert breaker.reason is None
    assert fail(breaker, Reason.TIMEOUT, Reason.TIMEOUT) == [None, None], "it starts from nothing"


@pytest.mark.parametrize("reason", ANSWERED_ANYHOW)
def test_a_trial_that_the_provider_dealt_with_closes_it(breaker: Breaker, clock: StillClock, reason: Reason) -> None:
    assert trial(breaker, clock).failed(reason) == Change("closed", Reason.TIMEOUT, 0, 0.0)
    assert not breaker.is_open


@pytest.mark.parametrize("reason", COUNTED)
def test_a_trial_that_fails_opens_it_for_the_full_time_again(
    breaker: Breaker, clock: StillClock, reason: Reason
) -> None:
    permit = trial(breaker, clock)
    clock.seconds += 3
    assert permit.failed(reason) == Change("opened", reason, 1, 30.0)
    clock.seconds += 29.999
    assert not breaker.allows()
    clock.seconds += 0.001
    assert breaker.allows()


@pytest.mark.parametrize("end", [Permit.abandoned, *[lambda p, r=r: p.failed(r) for r in NO_EVIDENCE]])
def test_a_trial_without_evidence_leaves_its_place_to_the_next(
    breaker: Breaker, clock: StillClock, end: Callable[[Permit], Change | None]
) -> None:
    first = trial(breaker, clock)
    assert end(first) is None
    assert breaker.is_open
    assert breaker.reason is Reason.TIMEOUT
    second = breaker.begin()
    assert second.change == Change("half_opened", Reason.TIMEOUT, 0, 0.0)
    assert first.succeeded() is None
    assert not breaker.allows(), "the second is still under way"
    assert second.succeeded() == Change("closed", Reason.TIMEOUT, 0, 0.0)


@pytest.mark.parametrize("reason", [None, Reason.TIMEOUT, Reason.BAD_REQUEST, Reason.RATE_LIMITED])
def test_abandoning_after_a_report_changes_nothing(breaker: Breaker, clock: StillClock, reason: Reason | None) -> None:
    permit = trial(breaker, clock)
    _ = permit.succeeded() if reason is None else permit.failed(reason)
    before = (breaker.is_open, breaker.allows(), breaker.reason)
    permit.abandoned()
    assert (breaker.is_open, breaker.allows(), breaker.reason) == before


def test_a_refused_key_opens_it_at_once_and_for_long(breaker: Breaker, clock: StillClock) -> None:
    assert fail(breaker, Reason.UNAUTHORIZED) == [Change("opened", Reason.UNAUTHORIZED, 1, 3_600.0)]
    clock.seconds += 3_599
    assert not breaker.allows()
    clock.seconds += 1
    assert breaker.begin().failed(Reason.UNAUTHORIZED) == Change("opened", Reason.UNAUTHORIZED, 1, 3_600.0)
    assert not breaker.allows()


def test_a_trial_with_a_refused_key_opens_it_for_long(breaker: Breaker, clock: StillClock) -> None:
    assert trial(breaker, clock).failed(Reason.UNAUTHORIZED) == Change("opened", Reason.UNAUTHORIZED, 1, 3_600.0)


def late(breaker: Breaker, clock: StillClock, moment: str) -> tuple[Permit, Permit | None]:
    """A call begun while closed, and the breaker as it is at `moment`, with its trial if there is one."""
    old = breaker.begin()
    open_it(breaker)
    if moment == "open":
        return old, None
    clock.seconds += 30
    if moment == "due":
        return old, None
    running = breaker.begin()
    if moment == "closed again":
        running.succeeded()
    return old, running


@pytest.mark.parametrize("moment", ["open", "due", "half-open", "closed again"])
@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_call_from_before_it_opened_decides_nothing(
    breaker: Breaker, clock: StillClock, moment: str, reason: Reason | None
) -> None:
    old, running = late(breaker, clock, moment)
    before = (breaker.is_open, breaker.allows(), breaker.reason)
    assert (old.succeeded() if reason is None else old.failed(reason)) is None
    assert (breaker.is_open, breaker.allows(), breaker.reason) == before
    if moment == "open":
        clock.seconds += 30
        assert breaker.allows(), "and it is not open for longer"
    if moment == "half-open" and running is not None:
        assert running.succeeded() == Change("closed", Reason.TIMEOUT, 0, 0.0)
    if moment == "closed again":
        assert fail(breaker, Reason.TIMEOUT, Reason.TIMEOUT) == [None, None], "nor is it counted"


@pytest.mark.parametrize(
    ("seconds_ago", "left"), [(0.0, 30.0), (12.0, 18.0), (30.0, 0.0), (9_999.0, 0.0), (-50.0, 30.0)]
)
def test_after_a_restart_it_is_open_for_the_rest_of_its_time(
    breaker: Breaker, clock: StillClock, seconds_ago: float, left: float
) -> None:
    breaker.restore("opened", Reason.CONNECTION, seconds_ago, 30.0)
    assert breaker.is_open
    assert breaker.reason is Reason.CONNECTION
    if left:
        clock.seconds += left - 0.001
        assert not breaker.allows()
        clock.seconds += 0.001
    assert breaker.begin().change == Change("half_opened", Reason.CONNECTION, 0, 0.0)
    assert not breaker.allows()


def test_a_trial_cut_short_by_a_restart_is_made_again(breaker: Breaker) -> None:
    breaker.restore("half_opened", Reason.TIMEOUT, 1.0, 0.0)
    assert breaker.is_open
    permit = breaker.begin()
    assert not breaker.allows()
    assert permit.failed(Reason.TIMEOUT) == Change("opened", Reason.TIMEOUT, 1, 30.0)


def test_after_a_restart_a_refused_key_is_not_tried_again(breaker: Breaker, clock: StillClock) -> None:
    breaker.restore("opened", Reason.UNAUTHORIZED, 600.0, 3_600.0)
    clock.seconds += 2_999
    assert not breaker.allows()


def test_what_was_closed_stays_closed(breaker: Breaker) -> None:
    breaker.restore("closed", Reason.TIMEOUT, 1.0, 0.0)
    assert not breaker.is_open
    assert breaker.reason is None
    assert breaker.begin().change is None


steps = st.lists(  # long ones with much failing, or it would hardly ever open
    st.tuples(
        st.sampled_from([*["begin"] * 5, *["end"] * 5, *["wait"] * 3, "restart"]),
        st.sampled_from([0.5, 1.0, 29.0, 30.0]),
        st.integers(0, 9),
        st.sampled_from([None, *Reason, *COUNTED * 4]),
    ),
    min_size=40,
    max_size=120,
)
FOLLOWS = {"closed": {"opened"}, "opened": {"half_opened"}, "half_opened": {"opened", "half_opened", "closed"}}


@settings(deadline=None)
@given(steps)
def test_whatever_happens_an_open_provider_gets_one_call_at_a_time_and_none_before_it_is_due(steps: list) -> None:
    clock = StillClock()
    breaker = Breaker(3, 30.0, clock)
    running: list[Permit] = []
    trials: list[Permit] = []
    log: list[tuple[float, Change]] = [(clock.seconds, Change("closed", None, 0, 0.0))]
    for name, seconds, index, reason in steps:
        change = None
        last_at, last = log[-1]
        if name == "wait":
            clock.seconds += seconds
        elif name == "begin" and breaker.allows():
            running.append(breaker.begin())
            change = running[-1].change
            if last.kind != "closed":
                assert trials == []
                assert clock.seconds >= last_at + last.open_seconds
                trials.append(running[-1])
        elif name == "end" and running:
            permit = running.pop(index % len(running))
            change = permit.succeeded() if reason is None else permit.failed(reason)
            assert change is None or permit in trials or log[-1][1].kind == "closed"
            trials = [other for other in trials if other is not permit]
        elif name == "restart":
            breaker = Breaker(3, 30.0, clock)
            breaker.restore(last.kind, last.reason, clock.seconds - last_at, last.open_seconds)
            running, trials = [], []
        if change is not None:
            assert change.kind in FOLLOWS[log[-1][1].kind]
            log.append((clock.seconds, change))
        assert breaker.is_open is (log[-1][1].kind != "closed")
        assert breaker.allows() or breaker.is_open
