"""The stream of a running process: its policy, then what happens to its providers' breakers."""

import asyncio
from uuid import UUID

from ouija_es.domain.events import Event
from ouija_es.errors import StoreUnavailable, StoreUnreadable
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit

APPEND_SECONDS = 30.0
AGAIN_SECONDS = 1.0


class InstanceStream:
    """Appends events in order, in the background: no ask waits for them, none is lost while the store is away."""

    def __init__(self, instance: UUID, log: EventLog, recorder: GroupCommit) -> None:
        self._instance = instance
        self._log = log
        self._recorder = recorder
        self._pending: list[Event] = []
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def note(self, event: Event) -> None:
        """Adds an event."""
        self._pending.append(event)
        self._empty.clear()
        self._wake.set()

    async def run(self, recorded: int) -> None:
        """Writes what is noted behind the `recorded` events that are there, until cancelled."""
        while True:
            await self._wake.wait()
            batch = list(self._pending)
            rows = [to_row(self._instance, recorded + number, event) for number, event in enumerate(batch, 1)]
            try:
                await self._recorder.append(rows, seconds=APPEND_SECONDS)
                written = len(batch)
            except StoreUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)
                written = await self._written_late(recorded)
            recorded += written
            del self._pending[:written]
            if not self._pending:
                self._wake.clear()
                self._empty.set()

    async def _written_late(self, recorded: int) -> int:
        """How many more events there are after all: a commit that was late may have happened meanwhile."""
        try:
            return len(await asyncio.to_thread(self._log.stream, self._instance)) - recorded
        except StoreUnreadable:
            return 0

    async def drain(self, seconds: float) -> None:
        """Waits until all is written, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return
