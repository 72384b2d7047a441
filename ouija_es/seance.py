"""The application: the life of one question, written down as it happens."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import msgspec

from ouija_es.clock import Clock
from ouija_es.domain.attempts import Attempt, Ended, attempt_of
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
from ouija_es.domain.unspoken import Unspoken
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.errors import RequestError, UnknownSession
from ouija_es.fallback.chain import Chain, Step
from ouija_es.fallback.deadline import Deadline
from ouija_es.idempotency import Idempotency
from ouija_es.providers.provider import Query
from ouija_es.recovery import Recovery
from ouija_es.store.journal import Journal
from ouija_es.store.log import Recorded
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Session, Sessions
from ouija_es.telemetry.account import Account
from ouija_es.telemetry.tracing import RequestSpan


class Ask(Unspoken, frozen=True):
    """A valid question. Its text is NFC and trimmed."""

    question: str
    personality: Personality
    language: Language
    session_id: UUID | None
    client_address: str | None
    trace_id: str
    idempotency_key: str | None = None
    span: RequestSpan | None = None


class Answer(Unspoken, frozen=True):
    """A recorded answer.

    `record_ms`: how long the ask waited for the event store in all. `replayed`: it was recorded for an earlier request.
    """

    question_id: UUID
    session_id: UUID
    category: Category
    source: Provider
    model: str
    response: str
    duration_ms: int
    attempts: list[Attempt]
    record_ms: float
    replayed: bool = False


class Accepted:
    """The question will be asked: session and key are in order, nothing is recorded yet."""


class Delta(Unspoken, frozen=True):
    """A piece of a streamed answer."""

    text: str


class Discard(msgspec.Struct, frozen=True):
    """The pieces so far are void: their provider failed."""

    reason: Reason


Item = Accepted | Attempt | Delta | Discard | Answer
Tell = Callable[[Item], None]


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

    async def ask(self, ask: Ask, deadline: Deadline, tell: Tell | None = None) -> Answer:
        """The answer, recorded; cancelling it withdraws the question.

        With `tell` it is streamed: told is `Accepted` first, unless the answer was stored for the same idempotency key,
        then what happens as it happens; the answer itself is only returned. Raises UnknownSession, StoreUnavailable,
        KeyInFlight, KeyReused, ErasedQuestion.
        """
        if ask.idempotency_key is None:
            return await self._in_session(ask, deadline, None, tell)
        if self._idempotency.is_held(ask.idempotency_key):
            return replayed(await self._idempotency.answered(ask.idempotency_key, _request(ask)))
        with self._idempotency.holding(ask.idempotency_key) as key:
            earlier = await self._idempotency.earlier(key, _request(ask))
            if earlier is not None:
                return replayed(earlier)
            return await self._in_session(ask, deadline, key.hash, tell)

    async def _in_session(self, ask: Ask, deadline: Deadline, key_hash: str | None, tell: Tell | None) -> Answer:
        if ask.session_id is None:
            return await self._answer(ask, self._sessions.open(), deadline, key_hash, tell)
        session = await self._sessions.find(ask.session_id)
        if session is None:
            raise UnknownSession("Leave sessionId out to open a new session.")
        with self._sessions.using(session.id):
            return await self._answer(ask, session, deadline, key_hash, tell)

    async def _answer(
        self, ask: Ask, session: Session, deadline: Deadline, key_hash: str | None, tell: Tell | None
    ) -> Answer:
        if tell is not None:
            tell(Accepted())
        journal = Journal(self._recorder, session, deadline.left, self._clock)
        words = fold(ask.question)
        query = Query(
            question_id=journal.stream,
            question=ask.question,
            personality=ask.personality,
            language=ask.language,
            category=self._classifier.classify(ask.question, ask.language, words),
            at_risk=self._screen.at_risk(ask.question, words),
            history=trim_history(session.exchanges),
            previous_canned_id=session.previous_canned_id,
        )
        account = Account(journal.stream, ask.trace_id, ask.span)
        progress = _Progress(journal, account, query.trace_headers, tell)
        try:
            journal.note(self._asked(ask, session, query, deadline, key_hash))
            reply = await self._chain.answer(query, deadline, progress, streamed=tell is not None)
            source, duration_ms = progress.attempts[-1].provider, deadline.elapsed_ms()
            texts = AnsweredTexts(response=reply.text, canned_answer_id=reply.canned_id, safety=query.at_risk)
            journal.note(
                Answered(
                    at=self._clock.now(),
                    instance=self._instance,
                    source=source,
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
            account.failed(kind, progress.attempts, deadline.elapsed_ms(), journal.record_ms)
            raise
        except asyncio.CancelledError:
            self._recovery.withdraw(journal.stream)
            account.withdrawn(progress.attempts, deadline.elapsed_ms(), journal.record_ms)
            raise
        account.answered(source, progress.attempts, duration_ms, journal.record_ms)
        session.remember(ask.question, texts)
        self._sessions.keep(session)
        return Answer(
            question_id=journal.stream,
            session_id=session.id,
            category=query.category,
            source=source,
            model=reply.model,
            response=reply.text,
            duration_ms=duration_ms,
            attempts=progress.attempts,
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


class _Progress:
    """What the chain tells of one question: written down, traced, and passed on to whoever watches."""

    __slots__ = ("_account", "_journal", "_tell", "_trace_headers", "attempts")

    def __init__(self, journal: Journal, account: Account, trace_headers: dict[str, str], tell: Tell | None) -> None:
        self.attempts: list[Attempt] = []
        self._journal = journal
        self._account = account
        self._trace_headers = trace_headers
        self._tell = tell

    async def step(self, step: Step) -> None:
        self._journal.note(step)
        if isinstance(step, AttemptStarted):
            # Reading the table has no effect outside: its start need not be durable before.
            if step.provider is not Provider.DATABASE:
                with self._account.recording():
                    await self._journal.commit()
            self._account.step(step, self._trace_headers)
            return
        self._account.step(step, self._trace_headers)
        attempt = attempt_of(step)
        self.attempts.append(attempt)
        if self._tell is not None:
            self._tell(attempt)

    async def delta(self, text: str) -> None:
        if self._tell is not None:
            self._tell(Delta(text))

    async def discard(self, reason: Reason) -> None:
        if self._tell is not None:
            self._tell(Discard(reason))


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
        attempts=[attempt_of(it.event) for it in history if isinstance(it.event, Ended)],
        record_ms=0.0,
        replayed=True,
    )
