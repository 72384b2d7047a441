"""What is left open is closed: at the start, and when the store failed under a question."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from ouija_es.clock import Clock
from ouija_es.domain.events import PolicyAdopted
from ouija_es.errors import StoreUnavailable
from ouija_es.ids import uuid7
from ouija_es.recovery import Recovery
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.vault import Vault
from tests.store.history import streams_of
from tests.store.rows import AT, answered, asked, locked, new_rows, started

PATIENCE_SECONDS = 60.0
SETTLED_SECONDS = 60.0


class StillClock(Clock):
    """Time that moves when it is told to."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Process:
    """The parts of a service that recovery needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        vault = Vault(bytes(range(32)))
        self.key, _ = vault.new_key(uuid7())
        self.clock, self.instance = StillClock(), uuid7()
        self.recorder, self.log = GroupCommit(path), EventLog(path, vault)
        self.recorder.start()
        self.recovery = Recovery(
            self.log, self.recorder, self.clock, self.instance, settled_after_seconds=SETTLED_SECONDS
        )
        self.policy = PolicyAdopted(
            at=AT,
            instance=self.instance,
            service_version="1.0.0",
            deadline_ms=8000,
            reserve_ms=1000,
            tiers=(),
            prompts_version=1,
            answers_digest="0" * 16,
            categories_digest="0" * 16,
        )

    async def question(self, *, finished: bool) -> UUID:
        """Records a question's events so far."""
        stream, events = uuid7(), [asked(uuid7(), "¿Volverá?"), started()]
        if finished:
            events.append(answered("Volverá."))
        rows = [to_row(stream, version, event, self.key) for version, event in enumerate(events, 1)]
        await self.recorder.append(rows, seconds=PATIENCE_SECONDS)
        return stream

    def names(self, stream: UUID) -> list[str]:
        return [type(it.event).__name__ for it in self.log.stream(stream)]

    async def close(self) -> None:
        await self.recorder.close()
        self.log.close()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path / "ouija.db")
    yield process
    await process.close()


async def test_a_start_closes_what_was_left_open_and_nothing_else(process: Process) -> None:
    still_open = [await process.question(finished=False) for _ in range(3)]
    finished = await process.question(finished=True)
    assert await process.recovery.start(process.policy) == 3
    for stream in still_open:
        assert process.names(stream) == ["Asked", "AttemptStarted", "Abandoned"]
        assert process.log.stream(stream)[-1].event.instance == process.instance
    assert process.names(finished)[-1] == "Answered"
    assert process.names(process.instance) == ["PolicyAdopted"]


async def test_the_next_start_finds_nothing_more(process: Process) -> None:
    await process.question(finished=False)
    await process.recovery.start(process.policy)
    instance = uuid7()
    successor = Recovery(process.log, process.recorder, process.clock, instance)
    assert await successor.start(msgspec.structs.replace(process.policy, instance=instance)) == 0


async def test_a_start_that_was_recorded_too_late_is_done_when_it_is_tried_again(process: Process) -> None:
    stream = await process.question(finished=False)
    await process.recovery.start(process.policy)  # as if it had raised, and become durable all the same
    assert await process.recovery.start(process.policy) == 0
    assert process.names(stream)[-1] == "Abandoned"
    assert process.names(process.instance) == ["PolicyAdopted"]


async def test_more_open_questions_than_the_queue_holds_are_closed_in_one_transaction(tmp_path: Path) -> None:
    process = Process(tmp_path / "ouija.db")
    rows = [row for _ in range(1500) for row in new_rows(3)]
    await process.recorder.append(rows, seconds=PATIENCE_SECONDS)
    small = GroupCommit(process.path, queue_limit=100)
    small.start()
    recovery = Recovery(process.log, small, process.clock, process.instance)
    assert await recovery.start(process.policy) == 1500
    await small.close()
    streams = streams_of(process.log)
    assert sum(len(history) == 4 for history in streams.values()) == 1500
    await process.close()


async def test_a_watched_question_is_closed_once_its_commit_can_no_longer_come(process: Process) -> None:
    await process.recovery.start(process.policy)
    watched, answered_late, never_recorded = (
        await process.question(finished=False),
        await process.question(finished=True),
        uuid7(),
    )
    for stream in (watched, answered_late, never_recorded):
        process.recovery.watch(stream)
    process.clock.seconds += SETTLED_SECONDS - 1
    await process.recovery.close_watched()
    assert process.names(watched)[-1] == "AttemptStarted"
    process.clock.seconds += 1
    for _ in range(2):
        await process.recovery.close_watched()
        assert process.names(watched) == ["Asked", "AttemptStarted", "Abandoned"]
        assert process.names(answered_late)[-1] == "Answered"
        assert process.names(never_recorded) == []


async def test_a_question_stays_watched_until_the_store_takes_its_end(process: Process) -> None:
    await process.recovery.start(process.policy)
    stream = await process.question(finished=False)
    process.recovery.watch(stream)
    process.clock.seconds += SETTLED_SECONDS
    with locked(process.path):
        await process.recovery.close_watched()  # the lock outlasts every try of the writer
    assert process.names(stream)[-1] == "AttemptStarted"
    await process.recovery.close_watched()
    assert process.names(stream)[-1] == "Abandoned"


async def test_the_rounds_close_by_themselves(tmp_path: Path) -> None:
    process = Process(tmp_path / "ouija.db")
    recovery = Recovery(
        process.log, process.recorder, process.clock, process.instance, settled_after_seconds=0, round_seconds=0.01
    )
    stream = await process.question(finished=False)
    recovery.watch(stream)
    rounds = asyncio.create_task(recovery.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while process.names(stream)[-1] != "Abandoned":  # noqa: ASYNC110 - the file changes
            await asyncio.sleep(0.01)
    rounds.cancel()
    await asyncio.gather(rounds, return_exceptions=True)
    await process.close()


async def test_a_start_that_cannot_be_recorded_raises_and_can_be_tried_again(process: Process) -> None:
    stream = await process.question(finished=False)
    with locked(process.path), pytest.raises(StoreUnavailable):
        await process.recovery.start(process.policy)
    assert process.names(stream)[-1] == "AttemptStarted"
    assert await process.recovery.start(process.policy) == 1
    assert process.names(stream)[-1] == "Abandoned"
    assert process.names(process.instance) == ["PolicyAdopted"]
