"""A limit on what hardly ever waits."""

import asyncio
from typing import Any

import pytest

from ouija_es.resources.connection import within

LONG = 60.0


class Waiting:
    """A coroutine that waits as often as it is told, and remembers how it ended."""

    def __init__(self, waits: int) -> None:
        self.waits = waits
        self.wake = asyncio.Semaphore(0)
        self.ended: Any = "not yet"

    async def run(self) -> str:
        try:
            for _ in range(self.waits):
                await self.wake.acquire()
        except BaseException as error:
            self.ended = type(error)
            raise
        self.ended = "well"
        return "done"


async def test_what_need_not_wait_is_done_at_once() -> None:
    waiting = Waiting(0)
    began = asyncio.ensure_future(within(LONG, waiting.run()))
    await asyncio.sleep(0)
    assert began.done()
    assert await began == "done"


async def test_what_waits_goes_on_when_it_is_woken() -> None:
    waiting = Waiting(3)
    began = asyncio.ensure_future(within(LONG, waiting.run()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert not began.done()
        waiting.wake.release()
    assert await began == "done"


async def test_what_takes_too_long_is_cancelled() -> None:
    waiting = Waiting(2)
    waiting.wake.release()
    with pytest.raises(TimeoutError):
        await within(0.01, waiting.run())
    assert waiting.ended is asyncio.CancelledError


async def test_who_is_cancelled_cancels_what_it_waits_for() -> None:
    waiting = Waiting(1)
    began = asyncio.ensure_future(within(LONG, waiting.run()))
    await asyncio.sleep(0)
    began.cancel()
    with pytest.raises(asyncio.CancelledError):
        await began
    assert waiting.ended is asyncio.CancelledError


@pytest.mark.parametrize("waits", [0, 1])
async def test_an_error_passes(waits: int) -> None:
    async def failing() -> None:
        for _ in range(waits):
            await asyncio.sleep(0.001)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await within(LONG, failing())
