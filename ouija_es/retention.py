"""Erases the texts of sessions in which nobody has asked for RETENTION_DAYS."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.erasure import Erasure
from ouija_es.errors import StoreFault
from ouija_es.ids import first_of
from ouija_es.store.log import EventLog
from ouija_es.store.sessions import Sessions

BATCH = 64
PAUSE_SECONDS = 0.25
"""Between two batches: asks go first. So at most 256 sessions a second."""
ROUND_SECONDS = 600.0
AGAIN_SECONDS = 10.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


class Retention:
    """Used on the event loop of the erasure.

    A round looks at the sessions that were opened before the limit and still have their key: those that are due, and
    those that are still asked in. Nothing of it needs to be noted: what is erased has no key any more.
    """

    def __init__(self, event_log: EventLog, sessions: Sessions, erasure: Erasure, clock: Clock, *, days: int) -> None:
        self._log = event_log
        self._sessions = sessions
        self._erasure = erasure
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        """Round after round, until cancelled."""
        while True:
            try:
                await self.erase_due()
            except StoreFault as error:
                log.warning("retention waits for the event store", kind=error.type)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                await asyncio.sleep(ROUND_SECONDS)

    async def erase_due(self) -> int:
        """One round: erases what is due, batch by batch; how many. Raises StoreUnreadable, StoreUnavailable."""
        limit = (self._clock.now() - EPOCH) // timedelta(milliseconds=1) - self._days * 86_400_000
        if limit <= 0:
            return 0
        erased, reached = 0, first_of(0)
        while batch := await asyncio.to_thread(self._log.sessions_with_key, reached, first_of(limit), BATCH):
            erased += await self._erase_among(batch, EPOCH + timedelta(milliseconds=limit))
            reached = batch[-1]
            await asyncio.sleep(PAUSE_SECONDS)
        return erased

    async def _erase_among(self, batch: Sequence[UUID], limit: datetime) -> int:
        self._sessions.watch(batch)  # before looking: what is asked from now on counts, recorded or not
        due = await asyncio.to_thread(self._asked_before, batch, limit)
        erased = await self._erasure.erase_idle(due, ErasedBy.RETENTION)
        if erased:
            log.info("erased after RETENTION_DAYS", sessions=erased)
        return erased

    def _asked_before(self, session_ids: Sequence[UUID], limit: datetime) -> list[UUID]:
        last = ((session_id, self._log.last_asked_at(session_id)) for session_id in session_ids)
        return [session_id for session_id, asked_at in last if asked_at is not None and asked_at < limit]
