"""The application: the life of one question, written down as it happens."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ouija_es.clock import Clock
from ouija_es.domain.categories import Classifier
from ouija_es.domain.events import (
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
)
from ouija_es.domain.persona import trim_history
from ouija_es.domain.safety import SafetyScreen
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider, Reason
from ouija_es.errors import StoreUnavailable, UnknownSession
from ouija_es.fallback.chain import Chain, Step
from ouija_es.fallback.deadline import Deadline
from ouija_es.ids import uuid7
from ouija_es.providers.provider import Query, Reply
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Session, Sessions


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid question. Its text is NFC and trimmed."""

    question: str = field(repr=False)
    personality: Personality
    language: Language
    session_id: UUID | None = field(repr=False)
    client_address: str | None = field(repr=False)
    trace_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try of a provider ended, as clients see it."""

    provider: Provider
    outcome: Outcome
    reason: Reason | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded answer. `record_ms` is how long the ask waited for the event store in all."""

    question_id: UUID
    session_id: UUID = field(repr=False)
    category: Category
    source: Provider
    model: str
    response: str = field(repr=False)
    duration_ms: int
    attempts: list[Attempt]
    record_ms: float


class Journal:
    """One question's stream on its way into the log: events gather, `commit` makes them durable."""

    def __init__(self, recorder: GroupCommit, session: Session, deadline: Deadline, clock: Clock) -> None:
        self.stream = uuid7()
        self.record_ms = 0.0
        self._recorder = recorder
        self._session = session
        self._deadline = deadline
        self._clock = clock
        self._version = 0
        self._rows: list[StoredEvent] = []

    def note(self, event: Event) -> None:
        """Adds an event; it is not durable yet."""
        self._version += 1
        self._rows.append(to_row(self.stream, self._version, event, self._session.key))

    async def commit(self) -> None:
        """Returns once all noted events are in the file. Raises StoreUnavailable, at the deadline at the latest."""
        rows, self._rows = self._rows, []
        wrapped = self._session.wrapped_key
        started_at = self._clock.monotonic()
        await self._recorder.append(
            rows,
            seconds=self._deadline.left(),
            session_key=None if wrapped is None else (self._session.id, wrapped),
        )
        self._session.wrapped_key = None
        self.record_ms += (self._clock.monotonic() - started_at) * 1000


class Seance:
    """Answers questions. `on_unrecorded` is told of a question whose stream may have been left open."""

    def __init__(
        self,
        *,
        recorder: GroupCommit,
        sessions: Sessions,
        chain: Chain,
        classifier: Classifier,
        screen: SafetyScreen,
        clock: Clock,
        instance: UUID,
        on_unrecorded: Callable[[UUID], None],
    ) -> None:
        self._recorder = recorder
        self._sessions = sessions
        self._chain = chain
        self._classifier = classifier
        self._screen = screen
        self._clock = clock
        self._instance = instance
        self._on_unrecorded = on_unrecorded

    async def ask(self, ask: Ask, deadline: Deadline) -> Answer:
        """The answer, recorded. Raises UnknownSession, StoreUnavailable."""
        session = await self._session(ask.session_id)
        journal = Journal(self._recorder, session, deadline, self._clock)
        query = Query(
            question_id=journal.stream,
            question=ask.question,
            personality=ask.personality,
            language=ask.language,
            category=self._classifier.classify(ask.question, ask.language),
            at_risk=self._screen.at_risk(ask.question),
            history=trim_history(list(session.exchanges)),
            previous_canned_id=session.previous_canned_id,
        )
        journal.note(self._asked(ask, session, query, deadline))
        try:
            reply, steps = await self._consult(query, deadline, journal)
            source, texts = steps[-1].provider, _texts(query, reply)
            duration_ms = deadline.elapsed_ms()
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
            await journal.commit()
        except StoreUnavailable:
            self._on_unrecorded(journal.stream)
            raise
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
            attempts=[attempt for step in steps if (attempt := attempt_of(step))],
            record_ms=journal.record_ms,
        )

    async def _session(self, session_id: UUID | None) -> Session:
        if session_id is None:
            return self._sessions.open()
        session = await self._sessions.find(session_id)
        if session is None:
            raise UnknownSession("Leave sessionId out to open a new session.")
        return session

    async def _consult(self, query: Query, deadline: Deadline, journal: Journal) -> tuple[Reply, list[Step]]:
        """Goes down the chain. Every step is noted, and durable before a model is called after it."""
        taken: list[Step] = []
        async with aclosing(self._chain.run(query, deadline)) as steps:
            async for step, reply in steps:
                taken.append(step)
                journal.note(step)
                if reply is not None:
                    return reply, taken
                # Reading the table has no effect outside: its start need not be durable before.
                if isinstance(step, AttemptStarted) and step.provider is not Provider.DATABASE:
                    await journal.commit()
        raise AssertionError("the database tier always answers")

    def _asked(self, ask: Ask, session: Session, query: Query, deadline: Deadline) -> Asked:
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
        )


def _texts(query: Query, reply: Reply) -> AnsweredTexts:
    return AnsweredTexts(response=reply.text, canned_answer_id=reply.canned_id, safety=query.at_risk)


def attempt_of(step: Event) -> Attempt | None:
    """The attempt an event tells of; None if it tells of none, or only of its start."""
    match step:
        case AttemptSucceeded():
            return Attempt(step.provider, Outcome.ANSWERED, step.reason, step.duration_ms)
        case AttemptFailed():
            return Attempt(step.provider, Outcome.FAILED, step.reason, step.duration_ms)
        case AttemptSkipped():
            return Attempt(step.provider, Outcome.SKIPPED, step.reason, 0)
        case _:
            return None
