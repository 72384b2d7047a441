"""The group commit: one transaction for everybody waiting, each told how their own events fared."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError, PersistenceError, StoredEvent

from ouija_es.errors import StoreUnavailable
from ouija_es.ids import uuid7
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sqlite import BUSY_TIMEOUT_SECONDS, EventRecorder
from ouija_es.store.writer import RETRY_SECONDS, Append, Writer, reason_of
from tests.store.rows import CommitCount, locked, new_rows, rows, stored

PATIENCE_SECONDS = 60.0
"""For what must come, however busy the machine."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ouija.db"


@pytest.fixture
async def recorder(database: Path) -> AsyncIterator[GroupCommit]:
    recorder = GroupCommit(database)
    recorder.start()
    yield recorder
    await recorder.close()


@pytest.fixture
def commits(recorder: GroupCommit, database: Path) -> Iterator[CommitCount]:
    count = CommitCount(database)
    yield count
    count.close()


async def verdicts(*appends: Awaitable[None]) -> list[str]:
    """`recorded` or the reason, for appends that start in the same instant."""
    results = await asyncio.gather(*appends, return_exceptions=True)
    return [it.reason if isinstance(it, StoreUnavailable) else "recorded" if it is None else repr(it) for it in results]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the writer's thread makes it true
            await asyncio.sleep(0.01)


async def test_one_after_the_other_each_append_is_a_transaction(recorder: GroupCommit, commits: CommitCount) -> None:
    for _ in range(20):
        await recorder.append(new_rows(), seconds=PATIENCE_SECONDS)
    assert commits.since_start() == 20


async def test_what_comes_in_one_turn_of_the_loop_becomes_one_transaction(
    recorder: GroupCommit, commits: CommitCount, database: Path
) -> None:
    appends = [recorder.append(new_rows(3), seconds=PATIENCE_SECONDS) for _ in range(500)]
    assert set(await verdicts(*appends)) == {"recorded"}
    assert commits.since_start() == 1
    assert len(stored(database)) == 1500


async def test_what_comes_while_the_writer_is_busy_becomes_one_transaction(
    recorder: GroupCommit, commits: CommitCount, database: Path
) -> None:
    with locked(database):
        first = asyncio.create_task(recorder.append(new_rows(3), seconds=PATIENCE_SECONDS))
        await until(lambda: recorder.batch_seconds > 0.05)
        appends = [asyncio.create_task(recorder.append(new_rows(3), seconds=PATIENCE_SECONDS)) for _ in range(499)]
        await until(lambda: recorder.queue_depth == 1500)
    assert set(await verdicts(first, *appends)) == {"recorded"}
    assert commits.since_start() == 2  # the first alone, then all who came meanwhile
    assert len(stored(database)) == 1500


async def test_under_load_a_transaction_serves_many(recorder: GroupCommit, commits: CommitCount) -> None:
    async def client() -> None:
        for _ in range(10):
            await recorder.append(new_rows(), seconds=PATIENCE_SECONDS)

    await asyncio.gather(*(client() for _ in range(64)))
    assert commits.since_start() <= 640 / 8


async def test_whoever_returns_finds_their_rows_in_the_file(recorder: GroupCommit, database: Path) -> None:
    async def client(number: int) -> None:
        mine = new_rows(number % 5 + 1)
        await recorder.append(mine, seconds=PATIENCE_SECONDS)
        there = {(stream, version) for _, stream, version in stored(database)}
        assert {(row.originator_id, row.originator_version) for row in mine} <= there

    await asyncio.gather(*(client(number) for number in range(50)))


