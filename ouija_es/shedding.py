"""Load shedding: while the event store or the event loop is behind, new asks are refused early; else all are late."""

import asyncio
from collections import deque

import structlog

from ouija_es.clock import Clock
from ouija_es.errors import Overloaded
from ouija_es.store.recorder import GroupCommit

log = structlog.get_logger()

TICK_SECONDS = 0.1
LAG_SECONDS = 0.5
"""An ask waits for the loop some ten times: at this lag most of the default deadline goes by doing nothing."""
LATE_TICKS = 2
"""A single late tick is a pause (a machine that slept, a cold start), two in a row are more work than time."""
BATCH_SECONDS = 2.0
"""A batch takes milliseconds. One that takes this long waits for a lock or a disk, and a new ask would wait for it."""
QUEUE_SHARE = 0.5
"""Half of the queue is kept for the asks already let in: each comes back to it several times."""


class Shedding:
    """Watches the loop and the writer of the event log. `shed` counts the asks refused."""

    def __init__(self, recorder: GroupCommit, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._lags = deque([0.0] * LATE_TICKS, maxlen=LATE_TICKS)
        self.shed = 0

    @property
    def lag_seconds(self) -> float:
        """How late the loop is: the least of the last ticks."""
        return min(self._lags)

    def overloaded(self) -> bool:
        """Whether a new ask would come too late, or make others late."""
        recorder = self._recorder
        return (
            recorder.queue_depth > recorder.queue_limit * QUEUE_SHARE
            or recorder.batch_seconds > BATCH_SECONDS
            or self.lag_seconds > LAG_SECONDS
        )

    def admit(self) -> None:
        """Lets an ask in. Raises Overloaded."""
        if self.overloaded():
            self.shed += 1
            raise Overloaded

    async def run(self) -> None:
        """Measures the loop's lag, and logs when shedding begins and ends, until cancelled."""
        overloaded, shed_before = False, 0
        while True:
            due = self._clock.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._lags.append(self._clock.monotonic() - due)
            if self.overloaded() == overloaded:
                continue
            overloaded = not overloaded
            if overloaded:
                shed_before = self.shed
                log.warning(
                    "overloaded: new asks are refused",
                    queue_depth=self._recorder.queue_depth,
                    batch_seconds=round(self._recorder.batch_seconds, 3),
                    lag_seconds=round(self.lag_seconds, 3),
                )
            else:
                log.warning("no longer overloaded", shed=self.shed - shed_before)
