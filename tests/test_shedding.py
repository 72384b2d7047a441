"""When the store or the loop is behind: a real file that another connection has locked, and a loop that stands."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from ouija_es.clock import Clock
from ouija_es.errors import Overloaded
from ouija_es.shedding import BATCH_SECONDS, LAG_SECONDS, Shedding
from ouija_es.store.recorder import GroupCommit
from tests.store.rows import locked, new_rows

PATIENCE_SECONDS = 60.0
QUEUE_LIMIT = 10


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ouija.db"


@pytest.fixture
async def recorder(database: Path) -> AsyncIterator[GroupCommit]:
    recorder = GroupCommit(database, queue_limit=QUEUE_LIMIT)
    recorder.start()
    yield recorder
    await recorder.close()


@pytest.fixture
async def shedding(recorder: GroupCommit) -> AsyncIterator[Shedding]:
    """Measures while the test runs."""
    shedding = Shedding(recorder, Clock())
    task = asyncio.create_task(shedding.run())
    yield shedding
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - another thread, or time itself, makes it true
            await asyncio.sleep(0.01)


async def test_asks_are_let_in_while_nothing_is_behind(recorder: GroupCommit, shedding: Shedding) -> None:
    for _ in range(50):
        await recorder.append(new_rows(3), seconds=PATIENCE_SECONDS)
        shedding.admit()
    assert recorder.batch_seconds == 0
    assert shedding.shed == 0


async def test_asks_are_shed_while_the_writer_is_stuck_and_let_in_again_after(
    recorder: GroupCommit, shedding: Shedding, database: Path
) -> None:
    with locked(database):
        append = asyncio.create_task(recorder.append(new_rows(), seconds=PATIENCE_SECONDS))
        started_at = time.monotonic()
        await until(shedding.overloaded)
        assert time.monotonic() - started_at > BATCH_SECONDS
        for _ in range(3):
            with pytest.raises(Overloaded) as caught:
                shedding.admit()
        assert caught.value.retry_after_seconds == 2
        assert shedding.shed == 3
    await append
    await until(lambda: not shedding.overloaded())
    shedding.admit()
    assert shedding.shed == 3


async def test_asks_are_shed_while_more_than_half_of_the_queue_is_taken(
    recorder: GroupCommit, shedding: Shedding, database: Path
) -> None:
    async with AsyncExitStack() as stack:
        with locked(database):
            for count, overloaded in ((QUEUE_LIMIT // 2, False), (1, True), (QUEUE_LIMIT // 2 - 1, True)):
                append = recorder.append(new_rows(count), seconds=PATIENCE_SECONDS)
                task = asyncio.create_task(append)
                stack.push_async_callback(asyncio.wait_for, task, PATIENCE_SECONDS)
                await asyncio.sleep(0)
                assert recorder.batch_seconds < BATCH_SECONDS
                assert shedding.overloaded() is overloaded
    assert recorder.queue_depth == 0
    assert not shedding.overloaded()


async def test_asks_are_shed_while_the_loop_is_late_again_and_again(shedding: Shedding) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not shedding.overloaded():
        assert time.monotonic() < give_up_at
        time.sleep(LAG_SECONDS + 0.2)  # noqa: ASYNC251 - stands in for more work than time
        await asyncio.sleep(0)
    assert shedding.lag_seconds > LAG_SECONDS

    await until(lambda: not shedding.overloaded())


async def test_one_pause_of_the_loop_sheds_nothing(shedding: Shedding) -> None:
    await asyncio.sleep(0.25)
    time.sleep(LAG_SECONDS * 3)  # noqa: ASYNC251 - a machine that was asleep, say
    for _ in range(30):
        shedding.admit()
        await asyncio.sleep(0.01)
    assert shedding.shed == 0
