"""The application: the life of one question, written down as it happens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.attempts import Attempt, attempt_of
from ouija_es.domain.categories import Classifier, fold
from ouija_es.domain.events import (
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptStarted,
)
from ouija_es.domain.persona import trim_history
from ouija_es.domain.safety import SafetyScreen
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider
from ouija_es.errors import RequestError, UnknownSession
from ouija_es.fallback.chain import Chain, Delta, Discard, Taken
from ouija_es.fallback.deadline import Deadline
from ouija_es.idempotency import Idempotency
from ouija_es.providers.provider import Query, Reply
from ouija_es.recovery import Recovery
from ouija_es.store.journal import Journal
from ouija_es.store.log import Recorded
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Session, Sessions
from ouija_es.telemetry.account import Account
from ouija_es.telemetry.tracing import RequestSpan


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid question. Its text is NFC and trimmed."""

    question: str = field(repr=False)
    personality: Personality
    language: Language
    session_id: UUID | None = field(repr=False)
    client_address: str | None = field(repr=False)
    trace_id: str
    idempotency_key: str | None = field(default=None, repr=False)
    span: RequestSpan | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded answer.

    `record_ms`: how long the ask waited for the event store in all. `replayed`: it was recorded for an earlier request.
    """

    question_id: UUID
    session_id: UUID = field(repr=False)
    category: Category
    source: Provider
    model: str
    response: str = field(repr=False)
    duration_ms: int
    attempts: list[Attempt]
    record_ms: float
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The question will be asked: session and key are in order, nothing is recorded yet."""


Item = Accepted | Attempt | Delta | Discard | Answer


