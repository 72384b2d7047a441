"""What a process knew of its providers, the next one knows too: open breakers, and what the last minute took."""

import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ouija_es.clock import Clock
from ouija_es.domain.events import (
    AttemptStarted,
    AttemptSucceeded,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Event,
    PolicyAdopted,
    TierPolicy,
)
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.fallback.breaker import Breaker
from ouija_es.fallback.rate_limit import LOOK_BACK_SECONDS, RECORD_MARGIN_SECONDS, SlidingMinute
from ouija_es.fallback.tier import Tier
from ouija_es.ids import uuid7
from ouija_es.providers.canned import Canned
from ouija_es.restoring import UNCOUNTED_TOKENS, restore
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.vault import Vault
from tests.service import RunningService, providers
from tests.store.history import assert_whole, open_log, streams_of
from tests.store.rows import AT
from tests.stubs import StubProviders
from tests.tiers import reason_to_skip

GROQ = Provider.GROQ
REQUESTS, TOKENS = 3, 2_000


class StillClock(Clock):
    """The process that starts: `seconds` after AT."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return 50.0 + self.seconds


class Restart:
    """A log that an earlier process wrote, and the tier of the next one."""

    def __init__(self, database: Path) -> None:
        self.clock = StillClock()
        self.recorder = GroupCommit(database)
        self.recorder.start()
        self.log = EventLog(database, Vault(bytes(32)))

    async def record(self, stream: UUID, *events: Event) -> None:
        rows = [to_row(stream, number, event) for number, event in enumerate(events, 1)]
        await self.recorder.append(rows, seconds=30)

    async def breaker_changes(self, *changes: Event, configuration: str = "this") -> None:
        """Of an instance of its own."""
        instance = uuid7()
        adopted = PolicyAdopted(
            at=AT,
            instance=instance,
            service_version="1",
            deadline_ms=8_000,
            reserve_ms=1_000,
            tiers=(policy(configuration),),
            breaker_failures=5,
            breaker_open_ms=30_000,
            prompts_version=1,
            answers_digest="",
            categories_digest="",
        )
        for_instance = [type(it)(**fields(it) | {"instance": instance}) for it in changes]
        await self.record(instance, adopted, *for_instance)

    def tier(self, configuration: str = "this") -> Tier:
        restored = Tier(
            policy(configuration),
            Canned([], {}),
            self.clock,
            breaker=Breaker(5, 30.0, self.clock),
            minute=SlidingMinute(REQUESTS, TOKENS, self.clock),
        )
        restore([restored], self.log, self.clock)
        return restored


def fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def policy(configuration: str) -> TierPolicy:
    return TierPolicy(
        provider=GROQ,
        configured=True,
        model="m",
        timeout_ms=3_000,
        max_attempts=2,
        concurrency=64,
        configuration=configuration,
    )


def opened(seconds: float = 0.0, open_ms: int = 30_000, reason: Reason = Reason.TIMEOUT) -> BreakerOpened:
    at = AT + timedelta(seconds=seconds)
    return BreakerOpened(at=at, instance=uuid7(), provider=GROQ, reason=reason, failures=5, open_ms=open_ms)


def half_opened() -> BreakerHalfOpened:
    return BreakerHalfOpened(at=AT, instance=uuid7(), provider=GROQ)


def closed() -> BreakerClosed:
    return BreakerClosed(at=AT, instance=uuid7(), provider=GROQ)


def started(at: datetime, attempt: int = 1) -> AttemptStarted:
    return AttemptStarted(
        at=at, instance=uuid7(), provider=GROQ, attempt=attempt, model="m", timeout_ms=1, time_left_ms=1
    )


def succeeded(at: datetime, tokens: int, attempt: int = 1) -> AttemptSucceeded:
    return AttemptSucceeded(
        at=at,
        instance=uuid7(),
        provider=GROQ,
        attempt=attempt,
        reason=None,
        duration_ms=1,
        model="m",
        input_tokens=tokens - 1,
        output_tokens=1,
    )


@pytest.fixture
async def restart(tmp_path: Path) -> AsyncIterator[Restart]:
    restart = Restart(tmp_path / "ouija.db")
    yield restart
    await restart.recorder.close()
    restart.log.close()


async def test_nothing_recorded_is_nothing_known(restart: Restart) -> None:
    tier = restart.tier()
    assert reason_to_skip(tier, TOKENS) is None
    assert tier.state().requests_left == REQUESTS


async def test_an_open_breaker_stays_open_for_the_rest_of_its_time(restart: Restart) -> None:
    await restart.breaker_changes(opened())
    restart.clock.seconds = 10
    tier = restart.tier()

    assert reason_to_skip(tier, 1) is Reason.BREAKER_OPEN
    restart.clock.seconds = 29.9
    assert reason_to_skip(tier, 1) is Reason.BREAKER_OPEN
    restart.clock.seconds = 30
    assert reason_to_skip(tier, 1) is None
    assert tier.state().breaker == "due"


async def test_a_breaker_whose_time_is_over_is_due_for_its_trial(restart: Restart) -> None:
    await restart.breaker_changes(opened())
    restart.clock.seconds = 3_600

    assert restart.tier().state().breaker == "due"


async def test_a_clock_that_was_put_back_does_not_prolong_it(restart: Restart) -> None:
    await restart.breaker_changes(opened(seconds=3_600))
    tier = restart.tier()

    restart.clock.seconds = 30
    assert reason_to_skip(tier, 1) is None


async def test_another_configuration_starts_anew(restart: Restart) -> None:
    await restart.breaker_changes(opened(open_ms=3_600_000, reason=Reason.UNAUTHORIZED))

    assert reason_to_skip(restart.tier("another key"), 1) is None
    assert reason_to_skip(restart.tier("this"), 1) is Reason.BREAKER_OPEN


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ([opened(), half_opened()], "due"),
        ([opened(), half_opened(), closed()], "closed"),
        ([opened(), half_opened(), opened()], "open"),
        ([opened(), half_opened(), closed(), opened()], "open"),
    ],
)
async def test_the_last_change_counts(restart: Restart, changes: list[Event], state: str) -> None:
    await restart.breaker_changes(*changes)

    assert restart.tier().state().breaker == state


async def test_the_last_process_counts(restart: Restart) -> None:
    await restart.breaker_changes(opened())
    await restart.breaker_changes(opened(), half_opened(), closed())

    assert restart.tier().state().breaker == "closed"


async def test_what_was_sent_within_the_minute_is_counted(restart: Restart) -> None:
    for second in range(REQUESTS):
        await restart.record(uuid7(), started(AT + timedelta(seconds=second)))
    restart.clock.seconds = 40
    tier = restart.tier()

    assert tier.state().requests_left == 0
    assert reason_to_skip(tier, 1) is Reason.BUCKET_EMPTY
    restart.clock.seconds = LOOK_BACK_SECONDS - RECORD_MARGIN_SECONDS
    assert reason_to_skip(tier, 1) is Reason.BUCKET_EMPTY  # it may have left later than was recorded
    restart.clock.seconds = LOOK_BACK_SECONDS + 0.1
    assert reason_to_skip(tier, 1) is None


async def test_what_is_over_a_minute_old_is_not_counted(restart: Restart) -> None:
    for _ in range(REQUESTS):
        await restart.record(uuid7(), started(AT))
    restart.clock.seconds = LOOK_BACK_SECONDS + 0.1

    assert restart.tier().state().requests_left == REQUESTS


async def test_tokens_count_as_recorded_and_without_a_record_as_an_estimate(restart: Restart) -> None:
    await restart.record(uuid7(), started(AT), succeeded(AT, 700))
    await restart.record(uuid7(), started(AT))
    tier = restart.tier()

    assert reason_to_skip(tier, TOKENS - 700 - UNCOUNTED_TOKENS) is None
    assert reason_to_skip(tier, TOKENS - 700 - UNCOUNTED_TOKENS + 1) is Reason.BUCKET_EMPTY


# The real service.


@pytest.fixture(scope="module")
def running_stubs() -> Any:
    with StubProviders() as stubs:
        yield stubs


@pytest.fixture
def stubs(running_stubs: StubProviders) -> StubProviders:
    running_stubs.reset()
    return running_stubs


def first_attempt(service: RunningService) -> tuple[str, str | None]:
    attempt = service.ask("¿Y ahora?").raise_for_status().json()["attempts"][0]
    assert attempt["provider"] == "groq"
    return attempt["outcome"], attempt["reason"]


def changes(database: Path) -> list[str]:
    """The breakers' changes as they are recorded, by name and provider."""
    log = open_log(database)
    streams = streams_of(log)
    log.close()
    assert_whole(streams)
    instances = [history[1:] for history in streams.values() if isinstance(history[0].event, PolicyAdopted)]
    return [f"{type(it.event).__name__} {it.event.provider}" for history in instances for it in history]  # type: ignore[attr-defined]


