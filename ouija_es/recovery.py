"""Closes what was left open: questions of a process that died, that were given up, or under which the store failed."""

import asyncio
from uuid import UUID

from ouija_es.clock import Clock
from ouija_es.domain.events import FINAL, Abandoned, AttemptFailed, AttemptStarted, Event, PolicyAdopted, Withdrawn
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import StoreFault, StoreUnavailable
from ouija_es.store.log import EventLog, Recorded
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit

SETTLED_AFTER_SECONDS = 60.0
"""Beyond the deadline: by then a commit that was late has either happened or never will."""
ROUND_SECONDS = 10.0
STUCK_SECONDS = 1.0
APPEND_SECONDS = 30.0
CONFLICTS = 5


class Recovery:
    """Appends the last events of unfinished questions."""

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
        self._withdrawing: set[asyncio.Task[None]] = set()

    async def start(self, policy: PolicyAdopted) -> int:
        """Records the policy and, in the same transaction, the end of what an earlier process left; returns how many.

        Raises StoreUnavailable.
        """
        unfinished = await asyncio.to_thread(self._log.unfinished)
        rows = [to_row(question_id, version + 1, self._abandoned()) for question_id, version in unfinished]
        rows.append(to_row(self._instance, 1, policy))
        await self._recorder.append(rows, seconds=APPEND_SECONDS)
        return len(unfinished)

    def watch(self, question_id: UUID) -> None:
        """Notes a question whose events could not be committed in time."""
        self._watched[question_id] = self._clock.monotonic() + self._settled_after_seconds

    def withdraw(self, question_id: UUID) -> None:
        """Ends a question that nobody waits for any more, in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._withdraw(question_id))
        self._withdrawing.add(task)
        task.add_done_callback(self._withdrawing.discard)

    async def drain(self) -> None:
        """Waits for the withdrawals under way."""
        await asyncio.gather(*self._withdrawing)

    async def run(self) -> None:
        """Closes watched questions, round after round, until cancelled."""
        while True:
            await asyncio.sleep(self._round_seconds)
            # While the writer is stuck in a batch, a late commit may still be on its way.
            if self._recorder.available and self._recorder.batch_seconds < STUCK_SECONDS:
                await self.close_watched()

    async def close_watched(self) -> None:
        """One round: each question that is due is closed if it was recorded at all and has no last event."""
        now = self._clock.monotonic()
        for question_id in [question_id for question_id, due in self._watched.items() if due <= now]:
            try:
                await self.abandon(question_id)
            except StoreFault:
                return
            del self._watched[question_id]

    async def abandon(self, question_id: UUID) -> None:
        """Ends a question as `Abandoned` unless it has ended otherwise meanwhile. Raises StoreUnavailable."""
        await self._close(question_id, self._abandoned())

    async def _withdraw(self, question_id: UUID) -> None:
        try:
            # Behind everything handed to the writer before: the question's first events may be among it.
            await self._recorder.append([], seconds=APPEND_SECONDS)
            known = await self._close(question_id, Withdrawn(at=self._clock.now(), instance=self._instance))
        except StoreFault:
            known = False
        if not known:
            self.watch(question_id)  # a failed commit may still become durable

    async def _close(self, question_id: UUID, last: Event) -> bool:
        """Appends `last` unless the question has ended; False if nothing of it is recorded.

        What was still on its way to the log may be there first: then it is looked at again.
        """
        for _ in range(CONFLICTS):
            recorded = await asyncio.to_thread(self._log.stream, question_id)
            if not recorded or isinstance(recorded[-1].event, FINAL):
                return bool(recorded)
            events = [*self._cut_off(recorded[-1], last), last]
            rows = [to_row(question_id, recorded[-1].version + number, event) for number, event in enumerate(events, 1)]
            try:
                await self._recorder.append(rows, seconds=APPEND_SECONDS)
            except StoreUnavailable as error:
                if error.reason != "conflict":
                    raise
            else:
                return True
        raise StoreUnavailable("conflict")

    def _cut_off(self, recorded: Recorded, last: Event) -> list[Event]:
        """The end of a call that was under way when its question was withdrawn."""
        started = recorded.event
        if not isinstance(started, AttemptStarted) or not isinstance(last, Withdrawn):
            return []
        duration = last.at - started.at
        return [
            AttemptFailed(
                at=last.at,
                instance=self._instance,
                provider=started.provider,
                attempt=started.attempt,
                reason=Reason.CANCELLED,
                duration_ms=max(0, round(duration.total_seconds() * 1000)),
                time_left_ms=started.time_left_ms,
            )
        ]

    def _abandoned(self) -> Abandoned:
        return Abandoned(at=self._clock.now(), instance=self._instance)
