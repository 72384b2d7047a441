"""The database file: one writer at a time, and the canned answers in it."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

import seeds
from ouija_es.errors import StartError
from ouija_es.ids import uuid7
from ouija_es.store.answers import digest_of, read_answers, seed
from ouija_es.store.sqlite import DataFolderLock, open_recorder
from tests.store.rows import locked, new_rows


def test_a_data_folder_has_one_writer(tmp_path: Path) -> None:
    first, second = (DataFolderLock(tmp_path / "data" / "ouija.db") for _ in range(2))
    first.acquire()
    with pytest.raises(StartError, match="another process is writing"):
        second.acquire()
    first.release()
    first.release()  # once more does no harm
    second.acquire()
    second.release()


def test_databases_in_one_folder_have_locks_of_their_own(tmp_path: Path) -> None:
    locks = [DataFolderLock(tmp_path / name) for name in ("one.db", "two.db")]
    for lock in locks:
        lock.acquire()
    for lock in locks:
        lock.release()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    code = "import sys, time; from pathlib import Path; from ouija_es.store.sqlite import DataFolderLock\n"
    code += "DataFolderLock(Path(sys.argv[1])).acquire(); print('locked', flush=True); time.sleep(60)"
    lock = DataFolderLock(tmp_path / "ouija.db")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "ouija.db")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StartError):
            lock.acquire()
        os.kill(other.pid, how)
        other.wait()
    lock.acquire()
    lock.release()


def test_a_folder_that_is_a_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartError, match="the data folder cannot be used"):
        DataFolderLock(tmp_path / "data" / "ouija.db").acquire()


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    rows = new_rows(3)
    for content in (rows[:1], rows[1:]):
        recorder = open_recorder(tmp_path / "ouija.db")
        recorder.insert_events(content)
        recorder.datastore.close()
    recorder = open_recorder(tmp_path / "ouija.db", create=False)
    assert list(recorder.select_events(rows[0].originator_id)) == rows
    assert recorder.max_notification_id() == 3
    recorder.datastore.close()


def test_a_position_is_never_used_again_and_vacuum_leaves_it_alone(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path / "ouija.db")
    recorder.insert_events(new_rows(5))
    recorder.datastore.close()
    with closing(sqlite3.connect(tmp_path / "ouija.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM stored_events WHERE position IN (2, 5)")
        connection.execute("VACUUM")
    recorder = open_recorder(tmp_path / "ouija.db")
    assert recorder.insert_events(new_rows()) == [6]
    recorder.datastore.close()
    with closing(sqlite3.connect(tmp_path / "ouija.db")) as connection:
        assert [row[0] for row in connection.execute("SELECT position FROM stored_events")] == [1, 3, 4, 6]


def test_what_fails_raises_the_librarys_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path / "ouija.db")
    first, second, third = new_rows(2), new_rows(2), new_rows(2)
    recorder.insert_events(first)
    with pytest.raises(IntegrityError):
        recorder.insert_events([*second, *first])
    with locked(tmp_path / "ouija.db"), pytest.raises(OperationalError, match="locked"):
        recorder.insert_events(second)
    assert recorder.insert_events(third) == [3, 4]
    assert list(recorder.select_events(second[0].originator_id)) == []
    recorder.datastore.close()


def test_what_is_appended_again_and_again_is_compiled_once(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path / "ouija.db")
    recorder.insert_events(new_rows())
    compiled: list[int] = []

    def compiles(action: int, *_: object) -> int:
        compiled.append(action)
        return sqlite3.SQLITE_OK

    assert recorder._connection is not None
    recorder._connection._sqlite_conn.set_authorizer(compiles)  # asked whenever a statement is compiled
    for _ in range(2):
        compiled.clear()
        recorder.insert_events(new_rows(10), session_keys=[(uuid7(), b"wrapped")])
    assert compiled == [sqlite3.SQLITE_TRANSACTION]  # the COMMIT of Python's own
    recorder.datastore.close()


def test_seeding_writes_once_and_again_when_the_answers_change(tmp_path: Path) -> None:
    answers = seeds.load_answers()
    recorder = open_recorder(tmp_path / "ouija.db")
    assert seed(recorder, answers)
    assert not seed(recorder, answers)
    assert seed(recorder, answers, force=True)
    assert sorted(read_answers(recorder), key=lambda it: it.id) == sorted(answers, key=lambda it: it.id)
    assert seed(recorder, answers[:-1])
    assert len(read_answers(recorder)) == len(answers) - 1
    recorder.datastore.close()


def test_the_digest_is_of_the_answers_not_of_their_order() -> None:
    answers = seeds.load_answers()
    assert digest_of(answers) == digest_of(answers[::-1]) != digest_of(answers[1:])
    assert len(digest_of(answers)) == 16


def test_a_seeding_that_fails_leaves_the_answers_of_before(tmp_path: Path) -> None:
    answers = seeds.load_answers()
    recorder = open_recorder(tmp_path / "ouija.db")
    seed(recorder, answers)
    with pytest.raises(Exception, match="UNIQUE"):
        seed(recorder, [*answers, answers[0]])
    assert len(read_answers(recorder)) == len(answers)
    recorder.datastore.close()
