"""How long a stream may say nothing."""

import asyncio

import pytest

from ouija_es.providers.stall import Stall


async def test_what_waits_too_long_is_ended_and_the_task_goes_on() -> None:
    stall = Stall(0.01)

    for _ in range(2):
        with pytest.raises(TimeoutError), stall:
            await asyncio.sleep(60)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_one_timer_serves_many_waits() -> None:
    stall = Stall(60)
    timers = 0
    loop = asyncio.get_running_loop()
    at = loop.call_at

    def counted(*arguments, **named):
        nonlocal timers
        timers += 1
        return at(*arguments, **named)

    loop.call_at = counted  # type: ignore[method-assign]
    try:
        for _ in range(20):
            with stall:
                await asyncio.sleep(0)
    finally:
        stall.close()

    assert timers == 1


async def test_what_happens_between_two_waits_may_take_as_long_as_it_likes() -> None:
    stall = Stall(0.01)

    with stall:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    with stall:
        await asyncio.sleep(0)

    stall.close()


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    async def waiting() -> None:
        with Stall(60):
            await asyncio.sleep(60)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_error_is_passed_on() -> None:
    with pytest.raises(ValueError, match="mine"), Stall(60):
        raise ValueError("mine")