def test_a_breaker_opens_is_tried_and_closes_and_each_change_is_an_event(tmp_path: Path, stubs: StubProviders) -> None:
    variables = providers(stubs.groq_url, stubs.ollama_url, BREAKER_FAILURES="3", BREAKER_OPEN_SECONDS="1")
    stubs.behave("groq", "html")
    with RunningService(tmp_path, **variables) as service:
        for _ in range(3):
            assert first_attempt(service) == ("failed", "malformed_response")
        assert first_attempt(service) == ("skipped", "breaker_open")
        assert stubs.calls("groq") == 3
        time.sleep(1)
        assert first_attempt(service) == ("failed", "malformed_response")  # the trial
        assert stubs.calls("groq") == 4
        stubs.behave("groq", "ok")
        while first_attempt(service) == ("skipped", "breaker_open"):
            time.sleep(0.05)
        assert first_attempt(service) == ("answered", None)
        assert service.stop() == 0
    assert changes(service.database) == [
        *("BreakerOpened groq", "BreakerHalfOpened groq", "BreakerOpened groq"),
        *("BreakerHalfOpened groq", "BreakerClosed groq"),
    ]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_breaker_is_still_open_after_a_restart_but_not_for_another_key(
    tmp_path: Path, stubs: StubProviders, end: str
) -> None:
    variables = providers(stubs.groq_url, stubs.ollama_url, BREAKER_FAILURES="1000000")
    stubs.behave("groq", "status", code=401)
    with RunningService(tmp_path, **variables) as service:
        assert first_attempt(service) == ("failed", "unauthorized")
        assert first_attempt(service) == ("skipped", "breaker_open")  # at once
        getattr(service, end)()
    stubs.behave("groq", "ok")
    with RunningService(tmp_path, **variables) as service:
        assert first_attempt(service) == ("skipped", "breaker_open")
        service.stop()
    with RunningService(tmp_path, **variables | {"GROQ_API_KEY": "gsk_another-key-of-the-tests"}) as service:
        assert first_attempt(service) == ("answered", None)
    assert stubs.calls("groq") == 2
    assert changes(tmp_path / "ouija.db") == ["BreakerOpened groq"]  # a start closes questions, not processes


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_three_a_minute_are_three_a_minute_also_across_a_restart(
    tmp_path: Path, stubs: StubProviders, end: str
) -> None:
    variables = providers(stubs.groq_url, stubs.ollama_url, GROQ_REQUESTS_PER_MINUTE="3")
    with RunningService(tmp_path, **variables) as service:
        assert [first_attempt(service) for _ in range(2)] == [("answered", None)] * 2
        getattr(service, end)()
    with RunningService(tmp_path, **variables) as service:
        assert first_attempt(service) == ("answered", None)
        for _ in range(3):
            assert first_attempt(service) == ("skipped", "bucket_empty")
        service.stop()
    with RunningService(tmp_path, **variables) as service:
        assert first_attempt(service) == ("skipped", "bucket_empty")
    assert stubs.calls("groq") == 3
