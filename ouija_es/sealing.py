"""Seals the ledger: signs the chain's link, records that, and says it in a log line, so that others can keep it."""

import asyncio
import contextlib
from uuid import UUID

import structlog

from ouija_es.clock import Clock
from ouija_es.errors import StoreUnavailable
from ouija_es.ids import uuid7
from ouija_es.projections.projector import Projector
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.seals import LedgerKey

SEAL_EVENTS = 1_000
SEAL_SECONDS = 10.0
LOOK_SECONDS = 1.0
APPEND_SECONDS = 10.0
AGAIN_SECONDS = 0.05

log = structlog.get_logger()


class Sealer:
    """Seals what the projector has folded: every 1,000 events, or after 10 seconds, if anything but seals is new.

    It never signs past a mismatch. A seal is the one event of a stream of its own: one that could not be recorded in
    time is not tried again, the next one speaks of more.
    """

    def __init__(
        self, projector: Projector, recorder: GroupCommit, key: LedgerKey, clock: Clock, instance: UUID
    ) -> None:
        self._projector = projector
        self._recorder = recorder
        self._key = key
        self._clock = clock
        self._instance = instance
        self._wake = asyncio.Event()
        self._one = asyncio.Lock()
        self._told = False
        self._looked_at = 0

    def look(self, position: int) -> None:
        """After a commit up to a position: wakes the sealer if enough is new since its last look."""
        if position - self._looked_at >= SEAL_EVENTS:
            self._wake.set()

    async def run(self) -> None:
        """Seals until cancelled."""
        sealed_at = self._clock.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            woken = self._wake.is_set()
            self._wake.clear()
            if (woken or self._clock.monotonic() - sealed_at >= SEAL_SECONDS) and await self.seal():
                sealed_at = self._clock.monotonic()

    async def finish(self, seconds: float) -> None:
        """The last seal of a process, if it can be had so soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    if await self.seal() or self._projector.stopped_at is not None:
                        return
                    await asyncio.sleep(AGAIN_SECONDS)

    async def seal(self) -> bool:
        """Seals what is new; False if that has to be tried again."""
        async with self._one:
            position = self._projector.state.position
            if not await self._seal():
                return False
            self._looked_at = position
            return True

    async def _seal(self) -> bool:
        state = self._projector.state
        if state.mismatch is not None:
            self._refuse(state.mismatch.position, state.mismatch.what)
            return True
        if not self._projector.is_current:
            return False
        if not state.unsealed:
            return True
        seal = self._key.seal(state.position, state.link, self._clock.now(), self._instance)
        try:
            await self._recorder.append([to_row(uuid7(), 1, seal)], seconds=APPEND_SECONDS)
        except StoreUnavailable:
            return False
        log.info("ledger sealed", position=seal.position, hash=seal.hash)
        return True

    def _refuse(self, position: int, what: str) -> None:
        if not self._told:
            self._told = True
            log.error("the ledger does not hold, it is not sealed any more", position=position, what=what)