@pytest.mark.parametrize("size", range(1, 8))
async def test_a_conflicting_append_fails_alone(
    recorder: GroupCommit, commits: CommitCount, database: Path, size: int
) -> None:
    taken = uuid7()
    await recorder.append(rows(taken, 1), seconds=PATIENCE_SECONDS)
    for place in range(size):
        before = commits.since_start()
        batch = [new_rows(2) for _ in range(size)]
        batch[place] = [*new_rows(2), *rows(taken, 1)]
        # The first append keeps the writer busy, so that all others are handed over together.
        appends = [recorder.append(rows, seconds=PATIENCE_SECONDS) for rows in [new_rows(), *batch]]
        fared = await verdicts(*appends)
        assert fared == ["recorded"] + ["conflict" if number == place else "recorded" for number in range(size)]
        # One batch was bisected: its parts cost a transaction each, its members do not.
        assert commits.since_start() - before <= 1 + size.bit_length()
        there = {(stream, version) for _, stream, version in stored(database)}
        for number, its_rows in enumerate(batch):
            held = {(row.originator_id, row.originator_version) in there for row in its_rows[:2]}
            assert held == {number != place}
    assert recorder.available


async def test_of_two_that_want_one_version_in_one_batch_the_first_gets_it(recorder: GroupCommit) -> None:
    stream = uuid7()
    contents = [new_rows(), rows(stream, 1, 2), rows(stream, 1), new_rows()]
    appends = [recorder.append(content, seconds=PATIENCE_SECONDS) for content in contents]
    assert await verdicts(*appends) == ["recorded", "recorded", "conflict", "recorded"]


async def test_a_session_key_is_stored_with_its_events_or_not_at_all(recorder: GroupCommit, database: Path) -> None:
    kept, lost, taken = uuid7(), uuid7(), uuid7()
    await recorder.append(rows(taken, 1), seconds=PATIENCE_SECONDS)
    appends = [
        recorder.append(content, seconds=PATIENCE_SECONDS, session_key=(session, b"wrapped"))
        for content, session in [(new_rows(), uuid7()), (new_rows(), kept), (rows(taken, 1), lost)]
    ]
    assert await verdicts(*appends) == ["recorded", "recorded", "conflict"]
    connection = sqlite3.connect(database)
    keys = {row[0] for row in connection.execute("SELECT session_id FROM session_keys")}
    connection.close()
    assert kept.hex in keys
    assert lost.hex not in keys


async def test_positions_have_no_gaps_after_conflicts_and_rollbacks(recorder: GroupCommit, database: Path) -> None:
    known: list[list[StoredEvent]] = []
    chance = random.Random(7)
    for _ in range(30):
        contents = []
        for _ in range(chance.randrange(1, 9)):
            content = new_rows(chance.randrange(1, 5))
            if known and chance.random() < 0.4:
                content.append(chance.choice(known)[0])  # taken: the whole append is rolled back
            else:
                known.append(content)
            contents.append(content)
        await verdicts(*(recorder.append(content, seconds=PATIENCE_SECONDS) for content in contents))
    log = stored(database)
    assert [position for position, _, _ in log] == list(range(1, sum(map(len, known)) + 1))


async def test_a_full_queue_refuses_at_once_and_loses_nothing_that_was_taken(database: Path) -> None:
    recorder = GroupCommit(database, queue_limit=10)
    recorder.start()
    with locked(database):
        waiting = [asyncio.ensure_future(recorder.append(new_rows(2), seconds=PATIENCE_SECONDS)) for _ in range(5)]
        await asyncio.sleep(0)
        assert recorder.queue_depth == 10
        with pytest.raises(StoreUnavailable) as refused:
            recorder.append(new_rows(), seconds=PATIENCE_SECONDS).send(None)  # raises before it ever waits
    assert refused.value.reason == "busy"
    assert await verdicts(*waiting) == ["recorded"] * 5
    assert recorder.queue_depth == 0
    assert recorder.available
    await recorder.append(new_rows(), seconds=PATIENCE_SECONDS)
    assert len(stored(database)) == 11
    await recorder.close()


async def test_an_append_larger_than_the_queue_is_taken_when_nothing_waits(database: Path) -> None:
    recorder = GroupCommit(database, queue_limit=10)
    recorder.start()
    await recorder.append(new_rows(25), seconds=PATIENCE_SECONDS)
    assert len(stored(database)) == 25
    await recorder.close()


