"""Reading the log: streams, sessions, what is unfinished, and what an erased or foreign key leaves."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from ouija_es.domain.events import Answered, AnsweredTexts, Asked, AskedTexts, Event, PolicyAdopted
from ouija_es.errors import StoreUnreadable
from ouija_es.ids import uuid7
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import SealBroken, SealingKey, Vault
from tests.store.rows import AT, INSTANCE, abandoned, answered, asked, locked, rows, skipped

VAULT = Vault(bytes(range(32)))


class Book:
    """A database that a test fills by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: dict[UUID, SealingKey] = {}
        self._recorder = open_recorder(path)
        self.log = EventLog(path, VAULT)

    def question(self, session_id: UUID, question: str, *events: Event) -> UUID:
        """Writes a question's stream."""
        session_keys = []
        opens = session_id not in self.keys
        if opens:
            self.keys[session_id], wrapped = VAULT.new_key(session_id)
            session_keys.append((session_id, wrapped))
        stream, key = uuid7(), self.keys[session_id]
        history = [asked(session_id, question, opens_session=opens), *events]
        self._recorder.insert_events(
            [to_row(stream, version, event, key) for version, event in enumerate(history, 1)],
            session_keys=session_keys,
        )
        return stream

    def policy(self) -> UUID:
        """Writes that a process started."""
        instance = uuid7()
        policy = PolicyAdopted(
            at=AT,
            instance=instance,
            service_version="1.0.0",
            deadline_ms=8000,
            reserve_ms=1000,
            tiers=(),
            prompts_version=1,
            answers_digest="0" * 16,
            categories_digest="0" * 16,
        )
        self._recorder.insert_events([to_row(instance, 1, policy)])
        return instance

    def append(self, stream: UUID, version: int) -> None:
        self._recorder.insert_events(rows(stream, version))

    def close(self) -> None:
        self.log.close()
        self._recorder.datastore.close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "ouija.db")
    yield book
    book.close()


def texts(event: Event) -> AskedTexts | AnsweredTexts | bytes:
    assert isinstance(event, Asked | Answered)
    return event.texts


def test_a_question_is_read_back_in_the_clear_and_in_order(book: Book) -> None:
    session = uuid7()
    events = [skipped(), answered("Volverá.")]
    stream = book.question(session, "¿Volverá?", *events)
    history = book.log.question(stream)
    assert [it.event for it in history] == [asked(session, "¿Volverá?", opens_session=True), *events]
    assert [(it.position, it.version, it.stream) for it in history] == [(1, 1, stream), (2, 2, stream), (3, 3, stream)]
    sealed = book.log.stream(stream)[0].event
    assert isinstance(sealed, Asked)
    assert isinstance(sealed.texts, bytes)


def test_what_is_not_there_is_empty(book: Book) -> None:
    instance = book.policy()
    assert book.log.question(uuid7()) == []
    assert book.log.question(instance) == []  # a process is no question
    assert book.log.session(uuid7()) == []
    assert book.log.session_key(uuid7()) is None
    assert list(book.log.rows_after(1, 10)) == []


def test_a_session_has_its_own_questions_oldest_first(book: Book) -> None:
    mine, other = uuid7(), uuid7()
    streams = []
    for number in range(4):
        streams.append(book.question(mine, f"¿{number}?", answered("Sí.")))
        book.question(other, "¿Otra?", answered("No."))
    assert book.log.questions_of(mine) == streams
    assert book.log.questions_of(mine, newest=3) == streams[1:]
    questions = [texts(history[0].event) for history in book.log.session(mine)]
    assert questions == [AskedTexts(question=f"¿{number}?", client_address="198.51.100.7") for number in range(4)]


def test_a_session_is_found_by_an_index(book: Book) -> None:
    from ouija_es.store import log

    with closing(sqlite3.connect(book.path)) as connection:
        for query, parameters in [(log._QUESTIONS_OF_SESSION, ("x", 3)), (log._STREAM, ("x",))]:
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters))
            assert "USING INDEX" in plan
            assert "SCAN stored_events" not in plan
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {log._UNFINISHED}"))
        assert "SEARCH stored_events" in plan
        assert "INDEX policies" in plan


