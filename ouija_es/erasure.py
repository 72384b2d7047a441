"""Erases sessions: a session's key is destroyed, and with it everything its texts say."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import Erased
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.errors import StoreUnavailable, UnknownSession
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Sessions

APPEND_SECONDS = 30.0
SETTLE_SECONDS = 2.0
AGAIN_SECONDS = 1.0


class Erasure:
    """Used on one event loop. `Erased` is the one event of a stream that bears the session's id: so it comes once."""

    def __init__(self, log: EventLog, recorder: GroupCommit, sessions: Sessions, clock: Clock, instance: UUID) -> None:
        self._log = log
        self._recorder = recorder
        self._sessions = sessions
        self._clock = clock
        self._instance = instance
        self._one = asyncio.Lock()
        self._unflushed = asyncio.Event()
        self._unflushed.set()  # an earlier process may have died between the two steps

    async def erase(self, session_id: UUID, by: ErasedBy) -> bool:
        """Destroys the key, if it is there; whether the last copy of it is flushed out, too.

        From here on the session takes no question; asks in flight end as usual, their texts sealed for good. Raises
        UnknownSession, StoreUnavailable, StoreUnreadable.
        """
        async with self._one:
            if not await asyncio.to_thread(self._log.questions_of, session_id, newest=1):
                raise UnknownSession("No question of this session is recorded.")
            self._sessions.forget(session_id)
            if not await asyncio.to_thread(self._is_erased, session_id):
                await self._destroy(session_id, by)
            return await self._flush()

    async def erase_idle(self, session_ids: Sequence[UUID], by: ErasedBy) -> int:
        """Destroys the keys of those among the sessions that are idle (see `Sessions.watch`); how many.

        As `erase`; what is left to be flushed is flushed by `run`. Raises StoreUnavailable: some may be erased then.
        """
        async with self._one:
            idle = [session_id for session_id in session_ids if self._sessions.is_idle(session_id)]
            for session_id in idle:
                self._sessions.forget(session_id)
            # All at once, for one commit; one after the other is not cheaper, and a failure must not leave any behind.
            ends = await asyncio.gather(*(self._destroy(session_id, by) for session_id in idle), return_exceptions=True)
        for error in ends:
            if error is not None:
                raise error
        return len(idle)

    async def run(self) -> None:
        """Flushes what could not be flushed at once, until cancelled."""
        while True:
            await self._unflushed.wait()
            async with self._one:
                flushed = await self._flush()
            if not flushed:
                await asyncio.sleep(AGAIN_SECONDS)

    def _is_erased(self, session_id: UUID) -> bool:
        return bool(self._log.stream(session_id)) and not self._log.has_key(session_id)

    async def _destroy(self, session_id: UUID, by: ErasedBy) -> None:
        self._unflushed.set()
        erased = Erased(at=self._clock.now(), instance=self._instance, session_id=session_id, by=by)
        rows = [to_row(session_id, 1, erased)]
        try:
            await self._recorder.append(rows, seconds=APPEND_SECONDS, destroyed_key=session_id)
        except StoreUnavailable as error:
            if error.reason != "conflict":
                raise
            # It is in the log: a commit that was late has done it. Or the key alone came back, from an older copy.
            await self._recorder.append([], seconds=APPEND_SECONDS, destroyed_key=session_id)

    async def _flush(self) -> bool:
        if self._unflushed.is_set() and await self._settled() and await self._recorder.truncate():
            self._unflushed.clear()
        return not self._unflushed.is_set()

    async def _settled(self) -> bool:
        """Behind everything handed to the writer before: one of them may be an erasure that was given up as late."""
        try:
            await self._recorder.append([], seconds=SETTLE_SECONDS)
        except StoreUnavailable:
            return False
        return True
