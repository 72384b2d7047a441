"""The chain: every step told in its order, in time, and nobody called who should not be."""

from contextlib import aclosing
from typing import Any

import pytest

from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded, TierPolicy
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.fallback.breaker import Breaker, Change
from ouija_es.fallback.chain import Chain
from ouija_es.fallback.deadline import Deadline
from ouija_es.fallback.rate_limit import SlidingMinute
from ouija_es.fallback.tier import HOLD_LIMIT_SECONDS, Tier
from ouija_es.ids import uuid7
from ouija_es.providers.provider import Query, Reply
from tests.fallback import listening
from tests.fallback.listening import Delta, Discard
from tests.fallback.scripted import Scripted, error, reply
from tests.still_clock import StillClock

DEADLINE_SECONDS = 8.0
INSTANCE = uuid7()


def query(*, at_risk: bool = False) -> Query:
    return Query(uuid7(), "¿Sí?", Personality.WISE, Language.ES, Category.GENERAL, at_risk=at_risk)


class Setting:
    """A chain of three scripted tiers; what a test changes, it changes before `run`."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.changes: list[tuple[Provider, Change]] = []
        self.providers = {name: Scripted(name, self.clock) for name in Provider}
        self.breakers = {name: Breaker(3, 30.0, self.clock) for name in (Provider.GROQ, Provider.OLLAMA)}
        self.minute = SlidingMinute(1_000, 1_000_000, self.clock)
        self.random = 0.5
        self.max_attempts = 2
        self.tiers: dict[Provider, Tier] = {}

    def says(self, name: Provider, *script: Any, takes_seconds: float = 0.0) -> Scripted:
        self.providers[name] = Scripted(name, self.clock, *script, takes_seconds=takes_seconds)
        if name in self.tiers:
            self.tiers[name].provider = self.providers[name]
        return self.providers[name]

    def chain(self) -> Chain:
        if not self.tiers:
            self.tiers = {name: self._tier(name) for name in Provider}
        tiers = list(self.tiers.values())
        return Chain(tiers, clock=self.clock, instance=INSTANCE, random=lambda: self.random)

    def _tier(self, name: Provider) -> Tier:
        policy = TierPolicy(
            provider=name,
            configured=True,
            model=f"model-of-{name}",
            timeout_ms=3_000,
            max_attempts=1 if name is Provider.DATABASE else self.max_attempts,
            concurrency=2,
        )
        return Tier(
            policy,
            self.providers[name],
            self.clock,
            breaker=self.breakers.get(name),
            minute=self.minute if name is Provider.GROQ else None,
            on_change=lambda provider, change: self.changes.append((provider, change)),
        )

    def deadline(self, seconds: float = DEADLINE_SECONDS) -> Deadline:
        return Deadline(seconds, self.clock)

    async def run(self, **options: Any) -> list[Any]:
        """Everything the chain tells: events and pieces; the reply last."""
        deadline = options.pop("deadline", self.deadline())
        asked = query(at_risk=options.pop("at_risk", False))
        return [item async for item in listening.items(self.chain(), asked, deadline, **options)]

    async def attempts(self, **options: Any) -> list[tuple[str, str, str | None]]:
        """(provider, outcome, reason) of each try."""
        return told(await self.run(**options))


def told(items: list[Any]) -> list[tuple[str, str, str | None]]:
    outcomes = {AttemptSucceeded: "answered", AttemptFailed: "failed", AttemptSkipped: "skipped"}
    return [
        (item.provider.value, outcomes[type(item)], item.reason and item.reason.value)
        for item in items
        if type(item) in outcomes
    ]


@pytest.fixture
def setting() -> Setting:
    return Setting()


GROQ, OLLAMA, DATABASE = Provider.GROQ, Provider.OLLAMA, Provider.DATABASE
DATABASE_ANSWERS = ("database", "answered", None)
OLLAMA_ANSWERS = ("ollama", "answered", None)


async def test_the_first_who_answers_ends_the_chain(setting: Setting) -> None:
    started, succeeded, said = await setting.run()

    assert isinstance(started, AttemptStarted)
    assert isinstance(succeeded, AttemptSucceeded)
    assert said == reply(GROQ)
    assert setting.providers[OLLAMA].timeouts == []


async def test_who_fails_hands_on_to_the_next(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT), takes_seconds=3.0)
    setting.says(OLLAMA, error(Reason.CONNECTION), takes_seconds=0.5)

    items = await setting.run()

    assert [type(item) for item in items] == [AttemptStarted, AttemptFailed] * 2 + [
        *(AttemptStarted, AttemptSucceeded, Reply),
    ]
    assert told(items) == [("groq", "failed", "timeout"), ("ollama", "failed", "connection"), DATABASE_ANSWERS]
    assert [item.duration_ms for item in items[1:6:2]] == [3_000, 500, 0]
    assert [item.time_left_ms for item in items[:4]] == [7_000, 4_000, 4_000, 3_500]


async def test_a_question_about_self_harm_goes_to_the_table_alone(setting: Setting) -> None:
    assert await setting.attempts(at_risk=True) == [DATABASE_ANSWERS]


async def test_a_call_is_made_only_once_its_start_was_taken_on(setting: Setting) -> None:
    async with aclosing(listening.items(setting.chain(), query(), setting.deadline())) as items:
        first = await anext(items)
        assert isinstance(first, AttemptStarted)
        assert setting.providers[GROQ].timeouts == []
        await anext(items)
        assert len(setting.providers[GROQ].timeouts) == 1


@pytest.mark.parametrize("max_attempts", [1, 2, 3])
async def test_what_may_help_is_tried_again(setting: Setting, max_attempts: int) -> None:
    setting.max_attempts, setting.random = max_attempts, 0.001
    setting.says(GROQ, error(retryable=True))

    assert await setting.attempts() == [("groq", "failed", "server_error")] * max_attempts + [OLLAMA_ANSWERS]


async def test_what_cannot_help_is_not_tried_again(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.BAD_REQUEST))

    assert await setting.attempts() == [("groq", "failed", "bad_request"), OLLAMA_ANSWERS]


async def test_the_pauses_grow_by_full_jitter(setting: Setting) -> None:
    setting.max_attempts, setting.random = 3, 0.25
    setting.says(GROQ, error(retryable=True))

    items = await setting.run()

    assert [it.retry_in_ms for it in items if isinstance(it, AttemptFailed)] == [50, 100, None]


async def test_a_wait_that_was_asked_for_is_kept_to(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.RATE_LIMITED, retryable=True, retry_after_seconds=0.02), reply(GROQ))

    items = await setting.run()

    assert told(items) == [("groq", "failed", "rate_limited"), ("groq", "answered", None)]
    assert (items[1].retry_after_ms, items[1].retry_in_ms) == (20, 20)


@pytest.mark.parametrize(("asked_seconds", "held_seconds"), [(7.0, 7.0), (3_600.0, 3_600.0), (1e9, HOLD_LIMIT_SECONDS)])
async def test_a_wait_beyond_the_deadline_holds_the_tier_back_instead(
    setting: Setting, asked_seconds: float, held_seconds: float
) -> None:
    setting.says(GROQ, error(Reason.RATE_LIMITED, retryable=True, retry_after_seconds=asked_seconds), reply(GROQ))

    assert await setting.attempts() == [("groq", "failed", "rate_limited"), OLLAMA_ANSWERS]
    setting.clock.seconds += held_seconds - 0.01
    assert await setting.attempts() == [("groq", "skipped", "rate_limited"), OLLAMA_ANSWERS]
    setting.clock.seconds += 0.02
    assert await setting.attempts() == [("groq", "answered", None)]


async def test_the_last_try_s_wait_holds_the_tier_back(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.RATE_LIMITED, retryable=True, retry_after_seconds=0.02))

    assert await setting.attempts() == [("groq", "failed", "rate_limited")] * 2 + [OLLAMA_ANSWERS]
    assert await setting.attempts() == [("groq", "skipped", "rate_limited"), OLLAMA_ANSWERS]


async def test_a_call_gets_the_time_that_is_left(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT), takes_seconds=3.0)

    await setting.run(deadline=setting.deadline(5.0))

    assert setting.providers[GROQ].timeouts == [3.0]
    assert setting.providers[OLLAMA].timeouts == [pytest.approx(1.0)]  # 5 s less 3 s less the reserve of 1 s


async def test_writing_down_the_start_costs_the_call_its_time(setting: Setting) -> None:
    async with aclosing(listening.items(setting.chain(), query(), setting.deadline(5.0))) as items:
        await anext(items)
        setting.clock.seconds += 2.5  # the commit
        await anext(items)
    assert setting.providers[GROQ].timeouts == [pytest.approx(1.5)]


async def test_time_that_is_used_up_leaves_the_table(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT), takes_seconds=3.0)

    attempts = await setting.attempts(deadline=setting.deadline(4.2))

    assert attempts == [("groq", "failed", "timeout"), ("ollama", "skipped", "deadline"), DATABASE_ANSWERS]


async def test_without_any_time_the_table_still_answers(setting: Setting) -> None:
    deadline = setting.deadline()
    setting.clock.seconds += DEADLINE_SECONDS - 0.01

    attempts = await setting.attempts(deadline=deadline)

    assert attempts == [("groq", "skipped", "deadline"), ("ollama", "skipped", "deadline"), DATABASE_ANSWERS]


async def test_pieces_come_as_they_are_said(setting: Setting) -> None:
    setting.says(GROQ, ["So ", "speaks.", reply(GROQ)])

    items = await setting.run(streamed=True)

    assert items[1:3] == [Delta("So "), Delta("speaks.")]
    assert [type(item) for item in items] == [AttemptStarted, Delta, Delta, AttemptSucceeded, Reply]


async def test_what_a_client_has_seen_is_discarded_and_not_tried_again(setting: Setting) -> None:
    setting.says(GROQ, ["So ", error(Reason.CONNECTION, retryable=True)])

    items = await setting.run(streamed=True)

    assert [type(item) for item in items[:4]] == [AttemptStarted, Delta, Discard, AttemptFailed]
    assert items[2] == Discard(Reason.CONNECTION)
    assert told(items) == [("groq", "failed", "connection"), OLLAMA_ANSWERS]


async def test_what_no_client_has_seen_is_not_discarded(setting: Setting) -> None:
    setting.random = 0.001
    setting.says(GROQ, error(Reason.CONNECTION, retryable=True), ["So ", reply(GROQ)])

    items = await setting.run(streamed=True)

    assert told(items) == [("groq", "failed", "connection"), ("groq", "answered", None)]
    assert not any(isinstance(item, Discard) for item in items)


async def test_a_truncated_answer_is_told_as_such(setting: Setting) -> None:
    setting.says(GROQ, reply(GROQ, truncated=True))

    assert await setting.attempts() == [("groq", "answered", "truncated")]


async def test_a_provider_that_fails_on_and_on_is_left_alone_then_tried_once(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT))
    for _ in range(3):
        assert (await setting.attempts())[0] == ("groq", "failed", "timeout")

    assert await setting.attempts() == [("groq", "skipped", "breaker_open"), OLLAMA_ANSWERS]
    setting.clock.seconds += 29.9
    assert (await setting.attempts())[0] == ("groq", "skipped", "breaker_open")
    setting.clock.seconds += 0.1
    setting.says(GROQ, reply(GROQ))
    chain = setting.chain()
    async with aclosing(listening.items(chain, query(), setting.deadline())) as trial:
        await anext(trial)
        assert (await setting.attempts())[0] == ("groq", "skipped", "breaker_open")
        await anext(trial)
    assert await setting.attempts() == [("groq", "answered", None)]
    assert [(name, change.kind) for name, change in setting.changes] == [
        *((GROQ, "opened"), (GROQ, "half_opened"), (GROQ, "closed")),
    ]
    assert len(setting.providers[GROQ].timeouts) == 2


async def test_a_trial_that_fails_opens_again(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT))
    for _ in range(3):
        await setting.run()
    setting.clock.seconds += 30

    assert (await setting.attempts())[0] == ("groq", "failed", "timeout")
    assert (await setting.attempts())[0] == ("groq", "skipped", "breaker_open")
    assert [change.kind for _, change in setting.changes] == ["opened", "half_opened", "opened"]


async def test_a_breaker_that_opens_between_two_tries_ends_them(setting: Setting) -> None:
    setting.max_attempts, setting.random = 5, 0.001
    setting.says(GROQ, error(retryable=True))

    attempts = await setting.attempts()

    assert attempts == [
        *[("groq", "failed", "server_error")] * 3,
        ("groq", "skipped", "breaker_open"),
        OLLAMA_ANSWERS,
    ]


async def test_a_refused_key_opens_at_once_and_for_an_hour(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.UNAUTHORIZED, status=401))

    assert (await setting.attempts())[0] == ("groq", "failed", "unauthorized")
    assert (await setting.attempts())[0] == ("groq", "skipped", "breaker_open")
    setting.clock.seconds += 3_599
    assert (await setting.attempts())[0] == ("groq", "skipped", "breaker_open")
    setting.clock.seconds += 1
    assert (await setting.attempts())[0] == ("groq", "failed", "unauthorized")


async def test_no_more_is_sent_than_the_minute_has_room_for(setting: Setting) -> None:
    setting.minute = SlidingMinute(3, 1_000_000, setting.clock)

    attempts = [(await setting.attempts())[0] for _ in range(4)]

    assert attempts == [("groq", "answered", None)] * 3 + [("groq", "skipped", "bucket_empty")]


async def test_every_try_takes_from_the_minute(setting: Setting) -> None:
    setting.minute, setting.random = SlidingMinute(3, 1_000_000, setting.clock), 0.001
    setting.says(GROQ, error(Reason.RATE_LIMITED, retryable=True))
    failed = ("groq", "failed", "rate_limited")

    assert await setting.attempts() == [failed, failed, OLLAMA_ANSWERS]
    assert await setting.attempts() == [failed, ("groq", "skipped", "bucket_empty"), OLLAMA_ANSWERS]


async def test_who_goes_away_before_the_call_has_used_nothing(setting: Setting) -> None:
    async with aclosing(listening.items(setting.chain(), query(), setting.deadline())) as items:
        await anext(items)
        assert setting.tiers[GROQ].state().in_flight == 1
        assert setting.minute.remaining() == 999
    assert setting.tiers[GROQ].state().in_flight == 0
    assert setting.minute.remaining() == 1_000


async def test_who_goes_away_in_the_middle_frees_the_place_but_not_the_minute(setting: Setting) -> None:
    setting.says(GROQ, ["So ", "speaks.", reply(GROQ)])
    async with aclosing(listening.items(setting.chain(), query(), setting.deadline(), streamed=True)) as items:
        await anext(items)
        assert await anext(items) == Delta("So ")
    assert setting.tiers[GROQ].state().in_flight == 0
    assert setting.minute.remaining() == 999
    assert setting.tiers[GROQ].evidence is None


async def test_a_trial_that_nobody_waits_for_leaves_the_next_one_free(setting: Setting) -> None:
    setting.says(GROQ, error(Reason.TIMEOUT))
    for _ in range(3):
        await setting.run()
    setting.clock.seconds += 30
    setting.says(GROQ, reply(GROQ))
    async with aclosing(listening.items(setting.chain(), query(), setting.deadline())) as items:
        await anext(items)

    assert await setting.attempts() == [("groq", "answered", None)]


async def test_a_bug_is_no_fallback(setting: Setting) -> None:
    setting.says(GROQ, ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await setting.run()
    assert setting.tiers[GROQ].state().in_flight == 0
