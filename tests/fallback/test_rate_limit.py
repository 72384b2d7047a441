"""No minute at the provider ever holds more than was agreed, whatever delays a send and whoever restarts."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouija_es.fallback.rate_limit import (
    BELIEVED_SECONDS,
    LOOK_BACK_SECONDS,
    RECORD_MARGIN_SECONDS,
    RESET_LIMIT_SECONDS,
    TRAVEL_SECONDS,
    WINDOW_SECONDS,
    SlidingMinute,
    Slot,
    reset_seconds,
)
from tests.still_clock import StillClock

COUNTED = WINDOW_SECONDS + TRAVEL_SECONDS


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def minute(clock: StillClock) -> SlidingMinute:
    return SlidingMinute(30, 6_000, clock)


def send(minute: SlidingMinute, tokens: int = 1) -> Slot:
    slot = minute.take(tokens)
    slot.sent()
    return slot


def headers(**fields: str) -> dict[str, str]:
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in fields.items()}


def test_thirty_a_minute_are_thirty_in_the_first_minute_too(minute: SlidingMinute, clock: StillClock) -> None:
    for sent in range(30):
        assert minute.remaining() == 30 - sent
        send(minute)
        clock.seconds += 1
    assert not minute.room_for(1)
    assert minute.remaining() == 0
    assert minute.resets_at_seconds() == COUNTED - 30
    clock.seconds += COUNTED - 30
    assert minute.remaining() == 1
    send(minute)
    assert not minute.room_for(1)
    assert minute.resets_at_seconds() == 1


def test_a_request_without_room_is_a_bug(minute: SlidingMinute) -> None:
    with pytest.raises(AssertionError):
        minute.take(6_001)


def test_tokens_are_counted_as_well(minute: SlidingMinute, clock: StillClock) -> None:
    send(minute, 3_500)
    assert minute.room_for(2_500)
    assert not minute.room_for(2_501)
    send(minute, 2_500)
    assert minute.remaining() == 0, "there are requests left, but not one token"
    assert minute.resets_at_seconds() == COUNTED
    clock.seconds += COUNTED
    assert minute.room_for(6_000)


def test_a_slot_is_counted_before_it_is_sent_and_its_minute_begins_when_it_is(
    minute: SlidingMinute, clock: StillClock
) -> None:
    slots = [minute.take(1) for _ in range(30)]
    clock.seconds += 1_000
    assert not minute.room_for(1)
    assert minute.resets_at_seconds() == COUNTED
    for slot in slots:
        slot.sent()
    clock.seconds += COUNTED - 0.001
    assert not minute.room_for(1)
    clock.seconds += 0.001
    assert minute.remaining() == 30
    assert minute.resets_at_seconds() == 0


def test_slots_expire_in_the_order_in_which_they_were_sent(minute: SlidingMinute, clock: StillClock) -> None:
    early, late = minute.take(100), minute.take(1_000)
    late.sent()
    clock.seconds += 10
    early.sent()
    clock.seconds += COUNTED - 10
    assert minute.room_for(5_900)
    assert not minute.room_for(5_901)


def test_a_slot_is_good_for_one_request(minute: SlidingMinute) -> None:
    slot = send(minute)
    with pytest.raises(AssertionError):
        slot.sent()
    released = minute.take(1)
    released.release()
    with pytest.raises(AssertionError):
        released.sent()


def test_settling_puts_the_providers_count_in_the_place_of_the_estimate(
    minute: SlidingMinute, clock: StillClock
) -> None:
    slot = send(minute, 6_000)
    assert not minute.room_for(1)
    slot.settle(400)
    assert minute.room_for(5_600)
    slot.settle(5_000)
    assert not minute.room_for(1_001)
    clock.seconds += COUNTED
    assert minute.room_for(6_000)
    assert not minute.room_for(6_001)


@pytest.mark.parametrize("looked", [True, False])
def test_settling_after_the_minute_counts_nothing(minute: SlidingMinute, clock: StillClock, looked: bool) -> None:
    slot = send(minute, 100)
    clock.seconds += COUNTED
    if looked:
        assert minute.room_for(6_000)
    slot.settle(5_000)
    assert minute.room_for(6_000)
    assert not minute.room_for(6_001)


def test_what_was_not_sent_is_given_back_once(minute: SlidingMinute) -> None:
    slot = minute.take(6_000)
    slot.release()
    slot.release()
    slot.settle(50)
    assert minute.remaining() == 30
    assert minute.room_for(6_000)
    assert not minute.room_for(6_001)


def test_what_was_sent_is_not_given_back(minute: SlidingMinute) -> None:
    send(minute, 6_000).release()
    assert minute.remaining() == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("120ms", 0.12),
        ("1h2m3s", 3_723.0),
        ("6m0s", 360.0),
        ("1h", 3_600.0),
        ("1h0m0.5s", 3_600.5),
        ("17.5ms", 0.0175),
        ("0s", 0.0),
        ("7", 7.0),
        ("0.25", 0.25),
        ("23h59m60s", RESET_LIMIT_SECONDS),
        ("25h", RESET_LIMIT_SECONDS),
        ("1764000000", RESET_LIMIT_SECONDS),
    ],
)
def test_a_reset_is_read_in_every_known_form_and_capped_at_a_day(value: str, seconds: float) -> None:
    assert reset_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "s",
        "ms",
        "-1s",
        "+1",
        "1e3",
        "nan",
        "inf",
        "1.s",
        ".5s",
        "5x",
        "1s2m",
        "1m2ms3",
        "٣s",
        "1s\n",
        "9" * 500,
    ],
)
def test_a_reset_in_no_known_form_is_none(value: str) -> None:
    assert reset_seconds(value) is None


def test_no_request_left_is_no_request_until_the_reset(minute: SlidingMinute, clock: StillClock) -> None:
    minute.tighten(headers(remaining_requests="0", reset_requests="59.5s").get)
    assert not minute.room_for(1)
    assert minute.remaining() == 0
    assert minute.resets_at_seconds() == 59.5
    clock.seconds += 59.25
    assert not minute.room_for(1)
    clock.seconds += 0.25
    assert minute.remaining() == 30


def test_a_reset_of_hours_is_believed_for_a_minute(minute: SlidingMinute, clock: StillClock) -> None:
    minute.tighten(headers(remaining_requests="0", reset_requests="23h59m54s").get)
    assert not minute.room_for(1)
    clock.seconds += BELIEVED_SECONDS
    assert minute.room_for(1)


def test_few_requests_left_go_round_once(minute: SlidingMinute) -> None:
    minute.tighten(headers(remaining_requests="2", reset_requests="1h").get)
    assert minute.remaining() == 2
    given_back, _ = minute.take(1), minute.take(1)
    assert not minute.room_for(1)
    given_back.release()
    assert minute.remaining() == 1
    minute.tighten(headers(remaining_requests="14000", reset_requests="40m").get)
    assert minute.remaining() == 29, "the latest reply counts, and the minute's own limit stays"


def test_few_tokens_left_bar_what_needs_more(minute: SlidingMinute, clock: StillClock) -> None:
    minute.tighten(headers(remaining_tokens="500", reset_tokens="7.5s").get)
    assert minute.room_for(500)
    assert not minute.room_for(501)
    slot = minute.take(400)
    assert not minute.room_for(101)
    slot.release()
    assert minute.room_for(500)
    clock.seconds += 7.5
    assert minute.room_for(501)


def test_the_wait_is_for_what_bars_the_next_request(minute: SlidingMinute, clock: StillClock) -> None:
    send(minute)
    minute.tighten(headers(remaining_tokens="0", reset_tokens="5s").get)
    assert minute.resets_at_seconds() == 5, "the minute itself has room"
    clock.seconds += 5
    for _ in range(29):
        send(minute)
    minute.tighten(headers(remaining_requests="0", reset_requests="5s").get)
    assert minute.resets_at_seconds() == COUNTED - 5, "the minute is full for longer"
    minute.tighten(headers(remaining_requests="0", reset_requests="1h").get)
    assert minute.resets_at_seconds() == BELIEVED_SECONDS


@pytest.mark.parametrize(
    "said",
    [
        {},
        headers(remaining_requests="0", remaining_tokens="0"),
        headers(reset_requests="1h", reset_tokens="1h"),
        headers(remaining_requests="none", reset_requests="1h", remaining_tokens="", reset_tokens="1h"),
        headers(remaining_requests="-1", reset_requests="1h", remaining_tokens="0.0", reset_tokens="1h"),
        headers(remaining_requests="0", reset_requests="soon", remaining_tokens="0", reset_tokens="-1s"),
        headers(remaining_requests="٠", reset_requests="1h", remaining_tokens="9" * 5_000, reset_tokens="1h"),
        headers(remaining_requests="0", reset_requests="0s", remaining_tokens="0", reset_tokens="0"),
    ],
)
def test_what_a_provider_does_not_say_or_says_in_no_known_form_changes_nothing(
    minute: SlidingMinute, said: dict[str, str]
) -> None:
    minute.tighten(said.get)
    assert minute.remaining() == 30
    assert minute.room_for(6_000)
    minute.tighten(headers(remaining_requests="3", reset_requests="1h").get)
    minute.tighten({**said, **headers(reset_requests="never")}.get)
    assert minute.remaining() == 3


NAMES = sorted(headers(remaining_requests="", reset_requests="", remaining_tokens="", reset_tokens=""))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.text("0123456789.hms", min_size=1)))
def test_no_header_breaks_it(said: dict[str, str]) -> None:
    minute = SlidingMinute(30, 6_000, StillClock())
    minute.tighten(said.get)
    assert minute.resets_at_seconds() <= RESET_LIMIT_SECONDS


def test_after_a_restart_earlier_sends_count_from_the_latest_they_can_have_left(
    minute: SlidingMinute, clock: StillClock
) -> None:
    minute.restore([(0.0, 1_000), (30.0, 1_000), (LOOK_BACK_SECONDS, 1_000), (5_000.0, 1_000), (-9.0, 1_000)])
    assert minute.remaining() == 27
    assert not minute.room_for(3_001)
    assert minute.resets_at_seconds() == COUNTED + RECORD_MARGIN_SECONDS - 30
    clock.seconds += COUNTED + RECORD_MARGIN_SECONDS - 30
    assert minute.remaining() == 28
    clock.seconds = 1_000 + COUNTED
    assert minute.remaining() == 30, "nothing left after the restart that the old process sent"


def test_only_the_latest_of_a_long_history_are_kept(clock: StillClock) -> None:
    minute = SlidingMinute(3, 100, clock)
    minute.restore((float(ago), 1) for ago in range(11, 61))
    assert len(minute._counted.sent) == 3
    assert minute.resets_at_seconds() == COUNTED - (13 - RECORD_MARGIN_SECONDS)


@dataclass
class Request:
    """One request as the outside sees it."""

    recorded_at: float
    slot: Slot
    arrives_at: float | None = None
    tokens: int = 0


eighths = st.integers  # times in eighths of a second: exact as floats
travels = eighths(0, int(TRAVEL_SECONDS * 8))
needs = st.sampled_from([1, 5, 20, 50, 100])
indexes = st.integers(0, 9)
operations = st.lists(  # long ones, or no minute would ever be full
    st.one_of(
        st.tuples(st.just("ask"), needs, travels),
        st.tuples(st.just("take"), needs, st.just(0)),
        st.tuples(st.just("send"), indexes, travels),
        st.tuples(st.just("settle"), indexes, st.integers(0, 100)),
        st.tuples(st.just("release"), indexes, st.just(0)),
        st.tuples(st.just("wait"), eighths(1, 100), st.just(0)),
        st.tuples(st.just("wait_for_room"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    min_size=40,
    max_size=100,
)


class World:
    """A provider that counts arrivals, a log, and a process that may be killed: a limit of 4 requests, 100 tokens."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.minute = SlidingMinute(4, 100, self.clock)
        self.recorded: list[Request] = []
        self.waiting: list[Request] = []
        self.flying: list[Request] = []

    def take(self, tokens: int, _: int) -> None:
        """The record is written down at once, its commit takes as long as the next operations do."""
        if self.minute.room_for(tokens):
            request = Request(self.clock.seconds, self.minute.take(tokens), tokens=tokens)
            self.recorded.append(request)
            self.waiting.append(request)

    def ask(self, tokens: int, travel: int) -> None:
        """Sends as much as there is room for, as fast as it goes."""
        while self.minute.room_for(tokens):
            self.take(tokens, 0)
            self.send(-1, travel)

    def send(self, index: int, travel: int) -> None:
        if not self.waiting:
            return
        request = self.waiting.pop(index % len(self.waiting))
        if self.clock.seconds - request.recorded_at > RECORD_MARGIN_SECONDS:
            request.slot.release()  # over the deadline
            return
        request.slot.sent()
        request.arrives_at = self.clock.seconds + travel / 8
        self.flying.append(request)

    def settle(self, index: int, percent: int) -> None:
        if self.flying:
            request = self.flying.pop(index % len(self.flying))
            request.tokens = request.tokens * percent // 100
            request.slot.settle(request.tokens)

    def release(self, index: int, _: int) -> None:
        if self.waiting:
            self.waiting.pop(index % len(self.waiting)).slot.release()

    def wait(self, time: int, _: int) -> None:
        self.clock.seconds += time / 8

    def wait_for_room(self, *_: int) -> None:
        self.clock.seconds += self.minute.resets_at_seconds()

    def restart(self, *_: int) -> None:
        """The log knows all that was recorded, also what was never sent."""
        now = self.clock.seconds
        self.minute = SlidingMinute(4, 100, self.clock)
        self.minute.restore(
            (now - request.recorded_at, request.tokens)
            for request in self.recorded
            if now - request.recorded_at < LOOK_BACK_SECONDS
        )
        self.waiting, self.flying = [], []


@settings(max_examples=150, deadline=None)
@given(operations)
def test_no_minute_at_the_provider_holds_more_than_the_limit(operations: list[tuple[str, int, int]]) -> None:
    world = World()
    for name, first, second in operations:
        getattr(world, name)(first, second)
        assert 0 <= world.minute.remaining() <= 4
        assert len(world.minute._counted.sent) <= 4
        assert world.minute.resets_at_seconds() >= 0
    arrived = [(r.arrives_at, r.tokens) for r in world.recorded if r.arrives_at is not None]
    for end, _ in arrived:
        window = [tokens for at, tokens in arrived if end - 60 < at <= end]
        assert len(window) <= 4
        assert sum(window) <= 100
