"""Replay: whatever the chain has decided, the record alone decides again; and what was altered is found where it is."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouija_es.domain.events import (
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    PolicyAdopted,
    TierPolicy,
    Withdrawn,
)
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.breaker import Breaker
from ouija_es.fallback.chain import Chain, Step
from ouija_es.fallback.course import Difference
from ouija_es.fallback.deadline import Deadline
from ouija_es.fallback.rate_limit import SlidingMinute
from ouija_es.fallback.tier import Tier
from ouija_es.ids import uuid7
from ouija_es.providers.provider import Query
from ouija_es.replaying import Replay
from ouija_es.store.ledger import LogRow
from ouija_es.store.mapper import to_row
from tests.fallback.listening import items
from tests.fallback.scripted import Scripted, error, reply
from tests.still_clock import StillClock

INSTANCE = uuid7()
GROQ, OLLAMA, DATABASE = Provider.GROQ, Provider.OLLAMA, Provider.DATABASE
SEALED = b"sealed"

Logged = list[tuple[UUID, Event]]


@dataclass(frozen=True)
class World:
    """How the service is set, how its providers behave, and who asks when."""

    tiers: list[TierPolicy]
    deadline_seconds: float
    breaker_failures: int
    jitter: float
    script: list[Any]
    schedule: list[int] = field(default_factory=list)


FAULT = st.builds(
    ProviderError,
    st.sampled_from([Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.UNAUTHORIZED, Reason.REFUSED]),
    retryable=st.booleans(),
    retry_after_seconds=st.sampled_from([None, None, 0.0, 0.0004, 0.003, 30.0, 1e9]),
)
OUTCOME = st.one_of(
    st.just(reply(GROQ, input_tokens=200, output_tokens=50)),
    st.just(reply(GROQ, truncated=True, rate_limit={"x-ratelimit-remaining-requests": "0"})),
    FAULT,
    FAULT,
    FAULT.map(lambda fault: ["So ", fault]),
)


def model(name: Provider) -> st.SearchStrategy[TierPolicy]:
    return st.builds(
        TierPolicy,
        provider=st.just(name),
        configured=st.sampled_from([True, True, True, False]),
        model=st.just(f"model-of-{name}"),
        timeout_ms=st.integers(1, 4_000),
        max_attempts=st.integers(1, 4),
        concurrency=st.integers(1, 2),
        requests_per_minute=st.sampled_from([None, 2, 1_000]),
        tokens_per_minute=st.sampled_from([500, 1_000_000]),
    )


TABLE = TierPolicy(
    provider=DATABASE, configured=True, model="table", timeout_ms=1_000, max_attempts=1, concurrency=2**31 - 1
)
WORLD = st.builds(
    World,
    tiers=st.tuples(model(GROQ), model(OLLAMA), st.just(TABLE)).map(list),
    deadline_seconds=st.floats(0.1, 9),
    breaker_failures=st.integers(1, 4),
    jitter=st.floats(0, 0.01),
    script=st.lists(OUTCOME, min_size=1, max_size=8),
    schedule=st.lists(st.integers(0, 999), min_size=10, max_size=60),
)


class Service:
    """A chain over scripted providers, and the log of what became of the questions."""

    def __init__(self, world: World) -> None:
        self.clock = StillClock()
        self.world = world
        self.log: Logged = []
        tiers = [self._tier(policy) for policy in world.tiers]
        self.chain = Chain(tiers, clock=self.clock, instance=INSTANCE, random=lambda: world.jitter)
        self.policy = PolicyAdopted(
            **self._stamp(),
            service_version="1",
            deadline_ms=round(world.deadline_seconds * 1000),
            reserve_ms=1_000,
            tiers=tuple(world.tiers),
            prompts_version=1,
            answers_digest="",
            categories_digest="",
        )
        self.log.append((INSTANCE, self.policy))

    def _tier(self, policy: TierPolicy) -> Tier:
        name, clock, world = policy.provider, self.clock, self.world
        if name is DATABASE:
            return Tier(policy, Scripted(name, clock), clock)
        provider = Scripted(name, clock, *world.script, takes_seconds=0.3) if policy.configured else None
        limit, tokens = policy.requests_per_minute, policy.tokens_per_minute
        minute = None if limit is None or tokens is None else SlidingMinute(limit, tokens, clock)
        return Tier(policy, provider, clock, breaker=Breaker(world.breaker_failures, 2.0, clock), minute=minute)

    def _stamp(self) -> dict[str, Any]:
        return {"at": self.clock.now(), "instance": INSTANCE}

    async def ask(self, number: int) -> AsyncGenerator[None]:
        """One question; after each item others may go on. Closed before its end it is withdrawn."""
        stream, at_risk = uuid7(), number % 10 == 9
        query = Query(stream, "¿Sí?", Personality.WISE, Language.ES, Category.GENERAL, at_risk=at_risk)
        deadline = Deadline(self.world.deadline_seconds, self.clock)
        self.log.append((stream, self._asked(deadline)))
        try:
            async with aclosing(items(self.chain, query, deadline, streamed=number % 2 == 1)) as told:
                async for item in told:
                    if isinstance(item, Step):
                        self.log.append((stream, item))
                    yield
            step = self.log_of(stream)[-1]
            assert isinstance(step, AttemptSucceeded)
            answered = Answered(**self._stamp(), source=step.provider, model=step.model, duration_ms=1, texts=SEALED)
            self.log.append((stream, answered))
        except GeneratorExit:
            self.log += [(stream, event) for event in self._withdrawn(self.log_of(stream)[-1])]
            raise

    def log_of(self, stream: UUID) -> list[Event]:
        return [event for it, event in self.log if it == stream]

    def _asked(self, deadline: Deadline) -> Asked:
        return Asked(
            **self._stamp(),
            session_id=INSTANCE,
            opens_session=False,
            personality=Personality.WISE,
            language=Language.ES,
            category=Category.GENERAL,
            exchanges=0,
            deadline_ms=round(deadline.seconds * 1000),
            trace_id="",
            texts=SEALED,
        )

    def _withdrawn(self, last: Event) -> list[Event]:
        withdrawn = Withdrawn(**self._stamp())
        if not isinstance(last, AttemptStarted):
            return [withdrawn]
        cancelled = AttemptFailed(
            **self._stamp(),
            provider=last.provider,
            attempt=last.attempt,
            reason=Reason.CANCELLED,
            duration_ms=1,
            time_left_ms=last.time_left_ms,
        )
        return [cancelled, withdrawn]

    async def run(self) -> Logged:
        """Follows the schedule: a question is opened, goes on or is given up, and time passes."""
        questions: list[AsyncGenerator[None]] = []
        for number in self.world.schedule:
            if not questions or number % 3 == 0:
                questions.append(self.ask(number))
            question = questions[number // 7 % len(questions)]
            self.clock.seconds += number % 7 * 0.05
            if number % 23 == 22:
                await question.aclose()
            if number % 23 == 22 or await anext(question, StopAsyncIteration) is StopAsyncIteration:
                questions.remove(question)
        for question in questions:
            async for _ in question:
                pass
        return self.log


def logged(world: World) -> Logged:
    return asyncio.run(Service(world).run())


def rows(log: Logged) -> list[LogRow]:
    """As the store would give them; texts are sealed already."""
    stored = [to_row(stream, 1, event) for stream, event in log]
    return [
        LogRow(position, log[position - 1][0].hex, 1, row.topic, row.state, b"")
        for position, row in enumerate(stored, 1)
    ]


def replayed(log: Logged) -> Replay:
    replay = Replay()
    replay.follow(rows(log))
    return replay


@given(WORLD)
def test_whatever_the_chain_decided_is_decided_again(world: World) -> None:
    log = logged(world)

    replay = replayed(log)

    assert (replay.first, replay.differing, replay.undecided, replay.under_way) == (None, 0, 0, 0)
    assert replay.counts.undecidable == 0
    decisions = (AttemptStarted, AttemptSkipped, AttemptFailed, Answered)
    made = [it for _, it in log if isinstance(it, decisions) and getattr(it, "reason", None) is not Reason.CANCELLED]
    assert replay.counts.decided == len(made)


def otherwise(event: Event) -> Event | None:
    """The event with another decision in it; None if it holds none."""
    change = functools.partial(msgspec.structs.replace, event)
    match event:
        case AttemptStarted():
            return change(timeout_ms=event.timeout_ms + 1)
        case AttemptSkipped():
            return change(reason=Reason.DEADLINE if event.reason is not Reason.DEADLINE else Reason.SATURATED)
        case AttemptFailed() if event.reason is not Reason.CANCELLED:
            return change(retry_in_ms=None if event.retry_in_ms is not None else 5)
        case Answered():
            return change(source=GROQ if event.source is not GROQ else DATABASE)
        case _:
            return None


@given(WORLD, st.integers(0, 999))
def test_a_decision_that_was_altered_is_the_first_that_differs(world: World, which: int) -> None:
    log = logged(world)
    candidates = [(at, altered) for at, (_, event) in enumerate(log) if (altered := otherwise(event)) is not None]
    if not candidates:
        return
    at, altered = candidates[which % len(candidates)]
    stream = log[at][0]
    log[at] = stream, altered

    replay = replayed(log)

    assert replay.differing == 1
    assert replay.first is not None
    assert (replay.first.position, replay.first.stream) == (at + 1, stream.hex)


@given(WORLD, st.integers(0, 999))
def test_a_step_that_is_gone_is_missed(world: World, which: int) -> None:
    log = logged(world)
    ended = {stream for stream, event in log if isinstance(event, Answered)}
    steps = [at for at, (stream, event) in enumerate(log) if stream in ended and not isinstance(event, Asked)]
    # Without its first step a question may look as if it had begun at the table.
    steps = [at for at in steps if not isinstance(log[at][1], AttemptSkipped) and not isinstance(log[at][1], Answered)]
    if not steps:
        return
    del log[steps[which % len(steps)]]

    assert replayed(log).differing == 1


def policy_of(name: Provider, **fields: Any) -> TierPolicy:
    values: dict[str, Any] = {"configured": True, "timeout_ms": 3_000, "max_attempts": 2, "concurrency": 2}
    return TierPolicy(provider=name, model=f"model-of-{name}", **(values | fields))


def log_of(*script: Any, **fields: Any) -> Logged:
    """One question after the other, until all that Groq is to do is done."""
    tiers = [policy_of(GROQ, **fields), policy_of(OLLAMA), TABLE]
    world = World(tiers, 8.0, 1_000, 0.01, list(script), [1] + [7] * 12)
    return logged(world)


HEALTHY, FAILING = log_of(reply(GROQ)), log_of(error(retryable=True))


def under(policy: Callable[[TierPolicy], TierPolicy], log: Logged) -> Replay:
    """The same log, as if Groq had been tried by another policy."""
    stream, adopted = log[0]
    assert isinstance(adopted, PolicyAdopted)
    other = msgspec.structs.replace(adopted, tiers=(policy(adopted.tiers[0]), *adopted.tiers[1:]))
    return replayed([(stream, other), *log[1:]])


@pytest.mark.parametrize(
    ("log", "changed", "decided"),
    [
        (HEALTHY, {"timeout_ms": 2_999}, "groq called, try 1: model-of-groq, at most 2999 ms"),
        (HEALTHY, {"model": "another"}, "groq called, try 1: another, at most 3000 ms"),
        (HEALTHY, {"configured": False}, "groq skipped: not_configured"),
        (HEALTHY, {"concurrency": 0}, "groq skipped: saturated"),
        (HEALTHY, {"provider": OLLAMA}, "the turn of ollama, try 1"),
        (FAILING, {"max_attempts": 1}, "after groq's try 1: the next tier"),
        (FAILING, {"max_attempts": 3}, "after groq's try 2: again in 4 ms"),
    ],
)
def test_under_another_policy_the_log_differs(log: Logged, changed: dict[str, Any], decided: str) -> None:
    replay = under(lambda policy: msgspec.structs.replace(policy, **changed), log)

    assert replay.differing == replay.questions > 0
    assert replay.first is not None
    assert replay.first.difference.decided == decided


def test_another_deadline_is_a_difference() -> None:
    stream, adopted = HEALTHY[0]
    shorter: Any = msgspec.structs.replace(adopted, deadline_ms=7_000)  # type: ignore[type-var]

    replay = replayed([(stream, shorter), *HEALTHY[1:]])

    assert replay.first is not None
    assert replay.first.difference == Difference("a deadline of 8000 ms", "a deadline of 7000 ms")


def test_what_an_older_version_recorded_is_followed_but_not_decided() -> None:
    older = [(stream, older_form(event)) for stream, event in FAILING]

    replay = replayed(older)

    assert (replay.differing, replay.counts.decided) == (0, sum(isinstance(it, Answered) for _, it in FAILING))
    assert replay.counts.undecidable > 0


def older_form(event: Event) -> Event:
    match event:
        case AttemptStarted() | AttemptSkipped() if event.seen is not None:
            return msgspec.structs.replace(event, seen=msgspec.structs.replace(event.seen, has_room=None))
        case AttemptFailed():
            return msgspec.structs.replace(event, retryable=None, shown=None, backoff_ms=None)
        case _:
            return event


def test_a_pause_beyond_what_can_be_drawn_is_a_difference() -> None:
    at = next(at for at, (_, event) in enumerate(FAILING) if isinstance(event, AttemptFailed))
    stream, failed = FAILING[at]
    longer = msgspec.structs.replace(failed, backoff_ms=201, retry_in_ms=201)  # type: ignore[type-var]

    replay = replayed([*FAILING[:at], (stream, longer), *FAILING[at + 1 :]])

    assert replay.first is not None
    assert replay.first.difference == Difference("a pause of 201 ms drawn", "at most 200 ms")


def test_a_question_without_its_policy_is_not_decidable() -> None:
    replay = replayed(HEALTHY[1:])

    assert (replay.undecided, replay.differing, replay.counts.decided) == (replay.questions, 0, 0)


def test_a_question_on_its_way_is_followed_as_far_as_it_came() -> None:
    replay = replayed(HEALTHY[:3])

    assert (replay.under_way, replay.differing, replay.counts.decided) == (1, 0, 1)


def test_what_was_never_asked_is_a_difference_once() -> None:
    log = [it for it in HEALTHY if not isinstance(it[1], Asked)]

    replay = replayed(log)

    assert replay.differing == replay.questions == sum(isinstance(event, Answered) for _, event in log)
