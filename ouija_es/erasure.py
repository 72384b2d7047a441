"""Erases sessions: a session's key is destroyed, and with it everything its texts say."""

import asyncio
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
            if not await asyncio.to_thread(self._log.stream, session_id):
                self._unflushed.set()
                erased = Erased(at=self._clock.now(), instance=self._instance, session_id=session_id, by=by)
                try:
                    await self._recorder.append(
                        [to_row(session_id, 1, erased)], seconds=APPEND_SECONDS, destroyed_key=session_id
                    )
                except StoreUnavailable as error:
                    if error.reason != "conflict":  # else a commit that was late has done it
                        raise
            return await self._flush()

    async def run(self) -> None:
        """Flushes what could not be flushed at once, until cancelled."""
        while True:
            await self._unflushed.wait()
            async with self._one:
                flushed = await self._flush()
            if not flushed:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _flush(self) -> bool:
        if self._unflushed.is_set() and await self._recorder.truncate():
            self._unflushed.clear()
        return not self._unflushed.is_set()
