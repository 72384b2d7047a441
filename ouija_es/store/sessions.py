"""What is known of sessions: a bounded memory of this process, filled from the log when a session is not in it."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from ouija_es.domain.events import Answered, AnsweredTexts, Asked, AskedTexts, Event
from ouija_es.domain.persona import HISTORY_EXCHANGES, Exchange
from ouija_es.ids import uuid7
from ouija_es.store.log import EventLog
from ouija_es.store.vault import SealingKey, Vault

LIMIT = 4_096
"""Sessions kept in memory: at most some 10 MB."""


class Session:
    """A visitor's key and last exchanges."""

    __slots__ = ("exchanges", "id", "key", "previous_canned_id", "wrapped_key")

    def __init__(self, session_id: UUID, key: SealingKey, wrapped_key: bytes | None) -> None:
        self.id = session_id
        self.key = key
        self.wrapped_key = wrapped_key
        """To be stored with the first event; None once it is."""
        self.exchanges: list[Exchange] = []
        self.previous_canned_id: str | None = None

    def remember(self, question: str, answer: AnsweredTexts) -> None:
        """Adds an exchange. What was answered out of character is never told to a model later on."""
        if not answer.safety:
            self.exchanges.append(Exchange(question, answer.response))
            del self.exchanges[:-HISTORY_EXCHANGES]
        self.previous_canned_id = answer.canned_answer_id


class Sessions:
    """Opens sessions and finds them again. Used on one event loop."""

    def __init__(self, log: EventLog, vault: Vault, *, limit: int = LIMIT) -> None:
        self._log = log
        self._vault = vault
        self._limit = limit
        # By the number of the id: a UUID's own hash and comparison are Python code.
        self._known: OrderedDict[int, Session] = OrderedDict()
        self._forgotten: OrderedDict[int, None] = OrderedDict()
        self._in_use: Counter[int] = Counter()
        self._idle: set[int] = set()

    def open(self) -> Session:
        """A new session; it exists once its first event is recorded."""
        session_id = uuid7()
        return Session(session_id, *self._vault.new_key(session_id))

    def keep(self, session: Session) -> None:
        """Keeps a recorded session in memory, at the cost of the one not used for longest. Not a forgotten one."""
        number = session.id.int
        if number in self._forgotten:
            return
        self._known[number] = session
        self._known.move_to_end(number)
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def forget(self, session_id: UUID) -> None:
        """Takes no more questions in a session, whatever asks in flight or reads under way still bring."""
        self._known.pop(session_id.int, None)
        self._forgotten[session_id.int] = None
        while len(self._forgotten) > self._limit:  # those in flight ended long ago; the log knows the rest
            self._forgotten.popitem(last=False)

    @contextmanager
    def using(self, session_id: UUID) -> Iterator[None]:
        """While a question is asked in a session."""
        number = session_id.int
        self._in_use[number] += 1
        self._idle.discard(number)
        try:
            yield
        finally:
            self._in_use[number] -= 1
            if not self._in_use[number]:
                del self._in_use[number]

    def watch(self, session_ids: Iterable[UUID]) -> None:
        """From now on `is_idle` tells of these sessions, and of no others."""
        self._idle = {session_id.int for session_id in session_ids} - self._in_use.keys()

    def is_idle(self, session_id: UUID) -> bool:
        """Whether no question has been on its way in a session since `watch`."""
        return session_id.int in self._idle

    async def find(self, session_id: UUID) -> Session | None:
        """The session, from memory or from the log; None if it never was or has been erased."""
        session = self._known.get(session_id.int)
        if session is None:
            session = await asyncio.to_thread(self._read, session_id)
            if session is None:
                return None
            # Two asks may have read it at once: both go on with the first one's object.
            session = self._known.get(session_id.int, session)
        self.keep(session)
        return None if session_id.int in self._forgotten else session

    def _read(self, session_id: UUID) -> Session | None:
        key = self._log.session_key(session_id)
        if key is None:
            return None
        session = Session(session_id, key, None)
        for question_id in self._log.questions_of(session_id, newest=HISTORY_EXCHANGES):
            _recall(session, [it.event for it in self._log.history(question_id, key)])
        return session


def _recall(session: Session, events: Sequence[Event]) -> None:
    question = None
    for event in events:
        if isinstance(event, Asked) and isinstance(event.texts, AskedTexts):
            question = event.texts.question
        elif isinstance(event, Answered) and isinstance(event.texts, AnsweredTexts) and question is not None:
            session.remember(question, event.texts)
