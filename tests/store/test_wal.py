"""Whether the write-ahead log still holds what was overwritten: read from the file, as SQLite writes it."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ouija_es.ids import uuid7
from ouija_es.store.wal import bytes_left_of_older, generation
from ouija_es.store.writer import Append, Writer
from tests.bytes_in_files import bytes_found
from tests.store.rows import new_rows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE a (b)")
        yield connection


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A reader of the state as it is now."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        yield


def fill(database: sqlite3.Connection, pages: int) -> None:
    database.execute("INSERT INTO a VALUES (randomblob(?))", [pages * 4096])


def test_a_log_that_goes_on_is_of_one_generation(database: sqlite3.Connection, tmp_path: Path) -> None:
    log = tmp_path / "a.db-wal"
    before = generation(log)
    assert len(before) == 8
    fill(database, 3)
    assert generation(log) == before
    assert bytes_left_of_older(log) == 0


def test_a_log_that_is_begun_anew_keeps_its_old_end_until_that_is_overwritten(
    database: sqlite3.Connection, tmp_path: Path
) -> None:
    log = tmp_path / "a.db-wal"
    fill(database, 20)
    before, length = generation(log), log.stat().st_size
    database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert generation(log) == before
    fill(database, 2)
    assert generation(log) != before
    assert log.stat().st_size == length
    assert 0 < bytes_left_of_older(log) < length
    fill(database, 40)
    assert bytes_left_of_older(log) == 0


def test_nothing_older_is_left_in_an_emptied_log(database: sqlite3.Connection, tmp_path: Path) -> None:
    log = tmp_path / "a.db-wal"
    fill(database, 20)
    before = generation(log)
    assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert generation(log) == b""
    assert bytes_left_of_older(log) == 0
    fill(database, 2)
    assert generation(log) not in {b"", before}
    assert bytes_left_of_older(log) == 0


def test_a_log_that_is_not_there_has_no_generation(tmp_path: Path) -> None:
    assert generation(tmp_path / "none") == b""


@pytest.mark.parametrize("asked_meanwhile", [0, 100])
def test_under_a_constant_reader_a_key_is_overwritten_once_he_has_the_log_begun_anew(
    tmp_path: Path, asked_meanwhile: int
) -> None:
    path, session_id, key = tmp_path / "ouija.db", uuid7(), secrets.token_bytes(61)
    writer = Writer(path)
    assert writer.insert([Append(new_rows(3), (session_id, key))]) == [None]
    with reading(path):
        assert writer.insert([Append(new_rows(3), None, session_id)]) == [None]
        assert not writer.truncate()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    for _ in range(asked_meanwhile):
        assert writer.insert([Append(new_rows(3), None)]) == [None]
    assert writer.insert([Append(new_rows(1), None)]) == [None]
    assert bytes_left_of_older(tmp_path / "ouija.db-wal") or asked_meanwhile
    assert (key in (tmp_path / "ouija.db-wal").read_bytes()) == (not asked_meanwhile)
    with reading(path):
        assert writer.truncate()
        assert bytes_found(tmp_path, key) == []
        assert (tmp_path / "ouija.db-wal").stat().st_size
        assert writer.insert([Append(new_rows(3), (session_id, key))]) == [None]
        assert writer.insert([Append(new_rows(3), None, session_id)]) == [None]
        assert not writer.truncate()
    writer.close()