def test_without_its_key_a_session_keeps_its_events_and_loses_its_texts(book: Book) -> None:
    session = uuid7()
    stream = book.question(session, "¿Volverá?", answered("Volverá."))
    with closing(sqlite3.connect(book.path)) as connection, connection:
        connection.execute("DELETE FROM session_keys")
    history = book.log.question(stream)
    assert [type(it.event).__name__ for it in history] == ["Asked", "Answered"]
    assert all(isinstance(texts(it.event), bytes) for it in history)
    assert book.log.session_key(session) is None


def test_under_another_vault_key_a_session_does_not_open(book: Book) -> None:
    session = uuid7()
    stream = book.question(session, "¿Volverá?")
    foreign = EventLog(book.path, Vault(bytes(32)))
    with pytest.raises(SealBroken):
        foreign.question(stream)
    foreign.close()


def test_a_row_moved_to_another_question_does_not_open(book: Book) -> None:
    session = uuid7()
    first, second = (book.question(session, text, answered("Sí.")) for text in ("¿Uno?", "¿Dos?"))
    with closing(sqlite3.connect(book.path)) as connection, connection:
        connection.execute("DELETE FROM stored_events WHERE originator_id=?", [second.hex])
        connection.execute("UPDATE stored_events SET originator_id=?", [second.hex])
    assert book.log.question(first) == []
    with pytest.raises(SealBroken):
        book.log.question(second)


def test_unfinished_is_what_has_no_last_event_since_the_last_start(book: Book) -> None:
    session = uuid7()
    assert book.log.unfinished() == []
    before = book.question(session, "¿Antes?")
    assert book.log.unfinished() == [(before, 1)]
    book.policy()
    assert book.log.unfinished() == []  # that start has closed it, or it was not there
    book.question(session, "¿Sí?", skipped(), answered("Sí."))
    book.question(session, "¿No?", skipped(), abandoned())
    still = book.question(session, "¿Quizás?", skipped(), skipped())
    assert book.log.unfinished() == [(still, 3)]


def test_rows_come_in_order_page_by_page(book: Book) -> None:
    for number in range(5):
        book.question(uuid7(), f"¿{number}?", answered("Sí."))
    pages = [list(book.log.rows_after(start, 4)) for start in (0, 4, 8, 10)]
    assert [[position for position, _ in page] for page in pages] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10], []]
    assert pages[0][0][1].topic == "ouija.Asked.v1"


def test_reading_does_not_wait_for_a_writer(book: Book) -> None:
    stream = book.question(uuid7(), "¿Volverá?")
    with locked(book.path):
        assert len(book.log.question(stream)) == 1


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "missing.db", VAULT)
    with pytest.raises(StoreUnreadable):
        log.unfinished()
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_signs_of_a_url_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a folder?mode=memory#50%" / "ouija.db"
    path.parent.mkdir()
    book = Book(path)
    stream = book.question(uuid7(), "¿Volverá?")
    book.close()
    assert path.stat().st_size > 0
    again = EventLog(path, VAULT)
    assert len(again.question(stream)) == 1
    again.close()


def test_the_clear_texts_are_the_documented_types(book: Book) -> None:
    history = book.log.question(book.question(uuid7(), "¿Volverá?", answered("Volverá.")))
    assert [type(texts(it.event)) for it in history] == [AskedTexts, AnsweredTexts]
    assert {it.event.instance for it in history} == {INSTANCE}


def test_closing_waits_for_whoever_is_reading(tmp_path: Path) -> None:
    """A connection closed under a running statement takes the whole process down."""
    open_recorder(tmp_path / "ouija.db").datastore.close()
    for _ in range(20):
        log = EventLog(tmp_path / "ouija.db", Vault(bytes(32)))
        reading = threading.Event()

        def read(log: EventLog = log, reading: threading.Event = reading) -> None:
            with contextlib.suppress(StoreUnreadable):
                while True:
                    log.unfinished()
                    reading.set()

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        reading.wait()
        log.close()
        for reader in readers:
            reader.join(10)
            assert not reader.is_alive()
