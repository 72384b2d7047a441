"""Sealed logs for the tests of the check, and what somebody with the file may do to them."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from ouija_es.domain.events import Event
from ouija_es.store.ledger import GENESIS, LogRow, link_of
from ouija_es.store.mapper import to_row
from ouija_es.store.seals import LedgerKey
from ouija_es.store.sqlite import open_recorder
from tests.projections.test_folding import question

KEY, OTHER = LedgerKey(bytes(range(32))), LedgerKey(bytes([1]) * 32)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEALED = "ouija.Sealed.v1"


def make_log(database: Path, questions: int, seal_every: int = 7, seed: int = 1) -> list[LogRow]:
    """Written by the recorder; a seal behind every so many questions, one of them late."""
    rng, recorder = random.Random(seed), open_recorder(database)
    for number in range(questions):
        at = START + timedelta(seconds=number)
        append(recorder, *question(rng, at))
        if number % seal_every == seal_every - 1:
            last = rows_of(database)[-1]
            if rng.random() < 0.3:
                append(recorder, *question(rng, at))
            append(recorder, KEY.seal(last.position, last.link, at, uuid4()))
    recorder.datastore.close()
    return rows_of(database)


def append(recorder, *events: Event) -> None:
    stream = uuid4()
    recorder.insert_events([to_row(stream, version, event) for version, event in enumerate(events, 1)])


def rows_of(database: Path) -> list[LogRow]:
    with closing(sqlite3.connect(database)) as connection:
        return list(map(LogRow._make, connection.execute("SELECT * FROM stored_events ORDER BY position")))


def rechained(rows: list[LogRow], start: int = 1) -> list[LogRow]:
    """Positions and links made anew from a position on, as anybody can who has the file."""
    made = rows[: start - 1]
    for position, row in enumerate(rows[start - 1 :], start):
        row = row._replace(position=position)  # noqa: PLW2901 - the row as it is now
        made.append(row._replace(link=link_of(made[-1].link if made else GENESIS, position, row)))
    return made


@contextmanager
def fast(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that need not outlive a loss of power."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        with connection:
            yield connection


class Copy:
    """A copy of a database, to be spoiled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def execute(self, statement: str, *values: object) -> None:
        with fast(self.path) as connection:
            connection.execute(statement, values)

    def replace(self, rows: list[LogRow], *, remember: bool = False) -> None:
        """Other rows instead; `remember` leaves the file's memory of its highest position as it is."""
        with fast(self.path) as connection:
            (highest,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name='stored_events'").fetchone()
            connection.execute("DELETE FROM stored_events")
            connection.executemany("INSERT INTO stored_events VALUES (?,?,?,?,?,?)", rows)
            seq = highest if remember else (rows[-1].position if rows else 0)
            connection.execute("UPDATE sqlite_sequence SET seq=? WHERE name='stored_events'", [seq])


@contextmanager
def copied(database: Path) -> Iterator[Copy]:
    path = database.with_name("copy.db")
    shutil.copyfile(database, path)
    with fast(path) as connection:
        for index in ("asked_by_session", "asked_by_idempotency_key"):  # they refuse what is no JSON
            connection.execute(f"DROP INDEX {index}")
    yield Copy(path)
    path.unlink()
