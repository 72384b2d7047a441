"""Reads the event log, on connections of its own: a read never waits for the writer. Blocking: call it in a thread."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import InterfaceError, PersistenceError, StoredEvent

from ouija_es.domain.events import (
    FINAL,
    TOPIC_OF,
    Asked,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Erased,
    Event,
    PolicyAdopted,
    Sealed,
)
from ouija_es.domain.vocabulary import Provider
from ouija_es.errors import StoreUnreadable
from ouija_es.store.mapper import opened, to_event
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import SealingKey, Vault

_ASKED = TOPIC_OF[Asked]
_ERASED = TOPIC_OF[Erased]
_SEALED = TOPIC_OF[Sealed]
_POLICY = TOPIC_OF[PolicyAdopted]
_FINAL = ",".join(f"'{TOPIC_OF[event]}'" for event in FINAL)
_BREAKER = "'ouija.BreakerOpened.v1', 'ouija.BreakerHalfOpened.v1', 'ouija.BreakerClosed.v1'"

_STREAM = (
    "SELECT position, originator_version, topic, state FROM stored_events WHERE originator_id=? "
    "ORDER BY originator_version"
)
_QUESTION_WITH_KEY = (
    "SELECT originator_id FROM stored_events "
    f"WHERE topic='{_ASKED}' AND json_extract(CAST(state AS TEXT), '$.idempotencyKeyHash')=? "
    "AND json_extract(CAST(state AS TEXT), '$.idempotencyKeyHash') IS NOT NULL ORDER BY position DESC LIMIT 1"
)
_BREAKER_CHANGES = (
    "SELECT originator_id, originator_version, topic, state FROM stored_events "
    f"WHERE topic IN ({_BREAKER}) "
    "ORDER BY position DESC LIMIT 100"
)
_BACKWARDS = (
    "SELECT position, originator_id, originator_version, topic, state FROM stored_events WHERE position<? "
    "ORDER BY position DESC LIMIT ?"
)
PAGE = 1_000
_QUESTIONS_OF_SESSION = (
    "SELECT originator_id FROM stored_events "
    f"WHERE topic='{_ASKED}' AND json_extract(CAST(state AS TEXT), '$.sessionId')=? ORDER BY position DESC LIMIT ?"
)
_SESSIONS_WITH_KEY = (
    "SELECT session_id FROM session_keys WHERE session_id>? AND session_id<? ORDER BY session_id LIMIT ?"
)
# A start records its policy together with what it found unfinished, so nothing older than the last policy is open.
# The changes of breakers, the erasing of sessions and the sealing of the log open no question.
_UNFINISHED = (
    "SELECT originator_id, MAX(originator_version) FROM stored_events "
    f"WHERE position > (SELECT COALESCE(MAX(position), 0) FROM stored_events WHERE topic='{_POLICY}') "
    f"AND topic NOT IN ({_BREAKER}, '{_ERASED}', '{_SEALED}') "
    f"GROUP BY originator_id HAVING MAX(topic IN ({_FINAL})) = 0"
)

BreakerChange = BreakerOpened | BreakerHalfOpened | BreakerClosed


class Recorded(NamedTuple):
    """An event and its place: in the log, and in its stream."""

    position: int
    stream: UUID
    version: int
    topic: str
    event: Event


class EventLog:
    """Queries over the log of one database file, which must be there."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._recorder = open_recorder(path, create=False)
        self._vault = vault
        self._reading = threading.Condition()
        self._readers = 0
        self._closed = False

    def close(self) -> None:
        """Closes the connections once nobody reads any more: SQLite's may not be closed under a running statement."""
        with self._reading:
            self._closed = True
            self._reading.wait_for(lambda: not self._readers)
        self._recorder.datastore.close()

    def stream(self, question_id: UUID) -> list[Recorded]:
        """A question's events in order, texts still sealed; empty if there is no such stream."""
        rows = self._select(_STREAM, [question_id.hex])
        return [
            Recorded(row[0], question_id, row[1], row[2], to_event(StoredEvent(question_id, *row[1:]))) for row in rows
        ]

    def history(self, question_id: UUID, key: SealingKey | None) -> list[Recorded]:
        """A question's events with texts in the clear; sealed as they are if the session's key is gone."""
        events = self.stream(question_id)
        if key is None:
            return events
        return [it._replace(event=opened(question_id, it.version, it.event, key)) for it in events]

    def question(self, question_id: UUID) -> list[Recorded]:
        """As `history`, with the key looked up; empty if there is no such question."""
        events = self.stream(question_id)
        if not events or not isinstance(events[0].event, Asked):
            return []
        return self.history(question_id, self.session_key(events[0].event.session_id))

    def session(self, session_id: UUID) -> list[list[Recorded]]:
        """The histories of a session's questions, oldest first; empty if it is not known."""
        key = self.session_key(session_id)
        return [self.history(question_id, key) for question_id in self.questions_of(session_id)]

    def questions_of(self, session_id: UUID, *, newest: int = -1) -> list[UUID]:
        """The questions of a session, oldest first; only the `newest` so many if given."""
        rows = self._select(_QUESTIONS_OF_SESSION, [str(session_id), newest])
        return [UUID(row[0]) for row in reversed(rows)]

    def session_key(self, session_id: UUID) -> SealingKey | None:
        """The key of a session; None if it never was or has been erased. Raises SealBroken under another vault key."""
        for row in self._select("SELECT wrapped FROM session_keys WHERE session_id=?", [session_id.hex]):
            return self._vault.unwrap(session_id, row[0])
        return None

    def has_key(self, session_id: UUID) -> bool:
        """Whether the session's key is there."""
        return bool(self._select("SELECT 1 FROM session_keys WHERE session_id=?", [session_id.hex]))

    def sessions_with_key(self, after: UUID, before: UUID, limit: int) -> list[UUID]:
        """Sessions whose key is there, oldest first, with ids between the two: ids begin with the time of opening."""
        return [UUID(row[0]) for row in self._select(_SESSIONS_WITH_KEY, [after.hex, before.hex, limit])]

    def last_asked_at(self, session_id: UUID) -> datetime | None:
        """When the session's newest question was asked; None if it is not known."""
        for question_id in self.questions_of(session_id, newest=1):
            return self.stream(question_id)[0].event.at
        return None

    def question_with_key(self, key_hash: str) -> UUID | None:
        """The newest question that was asked with this idempotency key's hash."""
        for row in self._select(_QUESTION_WITH_KEY, [key_hash]):
            return UUID(row[0])
        return None

    def latest_breaker_changes(self) -> list[BreakerChange]:
        """The latest change of each provider's breaker."""
        latest: dict[Provider, BreakerChange] = {}
        for row in self._select(_BREAKER_CHANGES, []):
            event = to_event(StoredEvent(UUID(row[0]), *row[1:]))
            if isinstance(event, BreakerChange):
                latest.setdefault(event.provider, event)
        return list(latest.values())

    def newest(self, topics: Sequence[type[Event]], since: datetime) -> list[tuple[UUID, Event]]:
        """Events of these kinds, newest first, back to `since`: (stream, event)."""
        found: list[tuple[UUID, Event]] = []
        before = 2**63 - 1
        while rows := self._select(_BACKWARDS, [before, PAGE]):
            for row in rows:
                if row[3] in {TOPIC_OF[topic] for topic in topics}:
                    event = to_event(StoredEvent(UUID(row[1]), *row[2:]))
                    if event.at < since:
                        return found
                    found.append((UUID(row[1]), event))
            before = rows[-1][0]
        return found

    def unfinished(self) -> list[tuple[UUID, int]]:
        """Questions without a last event since the last start, with the number of events they have."""
        return [(UUID(row[0]), row[1]) for row in self._select(_UNFINISHED, [])]

    def rows_after(self, position: int, limit: int) -> Iterator[tuple[int, StoredEvent]]:
        """The log in order: (position, row), beginning behind `position`."""
        for row in self._select(
            "SELECT position, originator_id, originator_version, topic, state FROM stored_events "
            "WHERE position>? ORDER BY position LIMIT ?",
            [position, limit],
        ):
            yield row[0], StoredEvent(UUID(row[1]), row[2], row[3], row[4])

    def _select(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            with self._reader(), self._recorder.datastore.transaction(commit=False) as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall())
        except (PersistenceError, sqlite3.Error) as error:
            raise StoreUnreadable("The record of earlier events cannot be read.", retry_after_seconds=5) from error

    @contextmanager
    def _reader(self) -> Iterator[None]:
        with self._reading:
            if self._closed:
                raise InterfaceError("the log is closed")
            self._readers += 1
        try:
            yield
        finally:
            with self._reading:
                self._readers -= 1
                self._reading.notify_all()