class Seance:
    """Answers questions."""

    def __init__(  # noqa: PLR0913 - everything a question meets
        self,
        *,
        recorder: GroupCommit,
        sessions: Sessions,
        chain: Chain,
        classifier: Classifier,
        screen: SafetyScreen,
        idempotency: Idempotency,
        recovery: Recovery,
        clock: Clock,
        instance: UUID,
    ) -> None:
        self._recorder = recorder
        self._sessions = sessions
        self._chain = chain
        self._classifier = classifier
        self._screen = screen
        self._idempotency = idempotency
        self._recovery = recovery
        self._clock = clock
        self._instance = instance

    async def ask(self, ask: Ask, deadline: Deadline) -> Answer:
        """The answer, recorded. Raises UnknownSession, StoreUnavailable, KeyInFlight, KeyReused, ErasedQuestion."""
        async with aclosing(self.run(ask, deadline, streamed=False)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    return item
        raise AssertionError("a question ends with an answer or an error")

    async def run(self, ask: Ask, deadline: Deadline, *, streamed: bool) -> AsyncGenerator[Item]:
        """What happens to the question as it happens; last the answer, recorded. Raises as `ask`.

        The first item is `Accepted`, or at once the answer that was stored for the same idempotency key. Whoever closes
        the generator before its end withdraws the question.
        """
        with ExitStack() as held:
            key_hash = None
            if ask.idempotency_key is not None:
                if self._idempotency.is_held(ask.idempotency_key):
                    yield replayed(await self._idempotency.answered(ask.idempotency_key, _request(ask)))
                    return
                key = held.enter_context(self._idempotency.holding(ask.idempotency_key))
                earlier = await self._idempotency.earlier(key, _request(ask))
                if earlier is not None:
                    yield replayed(earlier)
                    return
                key_hash = key.hash
            session = await self._session(ask.session_id)
            held.enter_context(self._sessions.using(session.id))
            yield Accepted()
            async with aclosing(self._answer(ask, session, deadline, key_hash, streamed=streamed)) as items:
                async for item in items:
                    yield item

    async def _session(self, session_id: UUID | None) -> Session:
        """The session to ask in; a new one without an id. Raises UnknownSession."""
        if session_id is None:
            return self._sessions.open()
        session = await self._sessions.find(session_id)
        if session is None:
            raise UnknownSession("Leave sessionId out to open a new session.")
        return session

    async def _answer(
        self, ask: Ask, session: Session, deadline: Deadline, key_hash: str | None, *, streamed: bool
    ) -> AsyncGenerator[Item]:
        journal = Journal(self._recorder, session, deadline.left, self._clock)
        words = fold(ask.question)
        query = Query(
            question_id=journal.stream,
            question=ask.question,
            personality=ask.personality,
            language=ask.language,
            category=self._classifier.classify(ask.question, ask.language, words),
            at_risk=self._screen.at_risk(ask.question, words),
            history=trim_history(list(session.exchanges)),
            previous_canned_id=session.previous_canned_id,
        )
        journal.note(self._asked(ask, session, query, deadline, key_hash))
        account = Account(journal.stream, ask.trace_id, ask.span)
        attempts: list[Attempt] = []
        reply: Reply | None = None
        try:
            async with aclosing(self._chain.run(query, deadline, streamed=streamed)) as items:
                async for item in items:
                    if not isinstance(item, Taken):
                        yield item
                        continue
                    journal.note(item.step)
                    reply = item.reply
                    # Reading the table has no effect outside: its start need not be durable before.
                    if isinstance(item.step, AttemptStarted) and item.step.provider is not Provider.DATABASE:
                        with account.recording():
                            await journal.commit()
                    account.step(item.step, query.trace_headers)
                    if (attempt := attempt_of(item.step)) is not None:
                        attempts.append(attempt)
                        yield attempt
            reply = _given(reply)
            duration_ms, texts = deadline.elapsed_ms(), _texts(query, reply)
            journal.note(
                Answered(
                    at=self._clock.now(),
                    instance=self._instance,
                    source=attempts[-1].provider,
                    model=reply.model,
                    duration_ms=duration_ms,
                    texts=texts,
                )
            )
            with account.recording():
                await journal.commit()
        except Exception as error:
            # The store, or a bug: its stream must not stay open either way.
            self._recovery.watch(journal.stream)
            kind = error.type if isinstance(error, RequestError) else "bug"
            account.failed(kind, deadline.elapsed_ms(), journal.record_ms)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._recovery.withdraw(journal.stream)
            account.withdrawn(deadline.elapsed_ms(), journal.record_ms)
            raise
        account.answered(attempts[-1].provider, duration_ms, journal.record_ms)
        session.remember(ask.question, texts)
        self._sessions.keep(session)
        yield Answer(
            question_id=journal.stream,
            session_id=session.id,
            category=query.category,
            source=attempts[-1].provider,
            model=reply.model,
            response=reply.text,
            duration_ms=duration_ms,
            attempts=attempts,
            record_ms=journal.record_ms,
        )

    def _asked(self, ask: Ask, session: Session, query: Query, deadline: Deadline, key_hash: str | None) -> Asked:
        return Asked(
            at=self._clock.now(),
            instance=self._instance,
            session_id=session.id,
            opens_session=session.wrapped_key is not None,
            personality=ask.personality,
            language=ask.language,
            category=query.category,
            exchanges=len(query.history),
            deadline_ms=round(deadline.seconds * 1000),
            trace_id=ask.trace_id,
            texts=AskedTexts(question=ask.question, client_address=ask.client_address),
            idempotency_key_hash=key_hash,
            request_hash=None if key_hash is None else self._idempotency.request_hash(session.key, _request(ask)),
        )


def _given(reply: Reply | None) -> Reply:
    if reply is None:
        raise AssertionError("the database tier always answers")
    return reply


def _texts(query: Query, reply: Reply) -> AnsweredTexts:
    return AnsweredTexts(response=reply.text, canned_answer_id=reply.canned_id, safety=query.at_risk)


def _request(ask: Ask) -> list[str | None]:
    """What makes two requests the same: compared after parsing and defaults."""
    return [ask.question, ask.personality, ask.language, None if ask.session_id is None else str(ask.session_id)]


def replayed(history: list[Recorded]) -> Answer:
    """The answer that a question's opened history holds."""
    asked, answered = history[0].event, history[-1].event
    if not isinstance(asked, Asked) or not isinstance(answered, Answered) or isinstance(answered.texts, bytes):
        raise TypeError("not the history of an answered question")
    return Answer(
        question_id=history[0].stream,
        session_id=asked.session_id,
        category=asked.category,
        source=answered.source,
        model=answered.model,
        response=answered.texts.response,
        duration_ms=answered.duration_ms,
        attempts=[attempt for it in history if (attempt := attempt_of(it.event)) is not None],
        record_ms=0.0,
        replayed=True,
    )
