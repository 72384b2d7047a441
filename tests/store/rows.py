"""Events and rows for the tests of the store, and what can be read from a database file itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ouija_es.domain.events import Abandoned, Answered, AnsweredTexts, Asked, AskedTexts, AttemptSkipped, AttemptStarted
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.ids import uuid7
from ouija_es.store.mapper import to_row

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
INSTANCE = UUID("019c1340-4a80-7000-8000-0000000000aa")


def rows(stream: UUID, *versions: int) -> list[StoredEvent]:
    """A row of each of these versions; every row differs from every other."""
    return [to_row(stream, version, skipped()) for version in versions]


def new_rows(count: int = 1) -> list[StoredEvent]:
    """The first rows of a new stream."""
    return rows(uuid7(), *range(1, count + 1))


def skipped() -> AttemptSkipped:
    # The instance is used as a serial number.
    return AttemptSkipped(
        at=AT, instance=uuid7(), provider=Provider.GROQ, reason=Reason.NOT_CONFIGURED, time_left_ms=7000
    )


def started() -> AttemptStarted:
    return AttemptStarted(
        at=AT,
        instance=INSTANCE,
        provider=Provider.GROQ,
        attempt=1,
        model="llama-3.1-8b-instant",
        timeout_ms=3000,
        time_left_ms=7000,
    )


def asked(session_id: UUID, question: str, *, opens_session: bool = False) -> Asked:
    return Asked(
        at=AT,
        instance=INSTANCE,
        session_id=session_id,
        opens_session=opens_session,
        personality=Personality.WISE,
        language=Language.ES,
        category=Category.LOVE,
        exchanges=0,
        deadline_ms=8000,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        texts=AskedTexts(question=question, client_address="198.51.100.7"),
    )


def answered(response: str, *, canned_answer_id: str | None = None, safety: bool = False) -> Answered:
    return Answered(
        at=AT,
        instance=INSTANCE,
        source=Provider.DATABASE,
        model="sqlite-fallback",
        duration_ms=3,
        texts=AnsweredTexts(response=response, canned_answer_id=canned_answer_id, safety=safety),
    )


def abandoned() -> Abandoned:
    return Abandoned(at=AT, instance=INSTANCE)


def stored(database: Path) -> list[tuple[int, UUID, int]]:
    """Position, stream and version of everything in the log, in order."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT position, originator_id, originator_version FROM stored_events ORDER BY 1")
        return [(row[0], UUID(row[1]), row[2]) for row in found]


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process's write transaction, as far as SQLite is concerned."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class CommitCount:
    """How many transactions were committed, read from the frames of the write-ahead log.

    A frame that ends a transaction tells the database's size, any other says 0
    (https://www.sqlite.org/fileformat2.html#the_write_ahead_log). A reader that stays at its snapshot keeps SQLite from
    beginning the log anew meanwhile.
    """

    def __init__(self, database: Path) -> None:
        self._wal = database.with_name(database.name + "-wal")
        self._reader = sqlite3.connect(database, isolation_level=None)
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT COUNT(*) FROM stored_events").fetchone()
        self._before = self._in_log()

    def since_start(self) -> int:
        return self._in_log() - self._before

    def close(self) -> None:
        self._reader.close()

    def _in_log(self) -> int:
        log = self._wal.read_bytes()
        page_size, salt = int.from_bytes(log[8:12]), log[16:24]
        frames = (log[at : at + 24] for at in range(32, len(log), 24 + page_size))
        return sum(frame[8:16] == salt and frame[4:8] != b"\0\0\0\0" for frame in frames)
