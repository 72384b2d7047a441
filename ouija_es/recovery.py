"""Closes what was left open: questions of a process that died, and of this one when the store failed under them."""

import asyncio
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import FINAL, Abandoned, PolicyAdopted
from ouija_es.errors import StoreUnavailable
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit

SETTLED_AFTER_SECONDS = 60.0
"""Beyond the deadline: by then a commit that was late has either happened or never will."""
ROUND_SECONDS = 10.0
START_SECONDS = 30.0


class Recovery:
    """Appends `Abandoned` to unfinished questions."""

    def __init__(
        self,
        log: EventLog,
        recorder: GroupCommit,
        clock: Clock,
        instance: UUID,
        *,
        settled_after_seconds: float = SETTLED_AFTER_SECONDS,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._log = log
        self._recorder = recorder
        self._clock = clock
        self._instance = instance
        self._settled_after_seconds = settled_after_seconds
        self._round_seconds = round_seconds
        self._watched: dict[UUID, float] = {}

    async def start(self, policy: PolicyAdopted) -> int:
        """Records the policy and, in the same transaction, the end of what an earlier process left; returns how many.

        Raises StoreUnavailable.
        """
        unfinished = await asyncio.to_thread(self._log.unfinished)
        rows = [to_row(question_id, version + 1, self._abandoned()) for question_id, version in unfinished]
        rows.append(to_row(self._instance, 1, policy))
        await self._recorder.append(rows, seconds=START_SECONDS)
        return len(unfinished)

    def watch(self, question_id: UUID) -> None:
        """Notes a question whose events could not be committed in time."""
        self._watched[question_id] = self._clock.monotonic() + self._settled_after_seconds

    async def run(self) -> None:
        """Closes watched questions, round after round, until cancelled."""
        while True:
            await asyncio.sleep(self._round_seconds)
            if self._recorder.available:
                await self.close_watched()

    async def close_watched(self) -> None:
        """One round: each question that is due is closed if it was recorded at all and has no last event."""
        now = self._clock.monotonic()
        for question_id in [question_id for question_id, due in self._watched.items() if due <= now]:
            events = await asyncio.to_thread(self._log.stream, question_id)
            if events and not isinstance(events[-1].event, FINAL):
                row = to_row(question_id, len(events) + 1, self._abandoned())
                try:
                    await self._recorder.append([row], seconds=START_SECONDS)
                except StoreUnavailable:
                    return
            del self._watched[question_id]

    def _abandoned(self) -> Abandoned:
        return Abandoned(at=self._clock.now(), instance=self._instance)