async def test_a_late_append_raises_and_may_become_durable_all_the_same(recorder: GroupCommit, database: Path) -> None:
    late = new_rows()
    with locked(database):
        with pytest.raises(StoreUnavailable) as raised:
            await recorder.append(late, seconds=0.05)
        assert raised.value.reason == "busy"
        assert stored(database) == []
    await until(lambda: recorder.queue_depth == 0)
    assert stored(database) == [(1, late[0].originator_id, 1)]
    assert recorder.available  # the caller was in a hurry; the store did not fail


async def test_each_waits_for_as_long_as_he_said_whoever_else_waits(recorder: GroupCommit, database: Path) -> None:
    told: list[float] = []

    async def wait(seconds: float) -> None:
        with pytest.raises(StoreUnavailable):
            await recorder.append(new_rows(), seconds=seconds)
        told.append(seconds)

    with locked(database):
        patient = asyncio.create_task(recorder.append(new_rows(), seconds=PATIENCE_SECONDS))
        await until(lambda: recorder.batch_seconds > 0)  # it is being written, the others gather
        await asyncio.gather(*map(wait, [0.4, 0.1, 0.7, -1.0]))
        assert told == [-1.0, 0.1, 0.4, 0.7]
        assert not patient.done()
    await patient
    await until(lambda: recorder.queue_depth == 0)
    assert len(stored(database)) == 5


async def test_a_caller_who_is_cancelled_does_not_disturb_the_batch(recorder: GroupCommit, database: Path) -> None:
    with locked(database):
        first, cancelled, last = (
            asyncio.ensure_future(recorder.append(new_rows(), seconds=PATIENCE_SECONDS)) for _ in range(3)
        )
        await asyncio.sleep(0)
        cancelled.cancel()
    assert await verdicts(first, last) == ["recorded", "recorded"]
    assert cancelled.cancelled()


async def test_a_database_locked_for_too_long_is_busy_until_the_probe_has_written(database: Path) -> None:
    recorder = GroupCommit(database, probe_seconds=0.2)
    recorder.start()
    assert recorder.available
    lost, after = new_rows(), new_rows()
    with locked(database):
        assert await verdicts(recorder.append(lost, seconds=PATIENCE_SECONDS)) == ["busy"]
        assert not recorder.available
        await asyncio.sleep(2 * 0.2)
        assert not recorder.available
    await until(lambda: recorder.available)
    await recorder.append(after, seconds=PATIENCE_SECONDS)
    assert stored(database) == [(1, after[0].originator_id, 1)]
    await recorder.close()


async def test_a_lock_shorter_than_the_busy_timeout_only_delays(recorder: GroupCommit, database: Path) -> None:
    with locked(database):
        append = asyncio.ensure_future(recorder.append(new_rows(), seconds=PATIENCE_SECONDS))
        await asyncio.sleep(BUSY_TIMEOUT_SECONDS / 4)
        assert not append.done()
    assert await verdicts(append) == ["recorded"]
    assert recorder.available


async def test_a_lock_that_outlasts_the_first_try_is_waited_for_by_the_next(
    recorder: GroupCommit, database: Path
) -> None:
    with locked(database):
        append = asyncio.ensure_future(recorder.append(new_rows(), seconds=PATIENCE_SECONDS))
        await asyncio.sleep(BUSY_TIMEOUT_SECONDS + RETRY_SECONDS[0] + 0.2)
        assert not append.done()
    assert await verdicts(append) == ["recorded"]
    assert recorder.available


async def test_closing_waits_for_what_is_being_written(database: Path) -> None:
    recorder = GroupCommit(database)
    recorder.start()
    with locked(database):
        appends = [asyncio.ensure_future(recorder.append(new_rows(), seconds=PATIENCE_SECONDS)) for _ in range(10)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(recorder.close())
        await asyncio.sleep(0.2)
        assert not closing.done()
    await closing
    assert len(stored(database)) == 10
    assert await verdicts(*appends) == ["recorded"] * 10


async def test_the_writer_syncs_every_commit_also_on_a_connection_opened_after_an_error(
    recorder: GroupCommit, database: Path
) -> None:
    def pragmas() -> list[object]:
        assert recorder._writer is not None
        assert recorder._writer._recorder is not None
        found: list[object] = []
        with recorder._writer._recorder.datastore.transaction(commit=True) as cursor:
            for name in ("synchronous", "journal_mode", "secure_delete"):
                cursor.execute(f"PRAGMA {name}")
                found.append(cursor.fetchone()[0])
        return found

    full = 2
    assert pragmas() == [full, "wal", 1]
    first = recorder._writer._recorder
    with locked(database):
        append = asyncio.ensure_future(recorder.append(new_rows(), seconds=PATIENCE_SECONDS))
        await asyncio.sleep(BUSY_TIMEOUT_SECONDS + 0.5)
    await append
    assert recorder._writer._recorder is not first
    assert pragmas() == [full, "wal", 1]


async def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ouija.db").write_text("This is no database. " * 100)
    with pytest.raises(Exception, match="file is not a database"):
        GroupCommit(tmp_path / "ouija.db").start()


@pytest.fixture
def durable_but_reported_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first transaction commits and then raises, as when an fsync fails after all has reached the disk."""
    real, calls = EventRecorder.insert_events, []

    def insert_events(self: EventRecorder, stored_events: Sequence[StoredEvent], **more: object) -> object:
        positions = real(self, stored_events, **more)
        calls.append(stored_events)
        if len(calls) == 1:
            raise sqlite3.OperationalError("disk I/O error")
        return positions

    monkeypatch.setattr(EventRecorder, "insert_events", insert_events)


@pytest.mark.usefixtures("durable_but_reported_as_failed")
async def test_what_a_failed_commit_left_in_the_file_is_recorded_and_not_written_twice(
    recorder: GroupCommit, database: Path
) -> None:
    content = [*new_rows(3), *new_rows(2)]  # as at a start: the ends of several questions
    await recorder.append(content, seconds=PATIENCE_SECONDS, session_key=(uuid7(), b"wrapped"))
    places = [(row.originator_id, row.originator_version) for row in content]
    assert [(stream, version) for _, stream, version in stored(database)] == places
    assert recorder.available


async def test_the_very_same_rows_once_more_are_recorded_already(recorder: GroupCommit, database: Path) -> None:
    content = new_rows(2)
    for _ in range(2):
        await recorder.append(content, seconds=PATIENCE_SECONDS)
    assert len(stored(database)) == 2


async def test_after_a_failed_commit_a_conflict_still_fails_alone(
    recorder: GroupCommit, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = uuid7()
    await recorder.append(rows(taken, 1), seconds=PATIENCE_SECONDS)
    # Made at once and written together: the first of them keeps the writer busy.
    contents = [new_rows(), new_rows(2), rows(taken, 1), new_rows(2)]
    real, calls = Writer._insert_once, []

    def insert_once(self: Writer, batch: list[Append]) -> None:
        calls.append(len(batch))
        if calls == [1, 3]:
            raise sqlite3.OperationalError("disk I/O error")
        real(self, batch)

    monkeypatch.setattr(Writer, "_insert_once", insert_once)
    appends = [recorder.append(content, seconds=PATIENCE_SECONDS) for content in contents]
    assert await verdicts(*appends) == ["recorded", "recorded", "conflict", "recorded"]
    assert [position for position, _, _ in stored(database)] == [1, 2, 3, 4, 5, 6]
    assert recorder.available


def readonly(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")


def missing(path: Path) -> None:
    sqlite3.connect(f"{path.with_name('missing').as_uri()}?mode=rw", uri=True)


def full(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count=2")
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


def busy(path: Path) -> None:
    with locked(path), closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")


def wrong(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM missing")


@pytest.mark.parametrize(
    ("fail", "reason"),
    [(readonly, "io"), (missing, "io"), (damaged, "io"), (full, "full"), (busy, "busy"), (wrong, "other")],
)
def test_a_database_error_is_told_by_its_code(tmp_path: Path, fail: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "small.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(sqlite3.Error) as raised:
        fail(path)
    assert reason_of(raised.value) == reason
    # As the library wraps it, and as an error is raised from another.
    assert reason_of(OperationalError(raised.value)) == reason
    outer = PersistenceError("the batch failed")
    outer.__cause__ = raised.value
    assert reason_of(outer) == reason
